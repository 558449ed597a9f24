"""Masks as PNG files: the palette, reading and writing."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from edgetam.errors import MediaError, OutputError
from edgetam.io.paths import as_path, look_at

__all__ = ["binary_png", "palette", "palette_png", "read_mask", "read_union", "rgba_png"]

Mask = npt.NDArray[np.bool_]
"""``[H, W]``."""


def palette() -> npt.NDArray[np.uint8]:
    """Return the 256 colours ``[256, 3]`` that VOC and DAVIS give to object ids.

    Bits 0, 3, 6 of an id become the high bits of red, bits 1, 4, 7 those of green, bits 2, 5 those of
    blue: neighbouring ids get colours far apart.
    """
    ids = np.arange(256)[:, None, None]  # [256, 1, 1]
    level = np.arange(8)[None, None, :]  # [1, 1, 8]
    channel = np.arange(3)[None, :, None]  # [1, 3, 1]
    bits = (ids >> (3 * level + channel)) & 1  # [256, 3, 8]
    colours: npt.NDArray[np.uint8] = (bits << (7 - level)).sum(axis=2).astype(np.uint8)  # [256, 3]
    return colours


_PALETTE = palette().ravel().tolist()


def palette_png(masks: Mapping[int, Mask], height: int, width: int) -> bytes:
    """Encode masks as one PNG whose pixel values are object ids; where masks overlap the smaller id wins.

    Raises:
        OutputError: an id does not fit into 1..255.
    """
    labels = np.zeros((height, width), np.uint8)
    for identity in sorted(masks, reverse=True):
        if not 1 <= identity <= 255:
            raise OutputError(
                f"Object id {identity} does not fit into a palette PNG (1..255); "
                "save 'objects' or 'coco' instead, or use smaller ids."
            )
        labels[masks[identity]] = identity
    image = Image.fromarray(labels)
    image.putpalette(_PALETTE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def binary_png(mask: Mask) -> bytes:
    """Encode one mask as a grey PNG of 0 and 255."""
    return _fast_png(mask.astype(np.uint8) * np.uint8(255))


def rgba_png(image: npt.NDArray[np.uint8], mask: Mask) -> bytes:
    """Encode the pixels ``[H, W, 3]`` inside a mask, transparent elsewhere."""
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    # Colours under transparent pixels stay black: they would leak the background and cost space.
    pixels[..., :3][mask] = image[mask][:, ::-1]
    pixels[..., 3][mask] = 255
    return _fast_png(pixels)


def _fast_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encode grey or BGRA with OpenCV, several times faster than PIL."""
    _, data = cv2.imencode(".png", pixels)
    return bytes(data)


def read_mask(path: str | os.PathLike[str]) -> dict[int, Mask]:
    """Read masks from a picture.

    A palette PNG gives one mask for each index but 0. Any other picture gives a single mask with id 1:
    where alpha is more than half when it has transparent pixels, else where grey is not black.

    Returns:
        Object id to bool ``[H, W]``; empty when nothing is marked.

    Raises:
        MediaError: the file is missing, damaged, or shows colours.
    """
    file = as_path(path, "The mask to read")
    if look_at(file) != "file":
        raise MediaError(f"There is no file '{file}'; check the path to the mask.")
    try:
        with Image.open(file) as image:
            image.load()
            return _masks_of(image, file)
    except MediaError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(f"Cannot read the mask '{file}': it is empty, damaged or not an image.") from error


def read_union(path: str | os.PathLike[str]) -> Mask:
    """Read a picture as one mask, all ids together; bool ``[H, W]``.

    Raises:
        MediaError: the file cannot be read or marks nothing.
    """
    masks = read_mask(path)
    if not masks:
        raise MediaError(f"The mask '{Path(path)}' marks nothing; expected pixels that are not black.")
    union: Mask = np.logical_or.reduce(list(masks.values()))
    return union


def _masks_of(image: Image.Image, file: Path) -> dict[int, Mask]:
    if image.mode == "P":
        labels = np.asarray(image)
        return {int(value): labels == value for value in np.unique(labels) if value}
    mask = _single(image, file)
    return {1: mask} if mask.any() else {}


def _single(image: Image.Image, file: Path) -> Mask:
    if "A" in image.getbands():
        alpha = np.asarray(image.getchannel("A"))
        if int(alpha.min()) < 255:
            return alpha > 127
        image = image.convert("RGB" if image.mode == "RGBA" else "L")
    pixels = np.asarray(image)
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise MediaError(f"The mask '{file}' has colours; expected a palette PNG, or black and white.")
        pixels = pixels[..., 0]
    lossy = image.format == "JPEG"  # its black is rarely quite black
    return pixels > (127 if lossy else 0)
