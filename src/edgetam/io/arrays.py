"""Frames that are in memory already: arrays and PIL images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgetam.errors import MediaError
from edgetam.io.orientation import upright, upright_size

__all__ = ["ArrayFrames", "as_rgb"]

Rgb = npt.NDArray[np.uint8]
"""``[H, W, 3]``."""


def as_rgb(image: Any) -> Rgb:
    """Turn one picture into uint8 RGB.

    Args:
        image: a PIL image, which is turned upright by its EXIF orientation as `read_image` does, or an
            array (or what NumPy takes for one) ``[H, W]``, ``[H, W, 1]``, ``[H, W, 3]`` or
            ``[H, W, 4]`` of uint8 or uint16 (its upper byte is kept); an alpha channel is dropped.

    Returns:
        uint8 ``[H, W, 3]``; the same memory where nothing had to be changed.

    Raises:
        MediaError: another shape or type.
    """
    if isinstance(image, Image.Image):
        return pil_to_rgb(image)
    array = _as_array(image)
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or array.size == 0:
        raise MediaError(
            f"The picture has shape {array.shape} and type {array.dtype}; expected [H, W, 3] of uint8 "
            "(or [H, W] for grey)."
        )
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.dtype != np.uint8:
        raise MediaError(
            f"The picture has type {array.dtype}; expected uint8 (0..255), so convert it first, "
            "for instance with (255 * picture).astype('uint8')."
        )
    if channels == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)  # [H, W, 3]
    return np.ascontiguousarray(array[..., :3])


def _as_array(image: Any) -> npt.NDArray[Any]:
    if isinstance(image, (str, os.PathLike)):
        raise MediaError(f"The picture is the path '{image}'; expected pixels, so pass read_image(path).")
    try:
        return np.asarray(image)
    # the last are tensors' words for memory elsewhere, gradients and types that NumPy lacks
    except (ValueError, TypeError, RuntimeError) as error:
        raise MediaError(
            f"The picture is not a rectangle of pixels ({error}); expected [H, W, 3]."
        ) from error


def pil_to_rgb(image: Image.Image, *, turn: bool = True) -> Rgb:
    """Convert as ``image.convert("RGB")`` does, except for 16 bits, where PIL would clip at 255.

    Args:
        image: any but one of floating-point values.
        turn: turn it upright by its EXIF orientation.

    Returns:
        uint8 ``[H, W, 3]``.

    Raises:
        MediaError: it holds floating-point values.
    """
    if turn:
        image = upright(image)
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)  # [H, W]
        # 16 bits lose their lower byte whatever they show: dark frames must not flare up
        shift = 8 if image.mode != "I" or (wide.size and int(wide.max()) > 255) else 0
        grey = (wide >> shift).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "F":
        raise MediaError("The image holds floating-point values; save it with 8 or 16 bits first.")
    # A copy: PIL's own buffer is read-only.
    return np.array(image.convert("RGB"))


class ArrayFrames:
    """A sequence of pictures as a source of frames.

    Args:
        frames: ``[T, H, W, 3]``, or a sequence of arrays or PIL images of one size.
        name: what to call it in results.
        fps: frames per second, when known.

    Raises:
        MediaError: no frames, frames of different sizes, or a first frame that is no picture.
    """

    def __init__(
        self, frames: Sequence[Any] | npt.NDArray[Any], *, name: str = "frames", fps: float | None = None
    ):
        if len(frames) == 0:
            raise MediaError("There are no frames in the sequence; give at least one.")
        self.name = name
        self.fps = fps
        self._frames = frames
        self.height, self.width = as_rgb(frames[0]).shape[:2]
        for index in range(1, len(frames)):
            if _size(frames[index]) != (self.height, self.width):
                height, width = _size(frames[index])
                raise MediaError(
                    f"Frame {index} is {width}x{height} but frame 0 is {self.width}x{self.height}; "
                    "bring all frames to one size first."
                )

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Rgb:
        if not 0 <= index < len(self):
            raise IndexError(f"Frame {index} is outside 0..{len(self) - 1}.")
        return as_rgb(self._frames[index])

    def time(self, index: int) -> float | None:
        """Seconds from the start, or None without a frame rate."""
        return index / self.fps if self.fps else None

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> ArrayFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _size(frame: Any) -> tuple[int, int]:
    if isinstance(frame, Image.Image):
        width, height = upright_size(frame)
        return height, width
    shape = _as_array(frame).shape
    if len(shape) not in (2, 3):
        raise MediaError(f"A frame has shape {shape}; expected [H, W, 3] (or [H, W] for grey).")
    return shape[0], shape[1]
