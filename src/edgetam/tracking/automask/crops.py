"""Where to look: overlapping parts of an image, a grid of points on each, and what their edges cut off."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "Crop", "at_inner_edge", "list_crops", "point_grid", "points_of_layer"]

Box = tuple[int, int, int, int]

EDGE = 20
"""A mask this close to an edge, in pixels, is cut off by it."""


class Crop(NamedTuple):
    """A part of an image: x0, y0, x1, y1 with the last two outside; layer 0 is the whole image."""

    box: Box
    layer: int


def list_crops(width: int, height: int, layers: int, overlap: float) -> list[Crop]:
    """The whole image, then for each layer i a grid of ``2^i`` times ``2^i`` overlapping parts.

    Args:
        width, height: of the image, in pixels.
        layers: beyond the whole image.
        overlap: of neighbours in the first layer and direction, relative to half the shorter side.
    """
    crops = [Crop((0, 0, width, height), 0)]
    for layer in range(1, layers + 1):
        many = 2**layer
        shared = int(overlap * min(width, height) * 2 / many)
        wide, high = (math.ceil((shared * (many - 1) + side) / many) for side in (width, height))
        for i in range(many):
            for j in range(many):
                x, y = (wide - shared) * i, (high - shared) * j
                crops.append(Crop((x, y, min(x + wide, width), min(y + high, height)), layer))
    return crops


def point_grid(per_side: int) -> NDArray[np.float64]:
    """Centres of ``per_side`` times ``per_side`` cells of the unit square, row by row: ``[n * n, 2]``."""
    centres = (np.arange(per_side) + 0.5) / per_side
    return np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)


def points_of_layer(per_side: int, divisor: int, layer: int) -> int:
    """Points per side of a layer; at least one."""
    return max(1, int(per_side / divisor**layer))


def at_inner_edge(boxes: NDArray[Any], crop: Box, width: int, height: int) -> NDArray[np.bool_]:
    """Which boxes ``[N, 4]`` of an image end near an edge of a crop that is no edge of the image."""
    near_crop = np.abs(boxes - np.array(crop)) <= EDGE
    near_image = np.abs(boxes - np.array((0, 0, width, height))) <= EDGE
    inner: NDArray[np.bool_] = (near_crop & ~near_image).any(axis=1)
    return inner
