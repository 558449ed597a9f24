"""Pictures without some of their objects: what was behind them is made up."""

from __future__ import annotations

import cv2
import numpy as np

from edgetam.train.data.clip import Mask, Rgb
from edgetam.train.data.sprites import filled

__all__ = ["emptied", "mended"]

_GHOST = 0.15
"""Part of a hole that may show the object which was cut out, mirrored."""

_DECOY = 0.5
"""How often a picture that objects were cut out of has holes of the same shape elsewhere."""

_GRAIN = 8
"""Most that grain is above or below its surroundings, of 255."""


def emptied(dice: np.random.Generator, canvas: Rgb, masks: list[Mask], rooted: list[Mask]) -> Rgb:
    """The picture without some objects: blur with grain, or over it what a mirrored picture shows there.

    Often the same is done elsewhere, where nothing was: what is filled in must not say what moves.
    """
    if not masks:
        return canvas
    reach = 2 * (canvas.shape[0] // 60) + 1  # masks are too small more often than too large
    hole = cv2.dilate(np.bitwise_or.reduce(masks), np.ones((reach, reach), np.uint8))
    if dice.random() < _DECOY:
        hole |= _elsewhere(dice, hole, rooted)
    return _closed(dice, canvas, hole)


def mended(dice: np.random.Generator, canvas: Rgb, masks: list[Mask]) -> Rgb:
    """The picture with all objects, and beside them a hole filled in as one of them would leave it."""
    hole = _elsewhere(dice, masks[int(dice.integers(len(masks)))], masks)
    return _closed(dice, canvas, hole) if hole.any() else canvas


def _elsewhere(dice: np.random.Generator, hole: Mask, spared: list[Mask]) -> Mask:
    """A hole of the same shape in another place, without what must stay."""
    shift = dice.integers(hole.shape[0] // 4, 3 * hole.shape[0] // 4, 2)
    moved = np.roll(hole, tuple(shift.tolist()), (0, 1))
    return moved & cv2.bitwise_not(np.bitwise_or.reduce([*spared, np.zeros_like(hole)]))


def _closed(dice: np.random.Generator, canvas: Rgb, hole: Mask) -> Rgb:
    """Fill a hole with blur and grain, or with what the mirrored picture shows there."""
    out = _grained(filled(canvas, hole), canvas, hole)
    if dice.random() < 0.4:
        return out
    overlap, way = min((cv2.countNonZero(hole & cv2.flip(hole, way)), way) for way in (-1, 0, 1))
    if overlap > _GHOST * cv2.countNonZero(hole):  # the object itself would be seen there
        return out
    share = cv2.blur(hole, (5, 5)).astype(np.float32) / 255
    return cv2.blendLinear(cv2.flip(canvas, way), out, share, 1 - share)


def _grained(out: Rgb, canvas: Rgb, hole: Mask) -> Rgb:
    """A filled picture with the grain, not the outlines, that the mirrored one has in the hole."""
    other = cv2.flip(canvas, 1)
    fine = cv2.subtract(other, cv2.blur(other, (5, 5)), dtype=cv2.CV_16S).clip(-_GRAIN, _GRAIN)
    grained = cv2.add(out, fine, mask=hole, dtype=cv2.CV_8U)
    return cv2.copyTo(grained, hole, out)
