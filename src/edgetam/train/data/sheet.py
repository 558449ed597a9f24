"""A picture of clips as training sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np

from edgetam.errors import ConfigError, InputError
from edgetam.io.draw import overlay
from edgetam.train.data.clip import Ask, Clip, ClipSource, Rgb

__all__ = ["clip_row", "contact_sheet"]

_TILE, _GAP, _ROWS = 144, 4, 4
_TITLE = 26
_INK, _PAPER = (230, 230, 230), 24


def clip_row(clip: Clip) -> list[Rgb]:
    """The frames of a clip with its masks painted over them."""
    frames, masks = clip.frames.numpy(), clip.masks.numpy()
    rows = range(masks.shape[1])
    return [overlay(frame, {o + 1: row[o] for o in rows}) for frame, row in zip(frames, masks, strict=True)]


def contact_sheet(sources: Mapping[str, ClipSource], asks: Mapping[str, Ask], seed: int = 0) -> Rgb:
    """Draw four clips of every source, one per row, below the name of the source."""
    columns = max(asks[name].frames for name in sources)
    return np.concatenate(
        [_band(name, source, asks[name], columns, seed) for name, source in sources.items()]
    )


def _band(name: str, source: ClipSource, ask: Ask, columns: int, seed: int) -> Rgb:
    pitch = _TILE + _GAP
    band = np.full((_TITLE + _ROWS * pitch, columns * pitch + _GAP, 3), _PAPER, np.uint8)
    cv2.putText(band, name, (_GAP, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
    for number in range(_ROWS):
        top = _TITLE + number * pitch
        for column, frame in enumerate(_row(source, ask, np.random.default_rng([seed, number]))):
            left = _GAP + column * pitch
            small = cv2.resize(frame, (_TILE, _TILE), interpolation=cv2.INTER_AREA)
            band[top : top + _TILE, left : left + _TILE] = small
    return band


def _row(source: ClipSource, ask: Ask, dice: np.random.Generator) -> list[Rgb]:
    """A clip, or as many images; broken samples leave a gap, since the report names them."""
    try:
        return clip_row(source.sample(dice, ask))
    except ConfigError:  # images have no more than one frame
        return [frame for _ in range(ask.frames) for frame in _image(source, replace(ask, frames=1), dice)]
    except InputError:
        return []


def _image(source: ClipSource, ask: Ask, dice: np.random.Generator) -> list[Rgb]:
    try:
        return clip_row(source.sample(dice, ask))
    except InputError:
        return [np.full((_TILE, _TILE, 3), _PAPER, np.uint8)]
