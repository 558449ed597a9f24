"""Between the user's pixels and the model's: resizing and normalising, in NumPy.

The published code resizes images and video frames in different ways, and trained weights notice; both
ways are here.
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgetam.engine.base import Engine

__all__ = ["Floats", "prepare_frame", "prepare_image", "resize_logits", "resize_mask", "resize_mask_logits"]

Floats = NDArray[np.float32]

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
NORMALISED = (np.arange(256, dtype=np.float32)[:, None] / 255 - MEAN) / STD  # [256, 3]
"""What each byte becomes: looking it up is twice as fast as computing it for every pixel, and the same."""


def prepare_image(rgb: NDArray[np.uint8], size: int, how: Literal["image", "video"]) -> Floats:
    """Resize an RGB frame ``[H, W, 3]`` to a square and normalise it: ``[1, 3, size, size]``.

    The result is a view of an array with channels last, which is how engines want it in memory.

    As published, ``image`` is antialiased bilinear on floats and ``video`` is antialiased bicubic on bytes.
    """
    if how == "image":
        unit = rgb.astype(np.float32) / np.float32(255)
        channels = [_antialiased(unit[..., i], size, size) for i in range(3)]
        pixels: Any = (np.stack(channels, axis=-1) - MEAN) / STD
    else:
        resized = np.asarray(Image.fromarray(rgb).resize((size, size), Image.Resampling.BICUBIC))
        pixels = cv2.LUT(resized, NORMALISED[None])
    return pixels.transpose(2, 0, 1)[None]


def prepare_frame(rgb: NDArray[np.uint8], engine: Engine) -> Floats:
    """`prepare_image` of a video frame for an engine, which may have a faster way to the same."""
    faster = getattr(engine, "prepare_frame", None)
    prepared: Floats | None = faster(rgb, NORMALISED.T) if faster else None
    return prepare_image(rgb, engine.config.image_size, "video") if prepared is None else prepared


def resize_logits(logits: Floats, width: int, height: int) -> Floats:
    """Bilinear, corners not aligned: ``[h, w]`` to ``[height, width]``."""
    resized: Any = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized


def resize_mask(mask: NDArray[Any], size: int) -> Floats:
    """A mask ``[H, W]`` to zeros and ones ``[size, size]``: antialiased, then cut at one half.

    What is too thin for that anywhere is cut at half of its own maximum, so that it does not vanish (the
    published code goes on as if there were no object).
    """
    if mask.shape == (size, size):
        return mask.astype(np.float32)
    cover = _antialiased(mask.astype(np.float32), size, size)
    peak = float(cover.max())
    return (cover >= (0.5 if peak >= 0.5 else max(peak / 2, 1e-9))).astype(np.float32)


def resize_mask_logits(logits: Floats, size: int) -> Floats:
    """Logits of any size as a mask prompt ``[size, size]``."""
    return logits if logits.shape == (size, size) else _antialiased(logits, size, size)


def _antialiased(plane: Floats, width: int, height: int) -> Floats:
    resized = Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
    return np.array(resized, np.float32)  # a copy: PIL's own buffer is read-only
