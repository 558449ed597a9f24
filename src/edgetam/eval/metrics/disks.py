"""The disk that a boundary is dilated with, as runs of pixels."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

__all__ = ["BOUND", "Run", "bound_radius", "diagonal", "disk"]

BOUND = 0.008
"""Tolerance of the boundary measure as a share of the image diagonal (Perazzi et al., CVPR 2016)."""


class Run(NamedTuple):
    """The offsets ``(dy, first)..(dy, last)`` of a structuring element's row."""

    dy: int
    first: int
    last: int


def diagonal(height: int, width: int) -> float:
    """Return the length of an image's diagonal in pixels."""
    return math.sqrt(height * height + width * width)


def bound_radius(height: int, width: int, bound_th: float = BOUND) -> float:
    """Return the tolerance in pixels: a share of the diagonal, rounded up; from 1 on ``bound_th`` itself."""
    return bound_th if bound_th >= 1 else float(math.ceil(bound_th * diagonal(height, width)))


@lru_cache(maxsize=1024)
def disk(radius: float) -> tuple[Run, ...]:
    """Return the disk ``x^2 + y^2 <= radius^2`` as the official evaluators build and place it.

    A whole radius gives the usual disk. They sample a fractional one at ``-radius, 1 - radius, ...``, which
    makes an off-centre element; of a very small one nothing is left, and OpenCV takes that as its corner.
    """
    steps = np.arange(-radius, radius + 1)
    anchor = len(steps) // 2
    inside = steps[:, None] ** 2 + steps[None, :] ** 2 <= radius**2  # [n, n]
    runs = []
    for row, columns in enumerate(inside):
        filled = np.flatnonzero(columns)
        if filled.size:
            runs.append(Run(row - anchor, int(filled[0]) - anchor, int(filled[-1]) - anchor))
    return tuple(runs) or (Run(-anchor, -anchor, -anchor),)
