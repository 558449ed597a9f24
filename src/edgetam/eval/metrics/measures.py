"""What is measured on one object in one frame, for each family of evaluators."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgetam.eval.metrics.bits import boundary, compiled_boundary
from edgetam.eval.metrics.disks import BOUND, bound_radius, diagonal, disk
from edgetam.eval.metrics.similarity import (
    Boundary,
    boundary_similarity,
    match_boundaries,
    pack_pair,
    reach,
    region_similarity,
)

__all__ = ["Measure", "jf", "lvos_jf", "mosev2", "small_f", "smoothed_scores"]

Mask = npt.NDArray[np.bool_]
"""``[H, W]``."""
Measure = Callable[[Mask, Mask], dict[str, float]]
"""From a prediction and its ground truth ``[H, W]`` to named numbers, with ``"J"`` and ``"F"`` among them."""


def jf(pred: Mask, gt: Mask, edges: Boundary = boundary) -> dict[str, float]:
    """J and F of DAVIS, SA-V and vos-benchmark."""
    element = disk(bound_radius(gt.shape[0], gt.shape[1]))
    pair = pack_pair(pred, gt, reach(element))
    if pair is None:
        return {"J": 1.0, "F": 1.0}
    return {"J": pair.jaccard, "F": match_boundaries(pair, element, edges)}


def lvos_jf(pred: Mask, gt: Mask) -> dict[str, float]:
    """J, and F by the compiled operator that the LVOS evaluator prefers when it has been built."""
    return jf(pred, gt, compiled_boundary)


def mosev2(pred: Mask, gt: Mask) -> dict[str, float]:
    """J smoothed by one pixel, F, the adaptive F (F-dot), and whether the object is absent (1 or 0)."""
    area = np.count_nonzero(gt)
    tolerance = math.ceil(0.1 * math.sqrt(area)) if area else math.inf
    j, f, dot = smoothed_scores(pred, gt, tolerance)
    return {"J": j, "F": f, "F-dot": dot, "absent": float(not area)}


def smoothed_scores(pred: Mask, gt: Mask, tolerance: float) -> tuple[float, float, float]:
    """Return MOSEv2's J, F, and F with a tolerance in pixels that is capped at that of F.

    As published, where the cap wins it is not rounded, and F then uses it as well.
    """
    cap = BOUND * diagonal(gt.shape[0], gt.shape[1])
    tight, wide = (float(tolerance), float(math.ceil(cap))) if tolerance < cap else (cap, cap)
    pair = pack_pair(pred, gt, max(reach(disk(tight)), reach(disk(wide))))
    if pair is None:
        return 1.0, 1.0, 1.0
    f = match_boundaries(pair, disk(wide))
    dot = f if tight == wide else match_boundaries(pair, disk(tight))
    return (pair.intersection + 1) / (pair.union + 1), f, dot


def small_f(pred: Mask, gt: Mask, side: int = 360) -> dict[str, float]:
    """J as it is, and F of the masks resized so that their shorter side has ``side`` pixels (YouTube-VOS)."""
    height, width = gt.shape
    shorter = min(height, width)
    size = width * side // shorter, height * side // shorter
    small = [
        np.asarray(Image.fromarray(mask.view(np.uint8)).resize(size, Image.Resampling.NEAREST)) > 0
        for mask in (pred, gt)
    ]
    return {"J": region_similarity(pred, gt), "F": boundary_similarity(small[0], small[1])}
