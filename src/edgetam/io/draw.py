"""Pictures of results: coloured masks with crisp outlines and small labels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from edgetam.errors import InputError
from edgetam.io.arrays import as_rgb

__all__ = ["colour", "overlay"]

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

# Okabe and Ito's colours, told apart with every common kind of colour vision (jfly.uni-koeln.de/color).
_COLOURS = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
)


def colour(object_id: int) -> tuple[int, int, int]:
    """Return the RGB colour of an object; always the same for an id, repeating lighter and darker."""
    base = _COLOURS[(object_id - 1) % len(_COLOURS)]
    turn = ((object_id - 1) // len(_COLOURS)) % 3
    if turn == 0:
        return base
    towards, share = (255, 0.45) if turn == 1 else (0, 0.35)
    red, green, blue = (round(value + (towards - value) * share) for value in base)
    return red, green, blue


def overlay(
    image: Rgb,
    masks: Mapping[int, Mask],
    *,
    labels: Mapping[int, str] | None = None,
    opacity: float = 0.45,
) -> Rgb:
    """Paint masks over a picture.

    Args:
        image: uint8 ``[H, W, 3]``, or another picture (`edgetam.io.arrays.as_rgb`); left as it is.
        masks: object id to ``[H, W]``, true or non-zero inside; smaller ids are painted on top.
        labels: texts for small tags beside the objects; None writes none.
        opacity: of the colour inside a mask, 0..1.

    Returns:
        A new uint8 ``[H, W, 3]``.

    Raises:
        MediaError: the image is no picture.
        InputError: a mask has another size, or is none.
    """
    canvas = as_rgb(image).copy()
    masks = _checked(masks, canvas.shape[:2])
    order = sorted((identity for identity in masks if masks[identity].any()), reverse=True)
    for identity in order:
        _tint(canvas, masks[identity], colour(identity), opacity)
    for identity in order:
        _outline(canvas, masks[identity], colour(identity))
    for identity in order:
        text = None if labels is None else labels.get(identity)
        if text:
            _tag(canvas, masks[identity], text, colour(identity))
    return canvas


def _checked(masks: Any, size: tuple[int, int]) -> dict[int, Mask]:
    if not isinstance(masks, Mapping):
        raise InputError(f"masks is a {type(masks).__name__}; expected {{object_id: mask}}.")
    for identity, mask in masks.items():
        if np.shape(mask) != size or not isinstance(identity, (int, np.integer)):
            raise InputError(
                f"The mask of object {identity!r} has shape {np.shape(mask)}; expected that of the image, "
                f"{size}, and a number for the object."
            )
    return {int(identity): np.asarray(mask).astype(bool) for identity, mask in masks.items()}


def _tint(canvas: Rgb, mask: Mask, rgb: tuple[int, int, int], opacity: float) -> None:
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    window = np.s_[y : y + height, x : x + width]
    inside = mask[window]
    part = canvas[window]
    painted = cv2.addWeighted(part, 1 - opacity, np.full_like(part, rgb), opacity, 0)
    part[inside] = painted[inside]


def _outline(canvas: Rgb, mask: Mask, rgb: tuple[int, int, int]) -> None:
    thickness = max(1, round(min(canvas.shape[:2]) / 300))
    edges, _ = cv2.findContours(
        np.ascontiguousarray(mask).view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    # A thin dark rim keeps the colour visible on backgrounds of the same colour.
    cv2.drawContours(canvas, edges, -1, (16, 16, 16), thickness + 2, cv2.LINE_AA)
    cv2.drawContours(canvas, edges, -1, rgb, thickness, cv2.LINE_AA)


def _tag(canvas: Rgb, mask: Mask, text: str, rgb: tuple[int, int, int]) -> None:
    height, width = canvas.shape[:2]
    tag, alpha = _render_tag(text, rgb, max(11, round(min(height, width) / 32)))
    tag_height, tag_width = alpha.shape[:2]
    if tag_height > height or tag_width > width:
        return
    left, top, box_width, _ = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    x = min(max(0, left + (box_width - tag_width) // 2), width - tag_width)
    y = min(max(0, top - tag_height - 4), height - tag_height)
    part = canvas[y : y + tag_height, x : x + tag_width]
    part[:] = (part * (1 - alpha) + tag * alpha).round().astype(np.uint8)


@lru_cache(maxsize=512)
def _render_tag(text: str, rgb: tuple[int, int, int], size: int) -> tuple[Rgb, npt.NDArray[np.float32]]:
    """Draw a rounded tag; return its colours ``[h, w, 3]`` and its opacity ``[h, w, 1]``."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    pad = round(size * 0.4)
    shape = (round(right - left) + 2 * pad, round(bottom - top) + 2 * pad)
    image = Image.new("RGBA", shape, (*rgb, 0))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((0, 0, shape[0] - 1, shape[1] - 1), radius=pad, fill=(*rgb, 235))
    bright = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 128
    ink = (16, 16, 16, 255) if bright else (255, 255, 255, 255)
    pen.text((pad - left, pad - top), text, font=font, fill=ink)
    pixels = np.asarray(image)
    return pixels[..., :3].copy(), (pixels[..., 3:] / np.float32(255)).astype(np.float32)
