"""What grey masks hold, decided once for all masks of a data set: alone, some could mean two things."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgetam.errors import ConfigError, MediaError
from edgetam.train.data.decode import Grey, brightest, grey_counts
from edgetam.train.data.files import Files

__all__ = ["MASK_VALUES", "grey_of"]

MASK_VALUES = (Grey.IDS.value, Grey.BINARY.value)
"""What ``masks`` of a description can be."""

Told = TypeVar("Told")

_LOOKED_AT = 32

_FAR_MORE = 10
"""255 that covers so many times what all other values do is hardly void, ..."""
_BRIGHT = 64
"""... if there are values from this on: where little is labelled, objects have low numbers."""
_DOZENS = 24
_TINY = 0.0005
"""Share of a mask; objects below it are not learnt from, unless told."""


def grey_of(files: Files, masks: Sequence[str], wish: str | None) -> Grey:
    """What the grey ones of ``masks`` hold: the wish, or else what some of them show, evenly spread.

    255 beside ids is void, and 255 with nothing but 0 is an object, as DAVIS 2016 has it. Which of them it is
    cannot be told from a frame that the objects have left. With soft edges it is neither: each shade would be
    an object. What half is for "binary" masks follows from the brightest value they show, whatever they have
    room for: 1, up to 255, or more.

    Raises:
        ConfigError: the wish is unknown, or there is none and masks of both kinds, or soft ones, were seen.
    """
    if wish is not None:
        if wish not in MASK_VALUES:
            raise ConfigError(f"masks is {wish!r}, expected one of {', '.join(MASK_VALUES)}: choose one.")
        return _binary(files, masks) if wish == Grey.BINARY.value else Grey.IDS
    stark: list[str] = []
    others: dict[str, NDArray[np.int64]] = {}
    for name in _some(masks):
        counts = _told(files, name, grey_counts)
        if counts is None:
            continue
        if counts[1:255].any():
            others[name] = counts
        else:
            stark.append(name)
    if not others:
        return Grey.STARK if stark else Grey.IDS
    other = files.label(next(iter(others)))
    if stark:
        raise _unclear(f"'{files.label(stark[0])}' is black and white alone and '{other}' is not")
    if _are_soft(list(others.values())):
        raise _unclear(f"'{other}' and others look like masks with soft edges")
    return Grey.IDS


def _binary(files: Files, masks: Sequence[str]) -> Grey:
    """How bright white is; where nothing is seen, half is that of 8 bits."""
    white = max((_told(files, name, brightest) or 0 for name in _some(masks)), default=0)
    if white == 1:
        return Grey.BINARY_ONES
    return Grey.BINARY if white <= 255 else Grey.BINARY_WIDE


def _some(masks: Sequence[str]) -> list[str]:
    count = min(_LOOKED_AT, len(masks))
    return [masks[number * len(masks) // count] for number in range(count)]


def _told(files: Files, name: str, ask: Callable[[bytes], Told | None]) -> Told | None:
    """What a mask says; None where it cannot be read."""
    try:
        return ask(files.read(name))
    except MediaError:  # it is named when a clip is to be made of it
        return None


def _are_soft(counts: list[NDArray[np.int64]]) -> bool:
    """Whether values are shades and not object numbers: white by far, or in most masks dozens of specks."""
    total = np.sum(counts, axis=0)
    if total[255] > _FAR_MORE * total[1:255].sum() and total[_BRIGHT:255].any():
        return True
    return 2 * sum(_is_full_of_specks(one) for one in counts) > len(counts)


def _is_full_of_specks(counts: NDArray[np.int64]) -> bool:
    areas = counts[1:255][counts[1:255] > 0]
    return len(areas) >= _DOZENS and 2 * int((areas < _TINY * counts.sum()).sum()) > len(areas)


def _unclear(what: str) -> ConfigError:
    return ConfigError(
        f"{what}, expected grey masks of one kind: set 'masks' to 'ids' if values are object numbers and 255 "
        "is void, or to 'binary' if all that is bright is one object."
    )
