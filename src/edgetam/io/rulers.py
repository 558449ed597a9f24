"""A picture with rulers around it and prompts on it, to read pixel coordinates off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edgetam.io.draw import Mask, Rgb, colour, overlay

__all__ = ["MARGIN", "ruled"]

_SMALLEST, _LARGEST = 720, 1600
"""Longer side of what is drawn, in pixels; pictures are enlarged by whole numbers."""
_TEXT = 13
MARGIN = 52
"""Above and left of the picture: room for five digits."""
_EDGE = 20
"""Right of it and below: room for half a number."""
_STEPS_AT_MOST = 14
_PAPER, _INK = (24, 24, 24), (225, 225, 225)
_YES, _NO = (0, 200, 83), (230, 40, 40)
"""Clicks on the object and beside it: green and red, as everywhere."""


def ruled(
    image: Rgb,
    points: Iterable[tuple[float, float, bool]] = (),
    boxes: Mapping[int, Sequence[float]] | None = None,
    masks: Mapping[int, Mask] | None = None,
) -> Rgb:
    """Draw rulers around a picture, lines across it, and prompts where they fall.

    Args:
        image: uint8 ``[H, W, 3]``.
        points: x, y in pixels of the picture, and whether they are on the object.
        boxes: x0, y0, x1, y1 by object id.
        masks: bool ``[H, W]`` by object id.

    Returns:
        uint8 ``[h, w, 3]``: the picture, reduced or enlarged to a handy size, between its rulers. Numbers are
        pixels of ``image``.
    """
    height, width = image.shape[:2]
    scale = _scale(max(height, width))
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    shown = Image.fromarray(overlay(image, masks) if masks else image).resize(shape, way)
    sheet = Image.new("RGB", (shape[0] + MARGIN + _EDGE, shape[1] + MARGIN + _EDGE), _PAPER)
    sheet.paste(shown, (MARGIN, MARGIN))
    pen = ImageDraw.Draw(sheet, "RGBA")
    step = _step(max(height, width))
    _rule(pen, range(0, width, step), scale, shape[1], across=True)
    _rule(pen, range(0, height, step), scale, shape[0], across=False)
    for identity, box in (boxes or {}).items():
        pen.rectangle([MARGIN + value * scale for value in box], outline=colour(identity), width=2)
    for x, y, on_object in points:
        _dot(pen, x, y, scale, _YES if on_object else _NO, left=x > width / 2)
    return np.asarray(sheet)


def _scale(longest: int) -> float:
    if longest > _LARGEST:
        return _LARGEST / longest
    return max(1, round(_SMALLEST / longest))


def _step(longest: int) -> int:
    """Pixels between lines: 1, 2 or 5 times a power of ten."""
    steps = (lead * 10**power for power in count() for lead in (1, 2, 5))
    return next(step for step in steps if longest / step <= _STEPS_AT_MOST)


def _rule(pen: ImageDraw.ImageDraw, marks: Iterable[int], scale: float, reach: int, *, across: bool) -> None:
    """Lines at ``marks`` through a picture that reaches ``reach`` pixels, with their numbers beside it."""
    font = ImageFont.load_default(_TEXT)
    for mark in marks:
        at = MARGIN + round(mark * scale)
        for shift, shade in ((0, (255, 255, 255, 90)), (1, (0, 0, 0, 70))):  # seen on bright and on dark
            line = (at + shift, MARGIN - 5, at + shift, MARGIN + reach)
            pen.line(line if across else (line[1], line[0], line[3], line[2]), fill=shade)
        if across:
            pen.text((at, MARGIN - 9), str(mark), _INK, font, anchor="mb")
        else:
            pen.text((MARGIN - 9, at), str(mark), _INK, font, anchor="rm")


def _dot(
    pen: ImageDraw.ImageDraw, x: float, y: float, scale: float, fill: tuple[int, int, int], *, left: bool
) -> None:
    """A point, with its coordinates on the side that has more room."""
    middle, level = MARGIN + x * scale, MARGIN + y * scale
    pen.ellipse((middle - 6, level - 6, middle + 6, level + 6), fill=fill, outline=(255, 255, 255), width=2)
    pen.text(
        (middle - 11 if left else middle + 11, level),
        f"{x:g},{y:g}",
        (255, 255, 255),
        ImageFont.load_default(_TEXT),
        "rm" if left else "lm",
        stroke_width=2,
        stroke_fill=(0, 0, 0),
    )
