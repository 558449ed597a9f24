"""Bytes to pictures and label maps, no larger than needed and never half."""

from __future__ import annotations

import io
from enum import Enum
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from edgetam.errors import MediaError
from edgetam.train.data.clip import Rgb

__all__ = ["Grey", "Labels", "Picture", "brightest", "decode_image", "decode_labels", "grey_counts"]

Labels = NDArray[np.uint8] | NDArray[np.int32]  # [H, W]

_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_NUMBERED = {"P", "L", "1", "I", "I;16", "I;16B"}
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
)
_END_OF_JPEG = b"\xff\xd9"
_TRAILER = 4096
"""Bytes that some writers put behind the end of a JPEG."""


class Grey(Enum):
    """What the values of grey masks are; those with a palette hold object numbers anyway."""

    IDS = "ids"
    """Object numbers; 255 is void."""
    BINARY = "binary"
    """One object where it is brighter than half of 255."""
    BINARY_ONES = "binary of 0 and 1"
    """One object where it is 1, or more."""
    BINARY_WIDE = "binary of 16 bits"
    """One object where it is brighter than half of 65535, or of 255 in masks of 8 bits."""
    STARK = "black and white"
    """One object where it is 255; other values than 0 are not expected, and refused."""


_HALF = {Grey.BINARY_ONES: 0, Grey.BINARY: 127, Grey.BINARY_WIDE: 32767}
"""The brightest value that is background."""


class Picture(NamedTuple):
    """A decoded picture, and the height and width it is stored with."""

    pixels: Rgb
    size: tuple[int, int]


def decode_image(data: bytes, name: str, least: int) -> Picture:
    """Decode a picture, at 1/2, 1/4 or 1/8 where both sides stay at least ``least`` pixels long.

    Raises:
        MediaError: it is damaged or not a picture; ``name`` says which.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if image.format == "JPEG" and _END_OF_JPEG not in data[-_TRAILER:]:
                image.load()  # stricter than OpenCV, which fills what is missing with grey
    except _ERRORS as error:
        raise _undecodable(name, error) from error
    part = min(height, width) // max(least, 1)
    # Data sets annotate stored pixels, whatever the EXIF orientation says.
    flag = next((flag for times, flag in _REDUCED if part >= times), cv2.IMREAD_COLOR)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise MediaError(f"'{name}' cannot be decoded: replace or remove it.")
    return Picture(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels), (height, width))


def decode_labels(data: bytes, name: str, grey: Grey = Grey.IDS) -> Labels:
    """Decode an image of object numbers: palette entries or grey values, up to 16 bits, as stored.

    Grey images may be one mask instead, as ``grey`` says, and then hold object 1.

    Raises:
        MediaError: it is damaged, in colours, or has values that ``grey`` rules out.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            mode = image.mode
            if mode not in _NUMBERED:
                raise MediaError(
                    f"'{name}' is a picture of mode {mode}, expected object numbers as palette or grey "
                    "values: convert it."
                )
            labels = np.array(image)
    except _ERRORS as error:
        if isinstance(error, MediaError):
            raise
        raise _undecodable(name, error) from error
    if grey in _HALF and mode not in ("P", "1"):
        half = _HALF[grey]
        return (labels > (min(half, _HALF[Grey.BINARY]) if mode == "L" else half)).astype(np.uint8)
    if grey is Grey.STARK and mode == "L":
        if _has_ids(labels):
            raise MediaError(
                f"'{name}' holds values between 0 and 255, expected black and white as in other masks beside "
                "it: remove it, or set 'masks' to 'ids' or 'binary'."
            )
        return (labels // 255).astype(np.uint8, copy=False)
    if labels.dtype in (np.uint8, np.bool_):
        return labels.astype(np.uint8, copy=False)
    return labels.astype(np.int32, copy=False)


def grey_counts(data: bytes) -> NDArray[np.int64] | None:
    """How many pixels of a grey mask of 8 bits have each value, ``[256]``.

    None: it is no such mask, or damaged, or empty, and says nothing about others.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode != "L":
                return None
            labels = np.array(image)
    except _ERRORS:
        return None
    if not labels.any():
        return None
    return cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel().astype(np.int64)


def brightest(data: bytes) -> int | None:
    """The largest value of a grey mask; None where it has a palette or is damaged."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return None if image.mode in ("P", "1") else int(np.array(image).max(initial=0))
    except _ERRORS:
        return None


def _has_ids(labels: Labels) -> bool:
    return bool(cv2.inRange(labels, 1, 254).any())


def _undecodable(name: str, error: Exception) -> MediaError:
    # PIL's own words would name a buffer in memory.
    why = "not an image, or damaged" if isinstance(error, UnidentifiedImageError) else str(error).rstrip(".")
    return MediaError(f"'{name}' cannot be decoded ({why}): replace or remove it.")
