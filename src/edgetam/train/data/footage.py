"""Frames of an annotated video, with masks of objects that are visible on the first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgetam.errors import ConfigError, MediaError
from edgetam.train.data.clip import Ask, Mask
from edgetam.train.data.decode import Picture
from edgetam.train.data.items import Collection, Item, check_size
from edgetam.train.data.sampling import Sampling, draw_objects, draw_window

__all__ = ["TRIES", "Footage", "draw_footage"]

TRIES = 100


class Footage(NamedTuple):
    """Frames as decoded, and the masks of the chosen objects."""

    pictures: list[Picture]
    masks: list[list[Mask]]  # [T][O]
    void: list[list[Mask]]  # [T], each one mask of what nothing is said about, or none where all is known


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
    pictures, masks, void = [], [], []
    for frame in sorted(window):  # videos are decoded forwards
        picture, objects = item.picture(frame, size), item.objects(frame)
        check_size(item, frame, picture, objects)
        pictures.append(picture)
        masks.append([_union([objects.mask(i) for i in ids]) for ids in chosen])
        void.append(objects.void())
    way = -1 if window[0] > window[-1] else 1
    return Footage(pictures[::way], masks[::way], _alike(void, masks)[::way])


def _alike(void: list[Mask | None], masks: list[list[Mask]]) -> list[list[Mask]]:
    """One mask for every frame, or none for any."""
    if all(one is None for one in void):
        return [[] for _ in void]
    return [[np.zeros_like(row[0]) if one is None else one] for one, row in zip(void, masks, strict=True)]


def _union(masks: list[Mask]) -> Mask:
    """One mask of several."""
    out = masks[0]
    for mask in masks[1:]:
        out = out | mask
    return out
