"""Words of a recipe, taken one by one: what is left over is a mistake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any, TypeVar

from edgetam.errors import ConfigError

__all__ = ["Spec", "build"]

T = TypeVar("T")
_KINDS: dict[type, tuple[type, ...]] = {float: (int, float), int: (int,), str: (str,), bool: (bool,)}


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
        """A number from 0.

        Raises:
            ConfigError: the value is not one.
        """
        value = self.take(key, default)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf"):
            return float(value)
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


def build(kind: type[T], given: Any, what: str) -> T:
    """A dataclass from a mapping; fields that are dataclasses take mappings in turn.

    Raises:
        ConfigError: a key is unknown, or a value is of another type or out of its range.
    """
    spec = Spec(given, what)
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name not in given:
            spec.take(field.name)
            continue
        made = field.default_factory
        example = field.default if made is MISSING else made()
        values[field.name] = _checked(spec.take(field.name), example, f"{field.name} of {what}")
    spec.finish()
    return kind(**values)


def _checked(value: Any, example: Any, what: str) -> Any:
    """A value like an example of its type."""
    if isinstance(value, type(example)) and not isinstance(value, bool):
        return value
    if type(example) in _KINDS:
        fits = isinstance(value, _KINDS[type(example)]) and isinstance(value, bool) == isinstance(
            example, bool
        )
        if not fits:
            raise ConfigError(
                f"{what} is {value!r}, expected a value like {example!r} "
                f"({type(example).__name__}): change it."
            )
        return value
    if isinstance(example, tuple) and isinstance(value, (list, tuple)):
        return tuple(value)
    return build(type(example), value, what)
