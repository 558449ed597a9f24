"""Things that are drawn over a picture: its own objects, look-alikes, and cut-outs of others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.train.data.clip import Ask, Rgb
from edgetam.train.data.footage import draw_footage
from edgetam.train.data.items import Collection
from edgetam.train.data.paths import Maps, Pace, about, bends, leave, motion, pass_by
from edgetam.train.data.sampling import Sampling
from edgetam.train.data.sprites import Cutout, Sprite, cut_out, draw

__all__ = ["THINGS", "Layer", "Stage", "paced", "paint", "placed", "resident", "stranger", "twin"]

_CUTOUTS = Sampling(least=0.004, most=0.6, merge=0.25)
_SCALE = (0.1, 0.5)
"""Longer side of a stranger, in parts of the frame's."""
_HIDES, _SCALES = (0.7, 1.5), (0.1, 0.9)
"""The same for one that hides something: in parts of that, and at most."""

THINGS = Pace(shift=0.03, turn=0.05, grow=0.02, slant=0.02, squash=0.02)
"""How things move."""

_HIDING = 255
"""What unlabelled things write over labels."""


class Layer(NamedTuple):
    """A thing on screen, whether it is labelled, and whether it is drawn after all others."""

    sprite: Sprite
    labelled: bool
    nearest: bool = False


@dataclass(frozen=True)
class Stage:
    """What all things of a clip share.

    ``pace`` is how fast they move; ``bend`` by how much they deform, in parts of their size.
    """

    dice: np.random.Generator
    frames: int
    size: int
    pace: Pace
    bend: float

    def sprite(
        self, canvas: NDArray[np.uint8], maps: Maps, corner: tuple[float, float], scale: float
    ) -> Sprite:
        """Show a canvas whose corner is at a point of the unit square and whose pixels measure ``scale``."""
        place = np.array([[scale, 0, corner[0]], [0, scale, corner[1]], [0, 0, 1]])
        to_pixels = np.diag([self.size, self.size, 1.0])
        bent = None
        if self.bend:
            bent = bends(self.dice, self.frames, self.bend * max(canvas.shape[:2]))
        return Sprite(canvas, to_pixels @ maps @ place, bent)


def resident(stage: Stage, cut: Cutout, side: int, view: Maps, leaves: float) -> Sprite:
    """An object of the world's picture, of ``side`` pixels, that moves on its own and at times leaves."""
    maps = view @ motion(stage.dice, stage.frames, stage.pace, cut.centre / side)
    if stage.frames > 2 and stage.dice.random() < leaves:
        maps = leave(stage.dice, maps, cut.centre / side, max(cut.canvas.shape[:2]) / (2 * side))
    return stage.sprite(cut.canvas, maps, (cut.corner[0] / side, cut.corner[1] / side), 1 / side)


def stranger(stage: Stage, collection: Collection) -> Cutout:
    """Something cut out of another picture.

    Raises:
        MediaError: the file that the dice chose cannot be used.
    """
    footage = draw_footage(stage.dice, collection, Ask(1, 1, stage.size), _CUTOUTS)
    pixels, mask = footage.pictures[0].pixels, footage.masks[0][0]
    if mask.shape != pixels.shape[:2]:  # pictures may be decoded to fewer pixels than they have
        mask = cv2.resize(mask, pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
    return cut_out(pixels, mask)


def placed(
    stage: Stage, cut: Cutout, target: NDArray[np.float64] | None, reach: float | None = None
) -> Sprite:
    """Put a cut-out anywhere.

    Args:
        stage: of the clip.
        cut: what is put there.
        target: ``[T, 2]`` in parts of the side, to cross that.
        reach: longer side of what it crosses, to be about as large half of the time: it hides some of it.
    """
    dice = stage.dice
    longest = float(np.exp(dice.uniform(*np.log(_SCALE)))) * stage.size
    if reach is not None and dice.random() < 0.5:
        longest = float(np.clip(reach * dice.uniform(*_HIDES), *_SCALES)) * stage.size
    height, width = cut.canvas.shape[:2]
    factor = longest / max(height, width)
    if factor < 0.7:  # drawing samples single pixels: shrink first
        shape = (max(2, round(width * factor)), max(2, round(height * factor)))
        canvas, factor = cv2.resize(cut.canvas, shape, interpolation=cv2.INTER_AREA), 1.0
    else:
        canvas = cut.canvas
    if dice.random() < 0.5:
        canvas = np.ascontiguousarray(canvas[:, ::-1])
    scale = factor / stage.size
    middle = dice.uniform(0.05, 0.95, 2)
    maps = motion(dice, stage.frames, stage.pace, middle)
    maps = maps @ about(middle, turn=float(dice.normal(0, 0.3)))
    if target is not None:
        maps = pass_by(dice, maps, middle, target, longest / stage.size + 0.1)
    height, width = canvas.shape[:2]
    corner = (float(middle[0] - width * scale / 2), float(middle[1] - height * scale / 2))
    return stage.sprite(canvas, maps, corner, scale)


def paced(dice: np.random.Generator, pace: Pace, factor: float = 1.0) -> Pace:
    """From a fifth to two and a half times as fast."""
    return pace.times(factor * float(np.exp(dice.uniform(np.log(0.2), np.log(2.5)))))


def paint(layers: list[Layer], t: int, frame: Rgb, owner: NDArray[np.uint8], first: int) -> None:
    """Draw things over frame ``t``, and labelled ones into ``owner`` with numbers from ``first``."""
    number = first
    for layer in layers:
        draw(layer.sprite, t, frame, owner, number if layer.labelled else _HIDING)
        number += layer.labelled


def twin(dice: np.random.Generator, cut: Cutout) -> Cutout:
    """A look-alike: sometimes slightly recoloured."""
    if dice.random() < 0.6:
        return cut
    shift = np.append(dice.normal(0, 12, 3), 0)
    return Cutout(np.clip(cut.canvas + shift, 0, 255).astype(np.uint8), cut.corner)
