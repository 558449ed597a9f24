"""Moving cut-outs over real clips: occluders, distractors, and more objects to follow."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.errors import ConfigError
from edgetam.train.data.cast import THINGS, Layer, Stage, paced, paint, placed, stranger
from edgetam.train.data.clip import Rgb
from edgetam.train.data.items import Collection

__all__ = ["Paste", "pasted"]

Masks = list[list[NDArray[np.bool_]]]  # [T][O][S, S]

_CROSSING = 0.6
_LABELLED = 0.3


@dataclass(frozen=True)
class Paste:
    """How often things are pasted over a clip, and where they are cut out.

    Raises:
        ConfigError: ``odds`` are out of their range.
    """

    cutouts: Collection
    odds: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.odds <= 1:
            raise ConfigError(f"paste is {self.odds}, expected 0 to 1: change it.")


def pasted(
    dice: np.random.Generator, frames: list[Rgb], masks: Masks, paste: Paste, most: int
) -> tuple[list[Rgb], Masks, list[NDArray[np.bool_]]]:
    """Paste one or two cut-outs over a clip; some of them become objects, ``most`` in all.

    Returns:
        frames, masks, and the pixels of each frame that are not pasted over.

    Raises:
        MediaError: the file that the dice chose for a cut-out cannot be used.
    """
    size = frames[0].shape[0]
    bend = float(dice.uniform(0.002, 0.014)) if dice.random() < 0.5 else 0.0
    stage = Stage(dice, len(frames), size, paced(dice, THINGS), bend)
    layers, room = [], most - len(masks[0])
    for _ in range(1 + int(dice.random() < 0.3)):
        target, reach = None, None
        if dice.random() < _CROSSING:
            which = int(dice.integers(len(masks[0])))
            target, reach = _centres(masks, which), _longer_side(masks[0][which])
        labelled = room > 0 and bool(dice.random() < _LABELLED)
        room -= labelled
        layers.append(Layer(placed(stage, stranger(stage, paste.cutouts), target, reach), labelled))
    count = sum(layer.labelled for layer in layers)
    out_frames, out_masks, out_free = [], [], []
    for t, (frame, row) in enumerate(zip(frames, masks, strict=True)):
        canvas, owner = frame.copy(), np.zeros((size, size), np.uint8)
        paint(layers, t, canvas, owner, 1)
        free = owner == 0
        out_frames.append(canvas)
        out_masks.append([mask & free for mask in row] + [owner == k for k in range(1, count + 1)])
        out_free.append(free)
    return out_frames, out_masks, out_free


def _longer_side(mask: NDArray[np.bool_]) -> float:
    """Of a mask's box, in parts of the side."""
    return max(cv2.boundingRect(mask.view(np.uint8))[2:]) / mask.shape[0]


def _centres(masks: Masks, which: int) -> NDArray[np.float64]:
    """Where an object is on each frame, or was when it was last seen: ``[T, 2]`` in parts of the side."""
    centre = np.array([0.5, 0.5])
    out = []
    for row in masks:
        x, y, width, height = cv2.boundingRect(row[which].view(np.uint8))
        if width:
            centre = np.array([x + width / 2, y + height / 2]) / row[which].shape[0]
        out.append(centre)
    return np.stack(out)
