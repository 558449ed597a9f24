"""One crop, flip and affine map for all frames of a clip and their masks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.train.data.clip import Mask, Rgb

__all__ = ["FILL", "Geometry", "resized", "rotation"]

FILL = (123, 116, 103)
"""The mean colour of ImageNet: what lies outside a picture."""

_FAR_SMALLER = 4
"""From here on, INTER_AREA is as fast as anything."""

Affine = NDArray[np.float32]  # [2, 3]


@dataclass(frozen=True)
class Geometry:
    """From a picture of any size to a square one.

    ``box`` is x0, y0, x1, y1 in parts of the sides; ``affine`` maps output pixels of a square of side 1,
    measured from its middle, to where they are taken from.
    """

    size: int
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    flip: bool = False
    affine: Affine | None = None

    def image(self, pixels: Rgb) -> Rgb:
        """Map a picture ``[H, W, 3]``."""
        height, width = pixels.shape[:2]
        return self._turned(resized(self._part(pixels, (height, width)), self.size), FILL)

    def mask(self, mask: Mask, like: tuple[int, int]) -> NDArray[np.bool_]:
        """Map a mask of any resolution; ``like`` is the height and width that the picture was decoded to."""
        # Through grey values, not by nearest pixels: thin things stay whole.
        part = _thinned(self._part(mask, like), 2 * self.size)
        return self._turned(resized(part, self.size), 0) > 127

    def still(self) -> Geometry:
        """The same without the affine map."""
        return replace(self, affine=None)

    def _part(self, pixels: NDArray[np.uint8], like: tuple[int, int]) -> NDArray[np.uint8]:
        # The box is rounded once, in pixels of the picture, or mask and picture would drift apart.
        x0, y0, x1, y1 = self.box
        left, right = math.floor(x0 * like[1]), math.ceil(x1 * like[1])
        top, bottom = math.floor(y0 * like[0]), math.ceil(y1 * like[0])
        down, across = pixels.shape[0] / like[0], pixels.shape[1] / like[1]
        return pixels[round(top * down) : round(bottom * down), round(left * across) : round(right * across)]

    def _turned(self, square: NDArray[np.uint8], fill: int | tuple[int, int, int]) -> NDArray[np.uint8]:
        if self.flip:
            square = cv2.flip(square, 1)
        if self.affine is None:
            return square
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(
            square, _in_pixels(self.affine, self.size), (self.size, self.size), flags=flags, borderValue=fill
        )


def _thinned(mask: Mask, least: int) -> Mask:
    """Every second, third, ... row and column of a mask much larger than ``least``: it has no fine detail."""
    step = min(mask.shape) // least
    return np.ascontiguousarray(mask[step // 2 :: step, step // 2 :: step]) if step > 1 else mask


def resized(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Squeeze or stretch to ``size`` by ``size`` pixels."""
    height, width = pixels.shape[0] / size, pixels.shape[1] / size
    if max(height, width) > _FAR_SMALLER:
        return cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
    # A box of about the pixels that become one, and then one look into it: a fifth of the time of INTER_AREA.
    box = tuple(2 * int(times / 2) + 1 for times in (width, height))  # odd, or things would shift
    even = cv2.blur(pixels, box, borderType=cv2.BORDER_REPLICATE) if max(box) > 1 else pixels
    return cv2.resize(even, (size, size), interpolation=cv2.INTER_LINEAR)


def rotation(degrees: float, shear: float) -> Affine:
    """An affine map that turns and shears about the middle."""
    angle, slant = math.radians(degrees), math.tan(math.radians(shear))
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, c * slant - s, 0.0], [s, s * slant + c, 0.0]], np.float32)


def _in_pixels(affine: Affine, size: int) -> Affine:
    """The map for pixel numbers instead of parts of the side from the middle."""
    middle = (size - 1) / 2
    out = affine.copy()
    out[:, 2] = affine[:, 2] * size + middle - affine[:, :2] @ np.array([middle, middle], np.float32)
    return out
