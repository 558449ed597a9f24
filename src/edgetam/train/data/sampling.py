"""Which frames and which objects make a clip (SAM 2, arXiv 2408.00714, appendix D)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgetam.errors import ConfigError
from edgetam.train.data.objects import Objects

__all__ = ["Sampling", "draw_objects", "draw_window"]


@dataclass(frozen=True)
class Sampling:
    """Rules for clips.

    Attributes:
        stride: the largest step between the annotated frames of a clip; drawn from 1 to this.
        reverse: how often time runs backwards.
        least: share of the first frame that an object covers at least.
        most: share of the first frame that an object covers at most.
        merge: how often all objects of an image become one: a person rather than their clothes.

    Raises:
        ConfigError: a value is out of its range.
    """

    stride: int = 1
    reverse: float = 0.5
    least: float = 0.0005
    most: float = 0.9
    merge: float = 0.0

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ConfigError(f"stride is {self.stride}, expected 1 or more: change it.")
        if not 0 <= self.least < self.most <= 1:
            raise ConfigError(
                f"objects of {self.least} to {self.most} of a frame were asked for, expected shares from 0 "
                "to 1: change 'least' or 'most'."
            )
        for name in ("reverse", "merge"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 to 1: change it.")


def draw_window(dice: np.random.Generator, length: int, frames: int, rules: Sampling) -> list[int] | None:
    """Numbers of ``frames`` frames, evenly spaced, or None in a video too short for that."""
    if length < frames:
        return None
    widest = max(1, min(rules.stride, (length - 1) // max(1, frames - 1)))
    stride = int(dice.integers(1, widest + 1))
    start = int(dice.integers(length - (frames - 1) * stride))
    window = [start + stride * t for t in range(frames)]
    return window[::-1] if dice.random() < rules.reverse else window


def draw_objects(dice: np.random.Generator, objects: Objects, most: int, rules: Sampling) -> list[list[int]]:
    """At most ``most`` objects of the first frame, each as the ids that make it up."""
    pixels = objects.size[0] * objects.size[1]
    areas = objects.areas()
    if len(areas) > 1 and dice.random() < rules.merge and sum(areas.values()) <= rules.most * pixels:
        return [sorted(areas)]
    usable = [i for i in sorted(areas) if rules.least * pixels <= areas[i] <= rules.most * pixels]
    return [[usable[k]] for k in dice.permutation(len(usable))[:most]]
