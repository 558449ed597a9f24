"""Plain mappings (from YAML or JSON) to frozen dataclasses and back, with errors that name the place."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from edgetam.errors import ConfigError

__all__ = ["build", "plain", "scalar"]

T = TypeVar("T")


def build(kind: type[T], given: Any, place: str = "") -> T:
    """Make a dataclass of a mapping, field by field.

    Scalars must have the field's type (whole numbers pass as floats, and so does text such as ``1e-3``, which
    YAML does not take for a number). A pair of integers may be given as one number. ``None`` stands for an
    optional field that is left out.

    Args:
        kind: a dataclass.
        given: its fields by name.
        place: where this is, for messages: ``stages.0``.

    Raises:
        ConfigError: an unknown key (the message names the closest known one), a missing key, a value of
            another type, or one the dataclass itself refuses.
    """
    if not isinstance(given, Mapping):
        raise ConfigError(f"{place or 'The recipe'} is {_shown(given)}, expected keys and values.")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in given:
        if key not in fields:
            raise ConfigError(_unknown(str(key), list(fields), place))
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in given:
            raise ConfigError(f"{_at(place, name)} is missing, expected a value; add it.")
    values = {name: _value(hints[name], value, _at(place, name)) for name, value in given.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}" if place else str(error)) from error


def plain(value: Any) -> Any:
    """Turn dataclasses and tuples into mappings and lists, as YAML and JSON hold them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


def _at(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def _unknown(key: str, known: list[str], place: str) -> str:
    where = f"{place} has" if place else "The recipe has"
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? Known" if close else "known"
    return f"{where} the unknown key {key!r}; {hint} keys are {', '.join(known)}."


def _value(hint: Any, value: Any, place: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _optional(hint, value, place)
    if origin is Literal:
        return _choice(get_args(hint), value, place)
    if origin is tuple:
        return _tuple(get_args(hint), value, place)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(get_args(hint)[1], value, place)
    if dataclasses.is_dataclass(hint):
        return build(hint, value, place)  # type: ignore[arg-type]
    return value if hint is Any else scalar(hint, value, place)


def _optional(hint: Any, value: Any, place: str) -> Any:
    """None, or the first alternative that fits."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if value is None and len(kinds) < len(get_args(hint)):
        return None
    for kind in kinds[:-1]:
        try:
            return _value(kind, value, place)
        except ConfigError:
            continue
    return _value(kinds[-1], value, place)


def _choice(choices: tuple[Any, ...], value: Any, place: str) -> Any:
    # YAML reads off, on, yes and no as truth values
    value = {False: "off", True: "on"}.get(value, value) if isinstance(value, bool) else value
    if value in choices:
        return value
    close = difflib.get_close_matches(str(value), [str(c) for c in choices], n=1, cutoff=0.5)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise ConfigError(f"{place} is {_shown(value)}, expected one of {', '.join(map(str, choices))}{hint}.")


def _tuple(kinds: tuple[Any, ...], value: Any, place: str) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ConfigError(f"{place} is {_shown(value)}, expected a list.")
        return tuple(_value(kinds[0], inner, _at(place, i)) for i, inner in enumerate(value))
    if kinds == (int, int) and isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != len(kinds):
        raise ConfigError(f"{place} is {_shown(value)}, expected a list of {len(kinds)} values.")
    return tuple(_value(k, v, _at(place, i)) for i, (k, v) in enumerate(zip(kinds, value, strict=True)))


def _mapping(kind: Any, value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{place} is {_shown(value)}, expected keys and values.")
    return {str(key): _value(kind, inner, _at(place, key)) for key, inner in value.items()}


def scalar(kind: type, value: Any, place: str) -> Any:
    """A number, text or truth value of a type; see `build`.

    Raises:
        ConfigError: the value is of another type.
    """
    if kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if number == number:
            return number
    elif isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    names = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
    raise ConfigError(f"{place} is {_shown(value)}, expected {names.get(kind, kind.__name__)}.")
