"""Two-way translation of checkpoint names, driven by a table.

A `Row` says, for a family of tensors, what it is called here and in each published
layout. The same rows are read in both directions, so a conversion there and back cannot
drift apart. Names are templates: ``{i}`` stands for a number and ``{rest}`` for the
remainder of the name, on which `Names.rewrites` exchange whole dotted parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

import torch

from edgetam.errors import WeightsError

__all__ = ["Names", "Row", "Table", "copies", "reshape", "rows"]

Tensors = dict[str, torch.Tensor]
Rewrites = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Names:
    """What a published layout calls the tensors of one row.

    Attributes:
        templates: one name; or several, whose tensors ``how`` brings together.
        rewrites: ``(theirs, ours)`` pairs of dotted parts inside ``{rest}``.
        how: "rename"; "reshape" (ours drops the axes of size 1); "rows" (ours is theirs
            concatenated along the first axis); "copies" (all of theirs hold the same values).
        shape: their shape, for "reshape".
    """

    templates: tuple[str, ...]
    rewrites: Rewrites = ()
    how: str = "rename"
    shape: tuple[int, ...] = ()


def reshape(name: str, *shape: int) -> Names:
    """Their tensor has ``shape``; ours has the same values without the axes of size 1."""
    return Names((name,), how="reshape", shape=shape)


def rows(*names: str) -> Names:
    """Their tensors, concatenated along the first axis in this order, are ours."""
    return Names(names, how="rows")


def copies(*names: str) -> Names:
    """Their tensors are copies of one another; writers may leave out all but one."""
    return Names(names, how="copies")


@dataclass(frozen=True)
class Row:
    """One family of tensors: its name here, and by layout what others call it."""

    ours: str
    theirs: Mapping[str, Names]


@cache
def _compiled(template: str) -> re.Pattern[str]:
    pattern = re.escape(template).replace(r"\{i\}", r"(?P<i>\d+)").replace(r"\{rest\}", r"(?P<rest>.+)")
    return re.compile(pattern)


@cache
def _part(template: str) -> re.Pattern[str]:
    pattern = re.escape(template).replace(r"\{i\}", r"(?P<i>\d+)")
    return re.compile(rf"(?:(?<=\.)|^){pattern}(?=\.|$)")


def _fill(template: str, found: re.Match[str]) -> str:
    filled = template
    for key, value in found.groupdict().items():
        filled = filled.replace("{" + key + "}", value)
    return filled


def _rename(name: str, source: str, target: str, rewrites: Iterable[tuple[str, str]]) -> str | None:
    """Carry ``name`` from one template to another, or say None where it does not fit."""
    # Most rows fail on their first letters; this is much cheaper than a pattern.
    found = _compiled(source).fullmatch(name) if name.startswith(source.partition("{")[0]) else None
    if found is None:
        return None
    values = found.groupdict()
    if "rest" in values:
        for before, after in rewrites:
            values["rest"] = _part(before).sub(lambda part, to=after: _fill(to, part), values["rest"])
    for key, value in values.items():
        target = target.replace("{" + key + "}", value)
    return target


def _swapped(rewrites: Rewrites) -> Rewrites:
    return tuple((ours, theirs) for theirs, ours in reversed(rewrites))


@dataclass(frozen=True)
class Match:
    """A name found in the table: our name, what to do, and which of their templates it fits."""

    ours: str
    names: Names
    slot: int


class Table:
    """Rows, read in either direction."""

    def __init__(self, table: Iterable[Row]) -> None:
        """Keep ``table``; where two rows fit a name the first one counts."""
        self._rows = tuple(table)
        # A file's names are looked up several times over.
        self._known: Callable[[str, str], Match | None] = lru_cache(maxsize=4096)(self._search)

    def find(self, name: str, layout: str) -> Match | None:
        """Look up one of their names; None unless it translates back to the very same name."""
        return self._known(name, layout)

    def _search(self, name: str, layout: str) -> Match | None:
        for row in self._rows:
            names = row.theirs.get(layout)
            if names is None:
                continue
            for slot, template in enumerate(names.templates):
                ours = _rename(name, template, row.ours, names.rewrites)
                if ours is not None and name in self._their_names(ours, row, names):
                    return Match(ours, names, slot)
        return None

    def _find_ours(self, ours: str, layout: str) -> tuple[int, Names, list[str]] | None:
        for index, row in enumerate(self._rows):
            names = row.theirs.get(layout)
            if names is None:
                continue
            theirs = self._their_names(ours, row, names)
            if theirs:
                return index, names, theirs
        return None

    @staticmethod
    def _their_names(ours: str, row: Row, names: Names) -> list[str]:
        back = _swapped(names.rewrites)
        found = [_rename(ours, row.ours, template, back) for template in names.templates]
        return [name for name in found if name is not None]

    def to_ours(self, state: Mapping[str, torch.Tensor], layout: str) -> Tensors:
        """Translate a state dict of ``layout`` to our names, copying no more than needed.

        Raises:
            WeightsError: a name is not in the table, a piece is missing or copies disagree.
        """
        pieces: dict[str, dict[int, torch.Tensor]] = {}
        hows: dict[str, Names] = {}
        for name, tensor in state.items():
            match = self.find(name, layout)
            if match is None:
                raise WeightsError(
                    f"{name} is not a tensor of the {layout} layout; check where the file is from."
                )
            pieces.setdefault(match.ours, {})[match.slot] = tensor
            hows[match.ours] = match.names
        return {ours: _join(ours, parts, hows[ours]) for ours, parts in pieces.items()}

    def from_ours(self, state: Mapping[str, torch.Tensor], layout: str) -> Tensors:
        """Translate our state dict to ``layout``, in the order of the table.

        Raises:
            WeightsError: the layout has no name for one of the tensors.
        """
        found: list[tuple[int, list[tuple[str, torch.Tensor]]]] = []
        for ours, tensor in state.items():
            match = self._find_ours(ours, layout)
            if match is None:
                raise WeightsError(
                    f"{ours} has no name in the {layout} layout, which does not know this kind of model; "
                    "choose another layout, such as native."
                )
            index, names, theirs = match
            found.append((index, list(zip(theirs, _split(ours, tensor, names), strict=True))))
        found.sort(key=lambda entry: entry[0])
        return {name: tensor for _, entry in found for name, tensor in entry}


def _join(ours: str, parts: Mapping[int, torch.Tensor], names: Names) -> torch.Tensor:
    tensors = [parts[slot] for slot in sorted(parts)]
    if names.how == "rows":
        if len(tensors) != len(names.templates):
            raise WeightsError(
                f"{ours} is missing parts; expected all of {', '.join(names.templates)} in the file."
            )
        return torch.cat(tensors)
    if names.how == "copies" and any(not torch.equal(tensors[0], other) for other in tensors[1:]):
        raise WeightsError(f"{' and '.join(names.templates)} differ, expected copies; the file is damaged.")
    if names.how == "reshape":
        if tuple(tensors[0].shape) != names.shape:
            raise WeightsError(
                f"{names.templates[0]} has shape {tuple(tensors[0].shape)}, expected {names.shape}; "
                "the file is of another model."
            )
        return tensors[0].reshape([size for size in names.shape if size != 1])
    return tensors[0]


def _split(ours: str, tensor: torch.Tensor, names: Names) -> list[torch.Tensor]:
    count = len(names.templates)
    if names.how == "rows":
        if tensor.ndim == 0 or tensor.shape[0] % count:
            raise WeightsError(
                f"{ours} has shape {tuple(tensor.shape)}, expected rows that divide into {count} parts."
            )
        return [part.clone() for part in tensor.chunk(count)]
    if names.how == "reshape":
        expected = [size for size in names.shape if size != 1]
        if list(tensor.shape) != expected:
            raise WeightsError(f"{ours} has shape {tuple(tensor.shape)}, expected {tuple(expected)}.")
        return [tensor.reshape(names.shape)]
    return [tensor] + [tensor.clone() for _ in range(count - 1)]
