"""Augmentation of real clips, drawn once per clip (SAM 2's training, arXiv 2408.00714, appendix D)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edgetam.errors import ConfigError
from edgetam.train.data.clip import Rgb
from edgetam.train.data.colour import Jitter, Tint
from edgetam.train.data.geometry import Geometry, resized, rotation
from edgetam.train.data.paths import draw_span

__all__ = ["PRESETS", "Augment", "draw_gap", "draw_geometry", "draw_slide", "draw_turn", "mosaic"]

_SLIDING = (0.35, 0.7)
"""Part of each side that is seen while a crop slides."""
_RETURNING = 0.4
"""How often it comes back."""
_BESIDE = 0.2
"""Part of each side that is free of objects, at least, where a crop can turn away from them."""
_FILM = 16 / 9
"""Width of most videos, in parts of their height."""


@dataclass(frozen=True)
class Augment:
    """How clips are varied.

    Attributes:
        flip: how often left and right change places.
        degrees: rotation at most, either way.
        shear: slant at most, either way, in degrees.
        crop: smallest part of each side that is kept.
        widen: how often a crop that is narrower than a film (16:9) becomes lower, down to that shape: people
            in a portrait that is squeezed into a square are 2.7 times as wide as people in a film are there.
        slide: how often a smaller part is kept that slides over the frames, so that objects leave and return.
        turn: how often the crop turns away from all objects for some frames, or to the end: the same scene
            without them, where it has room for that.
        cut: how often there is a cut to another video for some frames, or to the end: other things stand out
            there, and none of them is what is followed.
        erase: how often an object is painted over for some frames, or to the end: everything else stays.
        mosaic: how often the clip becomes one of four tiles of itself.
        tint: colours.

    Raises:
        ConfigError: a value is out of its range.
    """

    flip: float = 0.5
    degrees: float = 25.0
    shear: float = 20.0
    crop: float = 1.0
    widen: float = 0.0
    slide: float = 0.0
    turn: float = 0.0
    cut: float = 0.0
    erase: float = 0.0
    mosaic: float = 0.0
    tint: Tint = field(default_factory=Tint)

    def __post_init__(self) -> None:
        for name in ("flip", "widen", "slide", "turn", "cut", "erase", "mosaic"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 to 1: change it.")
        if not 0.1 <= self.crop <= 1:
            raise ConfigError(f"crop is {self.crop}, expected a part of the side from 0.1 to 1: change it.")
        if not (0 <= self.degrees <= 180 and 0 <= self.shear < 80):
            raise ConfigError(
                f"degrees={self.degrees} and shear={self.shear} were given, expected 0 to 180 and 0 to 80: "
                "change them."
            )


_STRONG = Tint(Jitter(0.3, 0.3, 0.4), Jitter(0.06, 0.04, 0.04), grey=0.07, exchange=0.15)
_QUIET = Tint(Jitter(), Jitter(), grey=0.0)
PRESETS = {
    "none": Augment(flip=0.0, degrees=0.0, shear=0.0, tint=_QUIET),
    "image": Augment(degrees=0.0, shear=0.0, tint=_QUIET),
    "video": Augment(),
    # For a few dozen videos instead of fifty thousand.
    "strong": Augment(crop=0.55, mosaic=0.05, tint=_STRONG),
    "pseudo": Augment(degrees=0.0, shear=0.0, crop=0.75, tint=_STRONG),
}
"""By name: no changes, the paper's for images and for videos, and stronger ones."""


def draw_geometry(dice: np.random.Generator, augment: Augment, size: int, like: tuple[int, int]) -> Geometry:
    """Draw a crop, a flip and an affine map for pictures of a height and width ``like`` that."""
    sides = dice.uniform(augment.crop, 1.0, 2)
    if augment.widen and dice.random() < augment.widen:
        sides[1] = _lowered(dice, sides, like[1] / like[0])
    x, y = dice.random(2) * (1 - sides)
    degrees, shear = dice.uniform(-1, 1, 2) * (augment.degrees, augment.shear)
    return Geometry(
        size,
        (float(x), float(y), float(x + sides[0]), float(y + sides[1])),
        flip=bool(dice.random() < augment.flip),
        affine=rotation(degrees, shear) if augment.degrees or augment.shear else None,
    )


def _lowered(dice: np.random.Generator, sides: NDArray[np.float64], ratio: float) -> float:
    """Height of a crop, in parts of the picture's, between its own and that of a film as wide."""
    narrower = max(1.0, _FILM * sides[1] / (sides[0] * ratio))
    return float(sides[1] * narrower ** -dice.random())


def draw_slide(
    dice: np.random.Generator, geometry: Geometry, start: tuple[float, float], frames: int
) -> list[Geometry]:
    """Let the crop slide over a clip, one way or there and back, from a place towards a far one.

    Args:
        dice: where chance comes from.
        geometry: for everything but the crop.
        start: x, y that lie inside the first crop, in parts of the sides.
        frames: of the clip.
    """
    sides = dice.uniform(*_SLIDING, 2)
    begin = np.clip(np.array(start) - sides * dice.uniform(0.2, 0.8, 2), 0, 1 - sides)
    ends = dice.random((3, 2)) * (1 - sides)
    end = ends[np.abs(ends - begin).sum(1).argmax()]
    share = np.linspace(0, 1, frames)
    if dice.random() < _RETURNING:
        share = 1 - np.abs(1 - 2 * share)
    corners = begin + share[:, None] * (end - begin)
    boxes = np.concatenate([corners, corners + sides], axis=1).clip(0, 1).tolist()
    return [replace(geometry, box=tuple(box)) for box in boxes]


def draw_turn(
    dice: np.random.Generator, geometries: list[Geometry], boxes: NDArray[np.float64]
) -> list[Geometry]:
    """Let the crop show what lies beside the objects for some frames, or all, after the first.

    Args:
        dice: where chance comes from.
        geometries: of the frames, which stay as they are where nothing large lies beside the objects.
        boxes: x0, y0, x1, y1 around all objects of each frame ``[T, 4]``, in parts of the sides.
    """
    first, last = draw_span(dice, len(geometries))
    x0, y0 = boxes[first : last + 1, :2].min(0)
    x1, y1 = boxes[first : last + 1, 2:].max(0)
    beside = np.array([[0, 0, x0, 1], [x1, 0, 1, 1], [0, 0, 1, y0], [0, y1, 1, 1]])
    room = (beside[:, 2:] - beside[:, :2]).min(1)
    if room.max() < _BESIDE:
        return geometries
    place = beside[dice.choice(4, p=np.where(room >= _BESIDE, room, 0) / room[room >= _BESIDE].sum())]
    free = place[2:] - place[:2]
    sides = np.minimum(free, dice.uniform(*_SLIDING, 2))
    corner = place[:2] + dice.random(2) * (free - sides)
    box = tuple(np.concatenate([corner, corner + sides]).clip(0, 1).tolist())
    return [
        replace(geometry, box=box) if first <= t <= last else geometry
        for t, geometry in enumerate(geometries)
    ]


def draw_gap(dice: np.random.Generator, odds: float, frames: int) -> range:
    """Frames of a clip, in a row, that something happens to, with these odds; never the first."""
    if frames < 2 or not odds or dice.random() >= odds:
        return range(0)
    first, last = draw_span(dice, frames)
    return range(first, last + 1)


def mosaic(
    dice: np.random.Generator, frames: list[Rgb], masks: list[list[NDArray[np.bool_]]]
) -> tuple[list[Rgb], list[list[NDArray[np.bool_]]]]:
    """Four small copies of a clip, some mirrored; only one of them, at random, is labelled."""
    size = frames[0].shape[0]
    near = (size + 1) // 2
    target = int(dice.integers(4))
    mirrored = dice.random(4) < 0.5
    corners = [(0, 0), (0, size - near), (size - near, 0), (size - near, size - near)]
    y, x = corners[target]
    tiled = [_tiled(frame, near, corners, mirrored) for frame in frames]
    return tiled, [[_placed(mask, near, y, x, bool(mirrored[target])) for mask in row] for row in masks]


def _tiled(frame: Rgb, side: int, corners: list[tuple[int, int]], mirrored: NDArray[np.bool_]) -> Rgb:
    small = resized(frame, side)
    out = np.empty_like(frame)
    for (y, x), mirror in zip(corners, mirrored, strict=True):
        out[y : y + side, x : x + side] = small[:, ::-1] if mirror else small
    return out


def _placed(mask: NDArray[np.bool_], side: int, y: int, x: int, mirror: bool) -> NDArray[np.bool_]:
    small = resized(np.multiply(mask, 255, dtype=np.uint8), side) > 127
    out = np.zeros_like(mask)
    out[y : y + side, x : x + side] = small[:, ::-1] if mirror else small
    return out
