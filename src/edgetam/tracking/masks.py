"""Small operations on mask logits and on stored memories, in NumPy."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.tracking.geometry import Floats

__all__ = ["NO_OBJECT", "fill_holes", "from_bf16", "keep_highest", "remove_specks", "to_bf16"]

NO_OBJECT = -1024.0
"""Logit of every pixel of an object that is not there."""
BF16_NAN = 0x7FC0
FILLED = 0.1
"""Logit given to a filled hole: barely inside, as published."""


def small_regions(inside: NDArray[np.bool_], area: int) -> NDArray[np.bool_]:
    """Pixels of 8-connected regions of at most ``area`` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] <= area
    small[0] = False
    return small[labels]


def fill_holes(logits: Floats, area: int) -> Floats:
    """Fill background regions of at most ``area`` pixels in ``[h, w]`` logits."""
    if area <= 0:
        return logits
    return np.where(small_regions(logits <= 0, area), np.float32(FILLED), logits)


def remove_specks(logits: Floats, area: int) -> Floats:
    """Remove foreground regions of at most ``area`` pixels from ``[h, w]`` logits."""
    if area <= 0:
        return logits
    return np.where(small_regions(logits > 0, area), np.float32(-FILLED), logits)


def keep_highest(logits: Floats) -> Floats:
    """Clamp ``[B, H, W]`` to at most -10 wherever another object has a higher logit; first wins ties."""
    mine = np.arange(len(logits))[:, None, None] == logits.argmax(axis=0)
    return np.where(mine, logits, np.minimum(logits, np.float32(-10)))


def to_bf16(x: Floats) -> NDArray[np.uint16]:
    """Round to bfloat16 (nearest even), kept as its 16 bits; NaN stays NaN."""
    bits = np.ascontiguousarray(x).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    # rounding would carry some NaNs over into infinity or zero
    return np.where(np.isnan(x), np.uint16(BF16_NAN), rounded)


def from_bf16(bits: NDArray[np.uint16]) -> Floats:
    """Undo `to_bf16`; exact."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
