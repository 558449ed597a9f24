"""The textbook algorithm on whole pictures, to compare the fast one with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def edges(mask: Mask) -> Mask:
    """Pixels that differ from the right, lower or lower right neighbour; the border repeats."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:])


def near(mask: Mask, radius: int) -> Mask:
    """Pixels at most `radius` away from a marked one."""
    height, width = mask.shape
    result = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        rows, columns = np.ogrid[:height, :width]
        result |= (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return result


def region(pred: Mask, gt: Mask) -> float:
    union = (pred | gt).sum()
    return float((pred & gt).sum() / union) if union else 1.0


def contour(pred: Mask, gt: Mask, radius: int) -> float:
    found, wanted = edges(pred), edges(gt)
    if not found.any() or not wanted.any():
        return float(found.any() == wanted.any())
    precision = (found & near(wanted, radius)).sum() / found.sum()
    recall = (wanted & near(found, radius)).sum() / wanted.sum()
    total = precision + recall
    return float(2 * precision * recall / total) if total else 0.0
