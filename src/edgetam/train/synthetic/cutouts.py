"""Things cut out of real images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, max_pool2d

from edgetam.train.synthetic.bank import Picture
from edgetam.train.synthetic.dice import Dice
from edgetam.train.synthetic.sprites import Look

__all__ = ["Cutout", "cut_out", "object_masks", "without"]

_LEAST = 0.004
"""Smallest part of a picture that is worth cutting out."""


@dataclass(frozen=True)
class Cutout:
    """A look and where it was: centre and radius in the picture's coordinates, whose sides are -1 and 1."""

    look: Look
    centre: tuple[float, float]
    radius: float


def object_masks(dice: Dice, picture: Picture, most: int) -> list[Tensor]:
    """Up to ``most`` objects of a picture, each bool ``[R, R]``, in random order.

    Now and then all of them are one object: a person rather than their clothes.
    """
    labels = picture.labels
    if dice.chance(0.25):
        labels = (labels > 0).to(torch.uint8)
    areas = torch.bincount(labels.flatten().int(), minlength=256).tolist()
    usable = [k for k in range(1, 256) if areas[k] >= _LEAST * labels.numel()]
    return [labels == usable[i] for i in dice.order(len(usable))[:most]]


def cut_out(picture: Picture, mask: Tensor, side: int) -> Cutout:
    """Cut an object out, onto a canvas of ``side`` pixels."""
    size = mask.shape[0]
    places = torch.nonzero(mask).float()  # y, x
    middle = (places.amin(0) + places.amax(0)) / 2
    reach = float((places - middle).norm(dim=1).max()) + 1.5
    y, x = ((middle + 0.5) * 2 / size - 1).tolist()
    radius = reach * 2 / size / 0.93
    axis = ((torch.arange(side, device=mask.device) + 0.5) * 2 / side - 1) * radius
    grid = torch.stack(((axis + x).expand(side, side), (axis + y)[:, None].expand(side, side)), -1)
    soft = avg_pool2d(mask[None, None].float(), 3, 1, 1)
    colour = grid_sample(picture.colour[None], grid[None], padding_mode="border", align_corners=False)
    alpha = grid_sample(soft, grid[None], align_corners=False)
    # The blurred mask rises over three of its pixels; in canvas units each is 2 / (size * radius) long.
    distance = (alpha - 0.5) * (6.0 / (size * radius))
    return Cutout(Look(torch.cat((colour, distance), 1)), (x, y), radius)


def without(colour: Tensor, mask: Tensor) -> Tensor:
    """An image ``[3, R, R]`` with the pixels of a mask ``[R, R]`` filled from around, ever more blurred."""
    gone = max_pool2d(mask[None, None].float(), 7, 1, 3)
    keep = 1.0 - gone
    levels = [(colour[None] * keep, keep)]
    while min(levels[-1][1].shape[-2:]) > 2:
        levels.append((avg_pool2d(levels[-1][0], 2), avg_pool2d(levels[-1][1], 2)))
    filled = levels[-1][0] / levels[-1][1].clamp_min(1e-4)
    for value, weight in reversed(levels[:-1]):
        coarse = interpolate(filled, value.shape[-2:], mode="bilinear")
        filled = value + coarse * (1 - weight)
    return filled[0]
