"""Frames of an annotated video, with masks of objects that are visible on the first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgetam.errors import ConfigError, MediaError
from edgetam.train.data.clip import Ask, Mask
from edgetam.train.data.decode import Picture
from edgetam.train.data.items import Collection, Item, check_size
from edgetam.train.data.sampling import Sampling, draw_objects, draw_window

__all__ = ["OTHERS", "TRIES", "Footage", "draw_footage"]

TRIES = 100

OTHERS = 8
"""How often another item than a given one is looked for."""


class Footage(NamedTuple):
    """Frames of an item as decoded, and the masks of the chosen objects."""

    item: str
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
        if len(item) < ask.frames:
            short += 1
        elif footage := _drawn(dice, item, ask, rules):
            return footage
    if short == TRIES and (footage := _drawn(dice, _long_enough(dice, collection, ask.frames), ask, rules)):
        return footage
    raise MediaError(f"{collection.name} showed no object in {TRIES} draws: check it with --check-data.")


def _drawn(dice: np.random.Generator, item: Item, ask: Ask, rules: Sampling) -> Footage | None:
    """Footage of an item that is long enough, or None where its first frame shows no object."""
    window = draw_window(dice, len(item), ask.frames, rules)
    assert window is not None
    chosen = draw_objects(dice, item.objects(window[0]), ask.objects, rules)
    return _load(item, window, chosen, ask.size) if chosen else None


def _long_enough(dice: np.random.Generator, collection: Collection, frames: int) -> Item:
    """One of the few items that are long enough, each as likely as the others."""
    for index in dice.permutation(len(collection)):
        item = collection[int(index)]
        try:
            if len(item) >= frames:
                return item
        except MediaError:  # it would be named if it were drawn
            continue
    raise ConfigError(
        f"{collection.name} has no item of {frames} annotated frames: ask for fewer frames, or make "
        "pseudo-videos of images with kind 'pseudo'."
    )


def _load(item: Item, window: list[int], chosen: list[list[int]], size: int) -> Footage:
    pictures, masks, void = [], [], []
    for frame in sorted(window):  # videos are decoded forwards
        picture, objects = item.picture(frame, size), item.objects(frame)
        check_size(item, frame, picture, objects)
        pictures.append(picture)
        masks.append([_union([objects.mask(i) for i in ids]) for ids in chosen])
        void.append(objects.void())
    way = -1 if window[0] > window[-1] else 1
    return Footage(item.name, pictures[::way], masks[::way], _alike(void, masks)[::way])


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
