"""Of boxes that overlap, keep the best."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["suppress"]


def suppress(boxes: NDArray[Any], scores: NDArray[Any], limit: float) -> NDArray[np.int64]:
    """Greedy non-maximum suppression.

    Args:
        boxes: ``[N, 4]`` x0, y0, x1, y1; the area of a box is ``(x1 - x0) * (y1 - y0)``.
        scores: ``[N]``; the lower index wins a tie.
        limit: a box goes when its IoU with a better one that stays is higher.

    Returns:
        Indices of those that stay, best first.
    """
    corners = boxes.astype(np.float32).reshape(-1, 4)
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    left = np.argsort(-scores, kind="stable")
    kept = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        shared = np.minimum(corners[left, 2:], corners[best, 2:]) - np.maximum(
            corners[left, :2], corners[best, :2]
        )
        inner = shared.clip(min=0).prod(axis=1)
        with np.errstate(invalid="ignore"):  # boxes without an area: NaN is not higher
            iou = inner / (areas[left] + areas[best] - inner)
        left = left[~(iou > np.float64(limit))]
    return np.array(kept, np.int64)
