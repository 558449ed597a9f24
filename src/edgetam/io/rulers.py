"""A picture with rulers around it and prompts on it, to read pixel coordinates off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edgetam.io.draw import Rgb, colour, overlay
from edgetam.structs import Prompt

__all__ = ["ruled"]

_SMALLEST, _LARGEST = 720, 1600
"""Longer side of what is drawn, in pixels; pictures are enlarged by whole numbers."""
_TEXT = 13
_MARGIN = 44
_STEPS_AT_MOST = 14
_PAPER, _INK = (24, 24, 24), (225, 225, 225)
_YES, _NO = (0, 200, 83), (230, 40, 40)
"""Clicks on the object and beside it: green and red, as everywhere."""


def ruled(image: Rgb, prompts: Mapping[int, Prompt] | None = None) -> Rgb:
    """Draw rulers around a picture, lines across it, and prompts where they fall.

    Args:
        image: uint8 ``[H, W, 3]``.
        prompts: by object id, in pixels of the picture.

    Returns:
        uint8 ``[h, w, 3]``: the picture, reduced or enlarged to a handy size, between its rulers. Numbers are
        pixels of ``image``.
    """
    given = prompts or {}
    height, width = image.shape[:2]
    masks = {i: np.asarray(p.mask) > 0 for i, p in given.items() if p.mask is not None}
    scale = _scale(max(height, width))
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    shown = Image.fromarray(overlay(image, masks) if masks else image).resize(shape, way)
    sheet = Image.new("RGB", (shape[0] + _MARGIN, shape[1] + _MARGIN), _PAPER)
    sheet.paste(shown, (_MARGIN, _MARGIN))
    pen = ImageDraw.Draw(sheet, "RGBA")
    step = _step(max(height, width))
    _rule(pen, range(0, width, step), scale, shape[1], across=True)
    _rule(pen, range(0, height, step), scale, shape[0], across=False)
    for identity, prompt in given.items():
        _mark(pen, identity, prompt, scale, shape)
    return np.asarray(sheet)


def _scale(longest: int) -> float:
    if longest > _LARGEST:
        return _LARGEST / longest
    return max(1, round(_SMALLEST / longest))


def _step(longest: int) -> int:
    """Pixels between lines: 1, 2 or 5 times a power of ten."""
    step = 1
    for factor in (power * lead for power in (1, 10, 100, 1000, 10000) for lead in (1, 2, 5)):
        step = factor
        if longest / factor <= _STEPS_AT_MOST:
            break
    return step


def _rule(pen: ImageDraw.ImageDraw, marks: Iterable[int], scale: float, reach: int, *, across: bool) -> None:
    """Lines at ``marks`` through a picture that reaches ``reach`` pixels, with their numbers beside it."""
    font = ImageFont.load_default(_TEXT)
    for mark in marks:
        at = _MARGIN + round(mark * scale)
        for shift, shade in ((0, (255, 255, 255, 90)), (1, (0, 0, 0, 70))):  # seen on bright and on dark
            line = (at + shift, _MARGIN - 5, at + shift, _MARGIN + reach)
            pen.line(line if across else (line[1], line[0], line[3], line[2]), fill=shade)
        if across:
            pen.text((at, _MARGIN - 9), str(mark), _INK, font, anchor="mb")
        else:
            pen.text((_MARGIN - 9, at), str(mark), _INK, font, anchor="rm")


def _mark(
    pen: ImageDraw.ImageDraw, identity: int, prompt: Prompt, scale: float, shape: tuple[int, int]
) -> None:
    font = ImageFont.load_default(_TEXT)
    if prompt.box is not None:
        corners = [_MARGIN + float(value) * scale for value in np.asarray(prompt.box).ravel()]
        pen.rectangle(corners, outline=colour(identity), width=2)
    points = [] if prompt.points is None else list(prompt.points)
    labels = [1] * len(points) if prompt.labels is None else list(prompt.labels)
    for (x, y), label in zip(points, labels, strict=True):
        at = (_MARGIN + float(x) * scale, _MARGIN + float(y) * scale)
        pen.circle(at, 6, fill=_YES if label else _NO, outline=(255, 255, 255), width=2)
        left = at[0] > _MARGIN + shape[0] / 2
        place = (at[0] - 11 if left else at[0] + 11, at[1])
        text = f"{float(x):g},{float(y):g}"
        pen.text(
            place, text, (255, 255, 255), font, "rm" if left else "lm", stroke_width=2, stroke_fill=(0, 0, 0)
        )
