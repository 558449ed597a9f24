"""Small holes and islands of hard masks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.tracking.masks import small_regions

__all__ = ["fill_small_holes", "remove_small_islands"]

Mask = NDArray[np.bool_]


def fill_small_holes(mask: Mask, area: int) -> tuple[Mask, bool]:
    """Fill 8-connected regions of fewer than ``area`` pixels around a mask; also whether there were any."""
    small = small_regions(~mask, area - 1)
    return mask | small, bool(small.any())


def remove_small_islands(mask: Mask, area: int) -> tuple[Mask, bool]:
    """Remove 8-connected regions of fewer than ``area`` pixels; also whether there were any.

    Where all are small the largest stays.
    """
    small = small_regions(mask, area - 1)
    if not small.any():
        return mask, False
    left = mask & ~small
    return (left if left.any() else _largest(mask)), True


def _largest(mask: Mask) -> Mask:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    largest: Mask = labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    return largest
