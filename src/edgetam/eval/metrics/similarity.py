"""Region similarity J and boundary similarity F of one object on one frame.

Source: Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR
2016, section 5, with the conventions of the evaluators that followed it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgetam.errors import InputError
from edgetam.eval.metrics.bits import Grid, boundary, bounding_box, dilate, grid_of, pack
from edgetam.eval.metrics.disks import BOUND, Run, bound_radius, disk

__all__ = [
    "Contour",
    "Packed",
    "boundary_similarity",
    "checked_pair",
    "contour",
    "f_measure",
    "frame_scores",
    "match_boundaries",
    "pack_pair",
    "reach",
    "region_similarity",
]

Mask = npt.NDArray[np.bool_]
"""``[H, W]``."""
Boundary = Callable[[int, Grid], int]
"""Finds the boundary of a packed mask."""


class Packed(NamedTuple):
    """A prediction and its ground truth on the grid around both."""

    pred: int
    gt: int
    grid: Grid

    @property
    def intersection(self) -> int:
        """Pixels in both."""
        return (self.pred & self.gt).bit_count()

    @property
    def union(self) -> int:
        """Pixels in either."""
        return (self.pred | self.gt).bit_count()

    @property
    def jaccard(self) -> float:
        """Intersection over union; 1 where both are empty."""
        union = self.union
        return self.intersection / union if union else 1.0


class Contour(NamedTuple):
    """The boundary of a packed mask, and all pixels near it."""

    edge: int
    near: int


def region_similarity(pred: Mask, gt: Mask, void: Mask | None = None) -> float:
    """Return J, the intersection over union of two masks ``[H, W]``; 1 where both are empty.

    Pixels of ``void`` count for nothing.

    Raises:
        InputError: the sizes differ.
    """
    pred, gt = checked_pair(pred, gt, void)
    union = np.count_nonzero(pred | gt)
    return np.count_nonzero(pred & gt) / union if union else 1.0


def boundary_similarity(pred: Mask, gt: Mask, void: Mask | None = None, bound_th: float = BOUND) -> float:
    """Return F, the harmonic mean of how precise and how complete the boundary of ``pred`` ``[H, W]`` is.

    A boundary pixel is right when the other boundary is at most ``bound_th`` image diagonals away, rounded up
    to pixels; a ``bound_th`` from 1 on is the distance itself. F is 1 where neither mask has a boundary.

    Raises:
        InputError: the sizes differ.
    """
    pred, gt = checked_pair(pred, gt, void)
    element = disk(bound_radius(gt.shape[0], gt.shape[1], bound_th))
    pair = pack_pair(pred, gt, reach(element))
    return match_boundaries(pair, element) if pair else 1.0


def frame_scores(pred: Mask, gt: Mask, void: Mask | None = None) -> tuple[float, float]:
    """Return J and F of two masks ``[H, W]``, faster than one after the other.

    Raises:
        InputError: the sizes differ.
    """
    pred, gt = checked_pair(pred, gt, void)
    element = disk(bound_radius(gt.shape[0], gt.shape[1]))
    pair = pack_pair(pred, gt, reach(element))
    return (pair.jaccard, match_boundaries(pair, element)) if pair else (1.0, 1.0)


def reach(element: tuple[Run, ...]) -> int:
    """Return how many columns a structuring element reaches to either side."""
    return max(max(-run.first, run.last) for run in element)


def pack_pair(pred: Mask, gt: Mask, guard: int) -> Packed | None:
    """Pack two masks ``[H, W]`` of one size over the box around both; None where both are empty."""
    box = bounding_box(pred).union(bounding_box(gt))
    if not box.x1:
        return None
    grid = grid_of(box, gt.shape[0], gt.shape[1], guard)
    return Packed(pack(pred, grid), pack(gt, grid), grid)


def contour(bits: int, grid: Grid, element: tuple[Run, ...], edges: Boundary = boundary) -> Contour:
    """Find the boundary of a packed mask, on a grid whose guard is as wide as the element reaches."""
    edge = edges(bits, grid)
    return Contour(edge, dilate(edge, grid.stride, element))


def f_measure(pred: Contour, gt: Contour) -> float:
    """Return F of two boundaries on one grid."""
    found, wanted = pred.edge.bit_count(), gt.edge.bit_count()
    if not (found and wanted):
        return float(found == wanted)
    precision = (pred.edge & gt.near).bit_count() / found
    recall = (gt.edge & pred.near).bit_count() / wanted
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def match_boundaries(pair: Packed, element: tuple[Run, ...], edges: Boundary = boundary) -> float:
    """Return F of a pair of masks."""
    pred, gt = (contour(bits, pair.grid, element, edges) for bits in (pair.pred, pair.gt))
    return f_measure(pred, gt)


def checked_pair(pred: Mask, gt: Mask, void: Mask | None = None) -> tuple[Mask, Mask]:
    """Return both masks ``[H, W]`` as booleans without the void pixels.

    Raises:
        InputError: the sizes differ.
    """
    given = [np.asarray(mask) for mask in (pred, gt) + (() if void is None else (void,))]
    if given[0].ndim != 2 or len({mask.shape for mask in given}) > 1:
        sizes = " and ".join("x".join(str(side) for side in mask.shape) for mask in given)
        raise InputError(f"The masks have the sizes {sizes}; expected masks [H, W] of one size.")
    masks = [np.ascontiguousarray(mask, np.bool_) for mask in given]
    if void is not None:
        masks = [mask & ~masks[2] for mask in masks[:2]]
    return masks[0], masks[1]
