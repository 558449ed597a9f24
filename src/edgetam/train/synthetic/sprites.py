"""Sprites: things with a surface, an outline and a path, drawn frame by frame on their bounding box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from edgetam.train.synthetic.dice import Dice
from edgetam.train.synthetic.motion import Path, to_object
from edgetam.train.synthetic.shapes import outline, split
from edgetam.train.synthetic.skeleton import limb_fields, random_skeleton
from edgetam.train.synthetic.textures import plane, related_palette, texture

__all__ = ["Look", "Patch", "Sprite", "draw", "object_grid", "random_look"]


_PARTED = 0.7
"""How often a thing of two materials is labelled on one of them only."""


@dataclass(frozen=True)
class Look:
    """What a thing looks like, wherever it goes.

    The canvas holds red, green, blue and the signed distance to the outline, in object coordinates: its
    sides are -1 and 1. F is 1, or T for bodies that change their outline. Where there is a ``part``, only
    that is an object to label: people ask for the sleeve as well as for the shirt.
    """

    canvas: Tensor  # [F, 4, R, R]
    part: Tensor | None = None  # [R, R] bool


@dataclass(frozen=True)
class Sprite:
    """A thing on screen. ``blur`` is the part of a frame's time that the shutter is open."""

    look: Look
    path: Path
    warp: Tensor | None = None  # [T, 2, 4, 4]
    blur: float = 0.0


class Patch(NamedTuple):
    """A drawn sprite: a box per frame, all of one size, with its corner in pixels."""

    colour: Tensor  # [T, 3, h, w]
    alpha: Tensor  # [T, h, w]
    solid: Tensor  # [T, h, w] bool, where the sprite is without motion blur
    named: Tensor  # [T, h, w] bool, what of this bears its label
    corner: list[tuple[int, int]]  # x, y of the box on each frame


def _shade(dice: Dice, colour: Tensor, distance: Tensor) -> Tensor:
    """Light from one side, darker towards the edge, sometimes an outline or a highlight."""
    side = colour.shape[-1]
    x, y = plane(side, colour.device)
    c, s = dice.direction()
    light = 1.0 + dice.uniform(0.0, 0.45) * (c * x + s * y)
    round_off = dice.uniform(0.0, 0.5)
    light = light - round_off * (1.0 - distance / dice.uniform(0.1, 0.5)).clamp(0.0, 1.0) ** 2
    if dice.chance(0.2):
        rim = dice.uniform(0.02, 0.05)
        light = torch.where(distance < rim, light * dice.uniform(0.3, 0.8), light)
    if dice.chance(0.2):
        spot = ((x - c * 0.4) ** 2 + (y - s * 0.4) ** 2) * dice.uniform(6, 30)
        colour = colour + dice.uniform(0.1, 0.4) * torch.exp(-spot)
    return colour * light


def _jointed_look(dice: Dice, side: int, palette: Tensor, frames: int, difficulty: float) -> Look:
    half = max(8, side // 2)
    cells = [texture(dice, half, palette if dice.chance(0.5) else related_palette(dice, palette, 0.15))]
    for _ in range(3):
        fresh = dice.chance(0.45)
        cells.append(texture(dice, half, related_palette(dice, palette, 0.2)) if fresh else cells[0])
    colour = torch.cat((torch.cat(cells[:2], -1), torch.cat(cells[2:], -1)), -2)
    distance, u, v, round_off = limb_fields(random_skeleton(dice, frames, difficulty), min(side, 80))
    worn = grid_sample(colour.expand(frames, -1, -1, -1), torch.stack((u, v), -1), align_corners=False)
    dark = dice.uniform(0.2, 0.6)
    worn = worn * (1 - dark + dark * round_off.clamp(0.0, 1.0).sqrt())[:, None]
    return Look(torch.cat((worn, distance[:, None]), 1))


def random_look(dice: Dice, side: int, palette: Tensor, frames: int, difficulty: float) -> Look:
    """A thing in the colours of a palette, painted on about ``side`` pixels."""
    side = max(32, min(160, -(-side // 32) * 32))  # few sizes, so that filters are shared
    if dice.chance(0.35):
        return _jointed_look(dice, side, palette, frames, difficulty)
    distance = outline(dice, side)
    colour, part = texture(dice, side, palette), None
    for _ in range(dice.choice((0, 1, 2), (0.5, 0.35, 0.15))):
        other = texture(dice, side, related_palette(dice, palette, dice.uniform(0.05, 0.35)))
        divided = dice.chance(0.6)
        patch = split(dice, side) if divided else outline(dice, side).roll(dice.integer(0, side // 3), 1) > 0
        colour = torch.where(patch, other, colour)
        if divided:
            part = patch if dice.chance(_PARTED) else None
    return Look(torch.cat((_shade(dice, colour, distance), distance[None]))[None], part)


def _box(sprite: Sprite, size: int) -> tuple[int, list[tuple[int, int]]]:
    """Side in pixels and corners of the boxes a sprite is drawn on."""
    path = sprite.path
    half = float(path.scale.max()) * 1.05 * size + (0.03 * size if sprite.blur else 0.0) + 2.0
    side = int(2 * half) + 1
    if side >= size:
        return size, [(0, 0)] * len(path.angle)
    corners = (path.centre * size - half).floor().long().tolist()
    return side, [(int(x), int(y)) for x, y in corners]


def object_grid(path: Path, size: int, side: int, corner: list[tuple[int, int]]) -> Tensor:
    """Object coordinates ``[T, side, side, 2]`` of the pixels of boxes in frames of ``size`` pixels."""
    origin = torch.tensor(corner, device=path.angle.device, dtype=torch.float32)
    axis = torch.arange(side, device=path.angle.device, dtype=torch.float32).add_(0.5)
    away = (axis + origin[:, :, None]) / size - path.centre[:, :, None]  # [T, 2, side]
    inverse = to_object(path)  # [T, 2, 2]
    across = inverse[:, :, :1] * away[:, :1]  # [T, 2, side]: what a column adds to x and y
    down = inverse[:, :, 1:] * away[:, 1:]  # and what a row adds
    grid = torch.empty(len(away), side, side, 2, device=axis.device)
    for k in (0, 1):
        torch.add(across[:, k, None, :], down[:, k, :, None], out=grid[..., k])
    return grid


def _bend(warp: Tensor, side: int) -> Tensor:
    """A smooth displacement ``[T, side, side, 2]`` from its control points."""
    smooth = interpolate(warp, (16, 16), mode="bicubic", align_corners=True)
    return interpolate(smooth, (side, side), mode="bilinear", align_corners=True).permute(0, 2, 3, 1)


def _smear(drawn: Tensor, alpha: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Average along a straight move of ``steps`` ``[T, 2]`` pixels, as an open shutter does.

    Adding a shifted copy of the running sum, each time half as far, makes eight exposures of three.
    """
    stack = torch.cat((drawn * alpha[:, None], alpha[:, None]), 1)
    for t, (x, y) in enumerate(steps.tolist()):
        if max(abs(x), abs(y)) < 1.5:
            continue
        moves = [(round(y * part), round(x * part)) for part in (0.5, 0.25, 0.125)]
        back = -(sum(m[0] for m in moves) // 2), -(sum(m[1] for m in moves) // 2)
        frame = torch.roll(stack[t], back, (1, 2))
        for move in moves:
            frame = (torch.roll(frame, move, (1, 2))).add_(frame)
        torch.mul(frame, 0.125, out=stack[t])
    return stack[:, :3] / stack[:, 3:].clamp_min(1e-3), stack[:, 3]


def draw(sprite: Sprite, size: int) -> Patch:
    """Draw a sprite for frames of ``size`` pixels."""
    path = sprite.path
    side, corner = _box(sprite, size)
    grid = object_grid(path, size, side, corner)
    if sprite.warp is not None:
        grid += _bend(sprite.warp, side)
    canvas = sprite.look.canvas.expand(len(grid), -1, -1, -1)
    drawn = grid_sample(canvas, grid, padding_mode="border", align_corners=False)
    pixels = (size * path.scale * path.squash.sqrt())[:, None, None]  # [T, 1, 1] per object unit
    alpha = (drawn[:, 3] * pixels).add_(0.5).clamp_(0.0, 1.0)
    solid, colour = alpha > 0.5, drawn[:, :3]
    named = solid
    if sprite.look.part is not None:
        inside = sprite.look.part.float().expand(len(grid), 1, -1, -1)
        named = solid & (grid_sample(inside, grid, padding_mode="border", align_corners=False)[:, 0] > 0.5)
    if sprite.blur > 0 and len(grid) > 1:
        speed = torch.gradient(path.centre, dim=0)[0] * (size * sprite.blur)
        longest = min(0.06 * size, 0.3 * side)
        steps = speed * (longest / speed.norm(dim=-1, keepdim=True).clamp_min(longest))
        colour, alpha = _smear(colour, alpha, steps)
    return Patch(colour, alpha, solid, named, corner)
