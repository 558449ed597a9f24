"""Real images with masks, as material for drawn clips."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgetam.train.data.geometry import resized
from edgetam.train.data.items import Collection, check_size
from edgetam.train.data.objects import Objects
from edgetam.train.synthetic.dice import Dice

__all__ = ["ImageBank", "Picture"]

_MOST = 255
"""Objects that a picture keeps at most, the largest ones."""


@dataclass(frozen=True)
class Picture:
    """A square piece of a real image, with the objects on it."""

    colour: Tensor  # [3, R, R] in 0..1
    labels: Tensor  # [R, R] uint8, 0 background


@dataclass(frozen=True)
class ImageBank:
    """Annotated images, or frames of annotated videos, decoded when they are asked for."""

    collection: Collection

    def __len__(self) -> int:
        return len(self.collection)

    def picture(self, dice: Dice, side: int) -> Picture:
        """A random piece of a random image, squeezed into ``side x side`` pixels, sometimes mirrored.

        Raises:
            MediaError: a file cannot be decoded, or a mask is of another size than its image.
        """
        item = self.collection[dice.integer(0, len(self.collection) - 1)]
        frame = dice.integer(0, len(item) - 1)
        decoded, objects = item.picture(frame, side), item.objects(frame)
        check_size(item, frame, decoded, objects)
        height, width = decoded.pixels.shape[:2]
        labels = cv2.resize(_numbered(objects), (width, height), interpolation=cv2.INTER_NEAREST)
        part = dice.uniform(0.65, 1.0)
        # Wide and high pieces alike become squares: so do the frames that models are fed with.
        across, down = part * width, min(height, part * height * dice.uniform(0.8, 1.25))
        x, y = int(dice.uniform(0, width - across)), int(dice.uniform(0, height - down))
        window = np.s_[y : y + max(1, int(down)), x : x + max(1, int(across))]
        colour = torch.from_numpy(resized(decoded.pixels[window], side))
        found = torch.from_numpy(cv2.resize(labels[window], (side, side), interpolation=cv2.INTER_NEAREST))
        if dice.chance(0.5):
            colour, found = colour.flip(1), found.flip(1)
        return Picture(colour.to(dice.device).permute(2, 0, 1).float() / 255, found.to(dice.device))


def _numbered(objects: Objects) -> NDArray[np.uint8]:
    """A label map ``[H, W]`` with numbers from 1; where objects overlap, the smallest is seen."""
    areas = objects.areas()
    out = np.zeros(objects.size, np.uint8)
    largest = sorted(areas, key=lambda i: (-areas[i], i))[:_MOST]
    for number, identity in enumerate(largest, 1):
        out[objects.mask(identity) > 0] = number
    return out
