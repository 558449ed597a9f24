"""Masks as bits of one whole number: a shift moves the picture, ``|`` unites, ``bit_count`` measures.

Only the box around both masks is looked at, and a machine word of pixels at a time. Nothing is approximated:
the counts are those of the plain algorithm on whole pictures.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgetam.eval.metrics.disks import Run

__all__ = ["Box", "Grid", "boundary", "bounding_box", "compiled_boundary", "dilate", "grid_of", "pack"]

Mask = npt.NDArray[np.bool_]
"""``[H, W]``."""


class Box(NamedTuple):
    """Half-open: columns ``x0..x1 - 1`` and rows ``y0..y1 - 1``."""

    x0: int
    y0: int
    x1: int
    y1: int

    def union(self, other: Box) -> Box:
        """Return the box around both; an empty one adds nothing."""
        if not other.x1:
            return self
        if not self.x1:
            return other
        return Box(
            min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1)
        )


class Grid(NamedTuple):
    """Where a packed picture lies: its box, the bits between two rows, and which image borders it touches."""

    box: Box
    stride: int
    left: bool
    right: bool
    bottom: bool

    @property
    def rows(self) -> int:
        """Rows of the box."""
        return self.box.y1 - self.box.y0

    def inner(self) -> int:
        """Bits of all columns that have a right neighbour in the image."""
        columns = self.box.x1 - self.box.x0 - self.right
        return _repeat((1 << columns) - 1, self.stride, self.rows)

    def last_row(self, bits: int) -> int:
        """Return the bits of the last row, where they are."""
        start = (self.rows - 1) * self.stride
        return bits >> start << start


def bounding_box(mask: Mask) -> Box:
    """Return the box around a mask, all zeros for an empty one."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return Box(x, y, x + width, y + height)


def grid_of(box: Box, height: int, width: int, guard: int) -> Grid:
    """Lay a grid over a box in an image, with a pixel more on the left and above for the boundary.

    At least ``guard`` zeros follow each row, so that what is moved sideways by as much never meets the next
    row.
    """
    roomy = Box(max(box.x0 - 1, 0), max(box.y0 - 1, 0), box.x1, box.y1)
    columns = -(-(roomy.x1 - roomy.x0 + max(guard, 1)) // 8) * 8  # whole bytes pack fastest
    return Grid(roomy, columns, box.x0 == 0, box.x1 == width, box.y1 == height)


def pack(mask: Mask, grid: Grid) -> int:
    """Return the part of a mask ``[H, W]`` on the grid as a number; bit ``y * stride + x`` is a pixel."""
    x0, y0, x1, y1 = grid.box
    room = np.zeros((grid.rows, grid.stride), np.bool_)
    room[:, : x1 - x0] = mask[y0:y1, x0:x1]
    return int.from_bytes(np.packbits(room.reshape(-1), bitorder="little").tobytes(), "little")


def boundary(bits: int, grid: Grid) -> int:
    """Return the pixels that differ from their right, lower or lower right neighbour.

    The image border is no boundary: what lies beyond it repeats the last pixel (``seg2bmap`` of the Berkeley
    benchmark, as all evaluators here use it).
    """
    below = bits >> grid.stride
    if grid.bottom:
        below |= grid.last_row(bits)
    beside = (bits ^ (bits >> 1)) | (bits ^ (below >> 1))
    if grid.left or grid.right:
        beside &= grid.inner()
    return beside | (bits ^ below)


def compiled_boundary(bits: int, grid: Grid) -> int:
    """Return the pixels that differ from the *union* of the three neighbours.

    That is what the compiled operator of the LVOS evaluator does, except on the last row and column.
    """
    below = bits >> grid.stride
    found = bits ^ ((bits >> 1) | below | (below >> 1))
    if grid.bottom:
        found ^= grid.last_row(found) ^ grid.last_row(bits ^ (bits >> 1))
    if grid.left or grid.right:
        inner = grid.inner()
        found &= inner
        if grid.right:
            below |= grid.last_row(bits) if grid.bottom else 0
            column = _repeat(1 << (grid.box.x1 - grid.box.x0 - 1), grid.stride, grid.rows)
            found |= (bits ^ below) & column
    return found


def dilate(bits: int, stride: int, element: tuple[Run, ...]) -> int:
    """Return all pixels from which an offset of the structuring element meets a set pixel.

    Runs of one length are built once, each from the next shorter one, and then only moved.
    """
    spans = {1: bits}
    length = 1
    for wanted in sorted({run.last - run.first + 1 for run in element}):
        span = spans[length]
        while length < wanted:
            step = min(length, wanted - length)
            span |= span << step
            length += step
        spans[wanted] = span
    result = 0
    for run in element:
        offset = run.dy * stride + run.last
        span = spans[run.last - run.first + 1]
        result |= span >> offset if offset >= 0 else span << -offset
    return result


def _repeat(row: int, stride: int, rows: int) -> int:
    """Return a row of bits repeated below itself."""
    result, done = row, 1
    while done < rows:
        step = min(done, rows - done)
        result |= result << (step * stride)
        done += step
    return result
