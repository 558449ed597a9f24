"""Recipes on disk: YAML, overrides such as ``stages.0.steps=5``, and what changed between two of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from edgetam.errors import ConfigError, InputError
from edgetam.train.recipe import Recipe
from edgetam.train.strict import build, plain

__all__ = ["changes", "load_recipe", "parse_recipe", "recipe_text"]

EITHER = {"steps": "minutes", "minutes": "steps"}
"""Budgets of a stage: an override with one replaces the other."""
HARMLESS = ("every", "evaluation", "threads", "device", "data.workers", "data.prefetch", "notes")
"""Parts that may differ when a run goes on: they change neither the network nor what it learns from."""


def load_recipe(path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe file, with ``key.key=value`` overrides whose values are YAML.

    Raises:
        InputError: the file cannot be read.
        ConfigError: not YAML, an unknown key, a wrong value, or an override without ``=``.
    """
    path = Path(path)
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"The recipe {path} cannot be read ({reason}); pass a YAML file.") from error
    try:
        return parse_recipe(text, overrides)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_recipe(text: str, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe from YAML; arguments and errors are those of `load_recipe`."""
    content = plain(_yaml(text, "The recipe"))  # anchors share parts: an override must change one place only
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"The override {override!r} was given, expected key=value, such as seed=1.")
        _set(content, key.split("."), _yaml(value, override), override)
    return build(Recipe, content)


def recipe_text(recipe: Recipe) -> str:
    """Write a recipe down in full."""
    return yaml.safe_dump(plain(recipe), sort_keys=False, width=110)


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Name the keys, dotted, in which two recipes (as plain mappings) differ, but for harmless ones."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return [key for key in keys if not any(key == h or key.startswith(h + ".") for h in HARMLESS)]


def _leaves(value: Any, place: str = "") -> Iterable[tuple[str, Any]]:
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        yield place, value
    for key, inner in items:
        yield from _leaves(inner, f"{place}.{key}" if place else str(key))


def _yaml(text: str, what: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{what} is not YAML ({reason}); check the line it names.") from error


def _set(content: Any, keys: list[str], value: Any, override: str) -> None:
    """Walk to the place of an override and put the value there; mappings and list entries are made."""
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(content, list):
            if last and key == str(len(content)):
                content.append(None)
            if not key.isdecimal() or int(key) >= len(content):
                raise ConfigError(
                    f"The override {override!r} names entry {key!r} of a list of {len(content)}; "
                    f"expected a number from 0 to {len(content) - 1}."
                )
            if last:
                content[int(key)] = value
            content = content[int(key)]
        elif isinstance(content, dict):
            if last:
                if keys[0] == "stages" and value is not None:
                    content.pop(EITHER.get(key), None)
                content[key] = value
            elif not isinstance(content.get(key), (dict, list)):
                content[key] = {}
            content = content[key]
        else:
            raise ConfigError(
                f"The override {override!r} goes below {keys[depth - 1]!r}, which holds no keys."
            )
