"""Who appears in a scene: things to follow, strangers, look-alikes and what passes in front."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from edgetam.train.synthetic.bank import ImageBank
from edgetam.train.synthetic.config import SynthConfig
from edgetam.train.synthetic.cutouts import cut_out, object_masks
from edgetam.train.synthetic.dice import Dice
from edgetam.train.synthetic.motion import aim, random_path, random_warp, vanish
from edgetam.train.synthetic.sprites import Look, Sprite, random_look
from edgetam.train.synthetic.textures import random_palette, related_palette

__all__ = ["Studio", "actors", "extras", "occluders"]

REAL_SHARE = 0.5
"""How many things are cut out of real images, when there are any."""


@dataclass(frozen=True)
class Studio:
    """What all things of a scene share. ``blur`` is the part of a frame's time that the shutter is open."""

    dice: Dice
    config: SynthConfig
    palette: Tensor  # [K, 3] of the backdrop
    blur: float
    bank: ImageBank | None = None


def _look(studio: Studio, side: int, palette: Tensor) -> Look:
    dice, config = studio.dice, studio.config
    if studio.bank is not None and dice.chance(REAL_SHARE):
        picture = studio.bank.picture(dice, config.size)
        for mask in object_masks(dice, picture, 1):
            return cut_out(picture, mask, max(32, min(192, side))).look
    return random_look(dice, side, palette, config.frames, config.difficulty)


def _thing(studio: Studio, palette: Tensor, scale: float) -> Sprite:
    dice, config = studio.dice, studio.config
    look = _look(studio, int(2 * scale * config.size), palette)
    path = random_path(dice, config.frames, scale, config.difficulty)
    return Sprite(look, path, random_warp(dice, config.frames, config.difficulty), studio.blur)


def _scale(dice: Dice) -> float:
    return dice.log_uniform(0.09, 0.48)


def actors(studio: Studio) -> list[Sprite]:
    """Things worth labelling; at most one of them leaves the frame for a while."""
    dice, config = studio.dice, studio.config
    close = dice.chance(0.15 + 0.2 * config.difficulty)
    found = []
    for _ in range(config.objects + dice.integer(0, 1)):
        own = related_palette(dice, studio.palette, 0.10) if close else random_palette(dice)
        found.append(_thing(studio, own, _scale(dice)))
    if config.frames > 2 and dice.chance(0.12 + 0.2 * config.difficulty):
        found[0] = replace(found[0], path=vanish(dice, found[0].path))
    return found


def _twin(studio: Studio, actor: Sprite) -> Sprite:
    """A look-alike that goes its own way: sometimes slightly recoloured, never quite the same size."""
    dice, config = studio.dice, studio.config
    look = actor.look
    if dice.chance(0.4):
        shift = torch.cat((dice.randn(3) * 0.06, torch.zeros(1, device=dice.device)))
        look = replace(look, canvas=look.canvas + shift[:, None, None])
    path = random_path(dice, config.frames, 1.0, config.difficulty)
    size = actor.path.scale * dice.uniform(0.8, 1.2)
    return replace(actor, look=look, path=replace(path, scale=size))


def extras(studio: Studio, actors: list[Sprite]) -> list[Sprite]:
    """Distractors: strangers, and doubles of the actors in other places."""
    dice, config = studio.dice, studio.config
    found = []
    for _ in range(dice.integer(*config.distractors)):
        if dice.chance(0.5 * config.difficulty):
            found.append(_twin(studio, dice.choice(actors)))
        else:
            found.append(_thing(studio, random_palette(dice), _scale(dice) * 0.8))
    return found


def occluders(studio: Studio, actors: list[Sprite]) -> list[Sprite]:
    """Things that pass in front of an actor."""
    dice, config = studio.dice, studio.config
    found = []
    for _ in range(dice.integer(*config.occluders)):
        if not dice.chance(0.3 + 0.6 * config.difficulty):
            continue
        target = dice.choice(actors)
        scale = float(target.path.scale[0]) * dice.uniform(0.6, 1.3)
        own = related_palette(dice, studio.palette, 0.15) if dice.chance(0.4) else random_palette(dice)
        thing = _thing(studio, own, min(0.6, scale))
        found.append(replace(thing, path=aim(dice, thing.path, target.path)))
    return found
