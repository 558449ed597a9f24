"""One mask that nobody asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgetam.tracking.automask.crops import Box

__all__ = ["AutoMask"]


@dataclass(frozen=True, eq=False)
class AutoMask:
    """A mask and how it was found. Only the part inside its box is stored.

    Attributes:
        patch: bool ``[y1 - y0 + 1, x1 - x0 + 1]``, the mask inside its box.
        box: x0, y0, x1, y1 of the outermost pixels, all four of them inside.
        size: width and height of the image.
        score: the model's own estimate of the mask's IoU.
        stability: IoU of the masks cut a little above and below the threshold.
        point: x, y of the click it answers, in pixels.
        crop: x0, y0, x1, y1 of the part of the image that was looked at; the last two are outside.
    """

    patch: NDArray[np.bool_]
    box: Box
    size: tuple[int, int]
    score: float
    stability: float
    point: tuple[float, float]
    crop: Box

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The whole mask, bool ``[H, W]``."""
        whole = np.zeros(self.size[::-1], bool)
        x0, y0, x1, y1 = self.box
        whole[y0 : y1 + 1, x0 : x1 + 1] = self.patch
        return whole

    @property
    def area(self) -> int:
        """Pixels inside."""
        return int(self.patch.sum())

    def with_mask(self, mask: NDArray[np.bool_]) -> AutoMask:
        """The same with another mask ``[H, W]``, which must not be empty."""
        box = bounding_box(mask)
        return replace(self, box=box, patch=cut(mask, box))

    def placed(self, size: tuple[int, int]) -> AutoMask:
        """From the coordinates of its crop to those of the image of this size."""
        x, y = self.crop[:2]
        box = (self.box[0] + x, self.box[1] + y, self.box[2] + x, self.box[3] + y)
        return replace(self, box=box, size=size, point=(self.point[0] + x, self.point[1] + y))


def bounding_box(mask: NDArray[np.bool_]) -> Box:
    """x0, y0, x1, y1 of the outermost pixels of a mask ``[H, W]``; all 0 where it is empty, as published."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not columns.size:
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def cut(mask: NDArray[np.bool_], box: Box) -> NDArray[np.bool_]:
    """A copy of the part of a mask inside a box."""
    x0, y0, x1, y1 = box
    return mask[y0 : y1 + 1, x0 : x1 + 1].copy()
