"""Words of a recipe, taken one by one: what is left over is a mistake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypeVar

from edgetam.errors import ConfigError
from edgetam.train.strict import build, scalar

__all__ = ["Spec"]

T = TypeVar("T")


class Spec:
    """A mapping that is read key by key.

    Args:
        given: from a recipe.
        what: it describes, for errors.

    Raises:
        ConfigError: it is not a mapping.
    """

    def __init__(self, given: Any, what: str) -> None:
        if not isinstance(given, Mapping):
            raise ConfigError(f"{what} is {given!r}, expected keys and values: write it as a mapping.")
        self.what = what
        self._left = dict(given)
        self._known: list[str] = []

    def take(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default."""
        self._known.append(key)
        return self._left.pop(key, default)

    def has(self, key: str) -> bool:
        """Whether a key is there."""
        return key in self._left

    def text(self, key: str) -> str | None:
        """A word, or None when it is missing.

        Raises:
            ConfigError: the value is not text.
        """
        value = self.take(key)
        if value is None or isinstance(value, str):
            return value
        raise ConfigError(f"{key} of {self.what} is {value!r}, expected text: quote it.")

    def number(self, key: str, default: float) -> float:
        """A number from 0, or text that stands for one.

        Raises:
            ConfigError: the value is not one.
        """
        value: float = scalar(float, self.take(key, default), f"{self.what}.{key}")
        if 0 <= value < float("inf"):
            return value
        raise ConfigError(f"{key} of {self.what} is {value!r}, expected a number from 0: change it.")

    def fill(self, kind: type[T], **defaults: Any) -> T:
        """A dataclass from the keys that are its fields.

        Raises:
            ConfigError: a value is of another type, or out of its range.
        """
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        given = {name: self._left[name] for name in names if name in self._left}
        for name in names:
            self.take(name)
        return build(kind, {**defaults, **given}, self.what)

    def finish(self) -> None:
        """Make sure that nothing is left.

        Raises:
            ConfigError: there are keys that nobody asked for.
        """
        for key in self._left:
            close = get_close_matches(str(key), self._known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigError(
                f"{self.what} has an unknown key {key!r}, expected some of "
                f"{', '.join(self._known)}: remove it{hint}."
            )
