"""Clips cut out of annotated videos, and annotated images as clips of one frame."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.errors import MediaError
from edgetam.train.data.augment import Augment, draw_gap, draw_geometry, draw_slide, draw_turn, mosaic
from edgetam.train.data.clip import Ask, Clip, Mask, Rgb, stack_clip
from edgetam.train.data.colour import recolour
from edgetam.train.data.footage import OTHERS, TRIES, Footage, draw_footage
from edgetam.train.data.geometry import Geometry
from edgetam.train.data.holes import emptied, mended
from edgetam.train.data.items import Collection, own_and_cutouts
from edgetam.train.data.paste import Paste, pasted
from edgetam.train.data.sampling import Sampling

__all__ = ["RealClips"]

LEAST_PIXELS = 8
"""Of an object on the first frame, after augmentation."""

Masks = list[list[NDArray[np.bool_]]]  # [T][O][S, S]


@dataclass(frozen=True)
class RealClips:
    """Augmented windows of annotated videos."""

    collection: Collection
    augment: Augment
    rules: Sampling
    paste: Paste

    @property
    def name(self) -> str:
        """The name of the collection."""
        return self.collection.name

    @property
    def collections(self) -> dict[str, Collection]:
        """Its videos or images, and those that things are cut out of."""
        return own_and_cutouts(self.collection, self.paste.cutouts)

    def __len__(self) -> int:
        return len(self.collection)

    def sample(self, dice: np.random.Generator, ask: Ask) -> Clip:
        """Draw a clip.

        Raises:
            MediaError: a file cannot be used, or no object was found.
            ConfigError: no video is long enough.
        """
        for _ in range(TRIES):
            footage = draw_footage(dice, self.collection, ask, self.rules)
            frames, masks, void = _mapped(footage, self._geometries(dice, footage, ask))
            if gap := draw_gap(dice, self.augment.erase, ask.frames):
                _erase(dice, frames, masks, gap)
            if dice.random() < self.paste.odds:
                frames, masks, free = pasted(dice, frames, masks, self.paste, ask.objects)
                void = [[mask & seen for mask in row] for row, seen in zip(void, free, strict=True)]
            if cut := draw_gap(dice, self.augment.cut, ask.frames):
                other = self._another(dice, Ask(len(cut), 1, ask.size), footage.item)
                for t, frame in zip(cut, other, strict=False):  # none where there is one video only
                    frames[t] = frame
                    masks[t] = [np.zeros_like(mask) for mask in masks[t]]
                    void[t] = [np.zeros_like(mask) for mask in void[t]]
            if dice.random() < self.augment.mosaic:
                frames, both = mosaic(dice, frames, list(map(operator.add, masks, void)))
                count = len(masks[0])
                masks, void = [row[:count] for row in both], [row[count:] for row in both]
            masks = _kept(masks)
            if masks[0]:
                frames = recolour(dice, frames, self.augment.tint)
                return stack_clip(frames, masks, ask.objects, [row[0] for row in void if row] or None)
        raise MediaError(
            f"{self.name} showed no object in {TRIES} clips of {ask.size} pixels, expected some: ask for "
            "larger frames."
        )

    def _geometries(self, dice: np.random.Generator, footage: Footage, ask: Ask) -> list[Geometry]:
        """One for each frame; they differ only where the crop slides or turns away."""
        shape = footage.pictures[0].pixels.shape[:2]
        geometry = draw_geometry(dice, self.augment, ask.size, shape)
        out = [geometry] * ask.frames
        if ask.frames > 1 and self.augment.slide and dice.random() < self.augment.slide:
            x0, y0, x1, y1 = _box([footage.masks[0][int(dice.integers(len(footage.masks[0])))]])
            out = draw_slide(dice, geometry, ((x0 + x1) / 2, (y0 + y1) / 2), ask.frames)
        if ask.frames > 2 and self.augment.turn and dice.random() < self.augment.turn:
            out = draw_turn(dice, out, np.array([_box(masks) for masks in footage.masks]))
        return out

    def _another(self, dice: np.random.Generator, ask: Ask, item: str) -> list[Rgb]:
        """Augmented frames of any video but ``item``; none where it seems to be the only one."""
        for _ in range(OTHERS):
            footage = draw_footage(dice, self.collection, ask, self.rules)
            if footage.item != item:
                shape = footage.pictures[0].pixels.shape[:2]
                geometry = draw_geometry(dice, self.augment, ask.size, shape)
                return [geometry.image(picture.pixels) for picture in footage.pictures]
        return []


def _erase(dice: np.random.Generator, frames: list[Rgb], masks: Masks, gap: range) -> None:
    """Paint an object over on some frames, in place; on half of the others, something where nothing was."""
    which = int(dice.integers(len(masks[0])))
    for t, (frame, row) in enumerate(zip(frames, masks, strict=True)):
        shown = [np.multiply(mask, 255, dtype=np.uint8) for mask in row]
        if t in gap and row[which].any():
            frames[t] = emptied(dice, frame, [shown.pop(which)], shown)
            row[which] = np.zeros_like(row[which])
        elif t not in gap and dice.random() < 0.5:
            frames[t] = mended(dice, frame, shown)


def _box(masks: list[Mask]) -> tuple[float, float, float, float]:
    """What all masks lie in, in parts of the sides; nothing is around what no mask shows."""
    height, width = masks[0].shape
    x, y, across, down = cv2.boundingRect(np.bitwise_or.reduce(masks))
    if not across:
        return 1.0, 1.0, 0.0, 0.0
    return x / width, y / height, (x + across) / width, (y + down) / height


def _mapped(footage: Footage, geometries: list[Geometry]) -> tuple[list[Rgb], Masks, Masks]:
    """Frames, masks, and what nothing is said about."""
    shapes = [picture.pixels.shape[:2] for picture in footage.pictures]
    if not all(geometries[0].mask(mask, shapes[0]).sum() >= LEAST_PIXELS for mask in footage.masks[0]):
        # as published: no affine map may push an object out
        geometries = [geometry.still() for geometry in geometries]
    masks, void = (
        [[g.mask(one, shape) for one in row] for g, shape, row in zip(geometries, shapes, rows, strict=True)]
        for rows in (footage.masks, footage.void)
    )
    pairs = zip(geometries, footage.pictures, strict=True)
    return [geometry.image(picture.pixels) for geometry, picture in pairs], masks, void


def _kept(masks: Masks) -> Masks:
    """The objects that can still be seen on the first frame."""
    seen = [o for o, mask in enumerate(masks[0]) if mask.sum() >= LEAST_PIXELS]
    return [[row[o] for o in seen] for row in masks]
