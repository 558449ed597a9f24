"""Cutting things out of pictures, filling the hole, and drawing them elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.train.data.clip import Mask, Rgb
from edgetam.train.data.geometry import FILL

__all__ = ["Cutout", "Sprite", "backdrop", "cut_out", "draw", "filled"]

_MARGIN = 3
"""Pixels around an object that its cut-out keeps, so that its edge is soft."""


@dataclass(frozen=True)
class Cutout:
    """A thing without its surroundings, and where it was: x, y of the corner in pixels."""

    canvas: NDArray[np.uint8]  # [h, w, 4] red, green, blue, opacity
    corner: tuple[int, int]

    @property
    def centre(self) -> NDArray[np.float64]:
        """The middle in pixels of the picture: x, y."""
        height, width = self.canvas.shape[:2]
        return np.array([self.corner[0] + width / 2, self.corner[1] + height / 2])


@dataclass(frozen=True)
class Sprite:
    """A thing on screen.

    ``maps`` go from pixels of the canvas to pixels of the frame; ``bends`` displace control points that are
    spread over the thing's box on screen, in pixels of the canvas.
    """

    canvas: NDArray[np.uint8]  # [h, w, 4]
    maps: NDArray[np.float64]  # [T, 3, 3]
    bends: NDArray[np.float32] | None = None  # [T, G, G, 2]


def cut_out(pixels: Rgb, mask: Mask) -> Cutout:
    """Cut an object out of a picture; the mask is not empty."""
    x, y, width, height = cv2.boundingRect(mask)
    left, top = max(0, x - _MARGIN), max(0, y - _MARGIN)
    window = np.s_[top : y + height + _MARGIN, left : x + width + _MARGIN]
    soft = cv2.blur(mask[window], (3, 3), borderType=cv2.BORDER_REPLICATE)
    return Cutout(np.dstack((pixels[window], soft)), (left, top))


def filled(pixels: Rgb, mask: Mask) -> Rgb:
    """The picture without what is in the mask: filled from around, ever more blurred."""
    keep = cv2.bitwise_not(mask).astype(np.float32) / 255
    levels = [(pixels * keep[..., None], keep)]
    while min(levels[-1][1].shape) > 2:
        value, weight = levels[-1]
        half = (max(1, weight.shape[1] // 2), max(1, weight.shape[0] // 2))
        levels.append(
            (
                cv2.resize(value, half, interpolation=cv2.INTER_AREA),
                cv2.resize(weight, half, interpolation=cv2.INTER_AREA),
            )
        )
    value, weight = levels[-1]
    out = value / np.maximum(weight, 1e-4)[..., None]
    for value, weight in reversed(levels[:-1]):
        coarse = cv2.resize(out, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        out = value + coarse * (1 - weight)[..., None]
    return np.clip(out, 0, 255).astype(np.uint8)


@lru_cache(maxsize=64)
def _ramp(start: int, stop: int) -> NDArray[np.float32]:
    return np.arange(start, stop, dtype=np.float32)


def _sources(
    inverse: NDArray[Any], window: tuple[int, int, int, int], bend: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Where the pixels of a window x0, y0, x1, y1 are taken from: ``[h, w, 2]``, x before y."""
    x0, y0, x1, y1 = window
    a = inverse.astype(np.float32)
    out = np.empty((y1 - y0, x1 - x0, 2), np.float32)
    for k in (0, 1):
        np.add(a[k, 0] * _ramp(x0, x1), (a[k, 1] * _ramp(y0, y1) + a[k, 2])[:, None], out=out[..., k])
    if bend is not None:
        out += bend
    return out


def _spread(
    bend: NDArray[np.float32], box: tuple[float, float, float, float], window: tuple[int, int, int, int]
) -> NDArray[np.float32]:
    """Displacements ``[h, w, 2]`` in a window, from control points that span a box."""
    x0, y0, x1, y1 = window
    last = bend.shape[0] - 1
    across, down = last / max(box[2] - box[0], 1.0), last / max(box[3] - box[1], 1.0)
    affine = np.array([[across, 0, (x0 - box[0]) * across], [0, down, (y0 - box[1]) * down]], np.float32)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(bend, affine, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def backdrop(
    canvas: Rgb,
    labels: NDArray[np.uint8],
    to_frame: NDArray[np.float64],
    bend: NDArray[np.float32] | None,
    size: int,
) -> tuple[Rgb, NDArray[np.uint8]]:
    """Draw a picture and its labels; beyond its edges is nothing, as mirrored objects would be others."""
    window = (0, 0, size, size)
    spread = None if bend is None else _spread(bend, (0, 0, size - 1, size - 1), window)
    grid = _sources(np.linalg.inv(to_frame), window, spread)
    drawn = (
        cv2.remap(image, grid, None, way, borderMode=cv2.BORDER_CONSTANT, borderValue=beyond)
        for image, way, beyond in ((canvas, cv2.INTER_LINEAR, FILL), (labels, cv2.INTER_NEAREST, 0))
    )
    return next(drawn), next(drawn)


def draw(sprite: Sprite, t: int, frame: Rgb, owner: NDArray[np.uint8], number: int) -> None:
    """Draw a thing over frame ``t`` and note its pixels with a number in ``owner`` ``[S, S]``."""
    height, width = sprite.canvas.shape[:2]
    to_frame = sprite.maps[t]
    corners = to_frame @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    box = (*corners[:2].min(1).tolist(), *corners[:2].max(1).tolist())
    size = frame.shape[0]
    x0, y0 = (max(0, int(v)) for v in box[:2])
    x1, y1 = (min(size, int(v) + 1) for v in box[2:])
    if x1 <= x0 or y1 <= y0:
        return
    window = (x0, y0, x1, y1)
    spread = None if sprite.bends is None else _spread(sprite.bends[t], box, window)
    grid = _sources(np.linalg.inv(to_frame), window, spread)
    patch = cv2.remap(sprite.canvas, grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    opacity = patch[..., 3]
    share = opacity.astype(np.float32) * np.float32(1 / 255)
    below = frame[y0:y1, x0:x1]
    below[...] = cv2.blendLinear(np.ascontiguousarray(patch[..., :3]), below, share, 1 - share)
    owner[y0:y1, x0:x1][opacity > 127] = number
