"""Clips cut out of annotated videos, and annotated images as clips of one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgetam.errors import ConfigError, MediaError
from edgetam.train.data.augment import Augment, draw_geometry, mosaic
from edgetam.train.data.clip import Ask, Clip, Mask, Rgb, stack_clip
from edgetam.train.data.colour import recolour
from edgetam.train.data.decode import Picture
from edgetam.train.data.geometry import Geometry
from edgetam.train.data.items import Collection, Item, check_size
from edgetam.train.data.sampling import Sampling, draw_objects, draw_window

__all__ = ["Footage", "RealClips", "draw_footage", "union"]

TRIES = 100
LEAST_PIXELS = 8
"""Of an object on the first frame, after augmentation."""

Masks = list[list[NDArray[np.bool_]]]  # [T][O][S, S]


class Footage(NamedTuple):
    """Frames as decoded, and the masks of the chosen objects."""

    pictures: list[Picture]
    masks: list[list[Mask]]  # [T][O]


@dataclass(frozen=True)
class RealClips:
    """Augmented windows of annotated videos."""

    collection: Collection
    augment: Augment
    rules: Sampling

    @property
    def name(self) -> str:
        """The name of the collection."""
        return self.collection.name

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
            frames, masks = self._mapped(footage, draw_geometry(dice, self.augment, ask.size))
            if masks and dice.random() < self.augment.mosaic:
                frames, masks = mosaic(dice, frames, masks)
            masks = _kept(masks)
            if masks[0]:
                return stack_clip(recolour(dice, frames, self.augment.tint), masks, ask.objects)
        raise MediaError(
            f"{self.name} showed no object in {TRIES} clips of {ask.size} pixels, expected some: ask for "
            "larger frames."
        )

    def _mapped(self, footage: Footage, geometry: Geometry) -> tuple[list[Rgb], Masks]:
        if not all(mask.sum() >= LEAST_PIXELS for mask in _map_row(geometry, footage, 0)):
            geometry = geometry.still()  # as published: no affine map may push an object out
        masks = [_map_row(geometry, footage, t) for t in range(len(footage.pictures))]
        return [geometry.image(picture.pixels) for picture in footage.pictures], masks


def draw_footage(dice: np.random.Generator, collection: Collection, ask: Ask, rules: Sampling) -> Footage:
    """Draw frames of a random video, and objects that are visible on the first.

    Raises:
        MediaError: a file cannot be used, or no object was found.
        ConfigError: no video is long enough.
    """
    short = 0
    for _ in range(TRIES):
        item = collection[int(dice.integers(len(collection)))]
        window = draw_window(dice, len(item), ask.frames, rules)
        if window is None:
            short += 1
            continue
        first = item.objects(window[0])
        if chosen := draw_objects(dice, first, ask.objects, rules):
            return _load(item, window, chosen, ask.size)
    if short == TRIES:
        raise ConfigError(
            f"{collection.name} has no item of {ask.frames} annotated frames in {TRIES} draws: ask for fewer "
            "frames, or make pseudo-videos of images with kind 'pseudo'."
        )
    raise MediaError(f"{collection.name} showed no object in {TRIES} draws: check it with --check-data.")


def _load(item: Item, window: list[int], chosen: list[list[int]], size: int) -> Footage:
    pictures, masks = [], []
    for frame in window:
        picture, objects = item.picture(frame, size), item.objects(frame)
        check_size(item, frame, picture, objects)
        pictures.append(picture)
        masks.append([union([objects.mask(i) for i in ids]) for ids in chosen])
    return Footage(pictures, masks)


def union(masks: list[Mask]) -> Mask:
    """One mask of several."""
    out = masks[0]
    for mask in masks[1:]:
        out = out | mask
    return out


def _map_row(geometry: Geometry, footage: Footage, frame: int) -> list[NDArray[np.bool_]]:
    height, width = footage.pictures[frame].pixels.shape[:2]
    return [geometry.mask(mask, (height, width)) for mask in footage.masks[frame]]


def _kept(masks: Masks) -> Masks:
    """The objects that can still be seen on the first frame."""
    seen = [o for o, mask in enumerate(masks[0]) if mask.sum() >= LEAST_PIXELS]
    return [[row[o] for o in seen] for row in masks]
