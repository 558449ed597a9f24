"""Sprites: things with a surface, an outline and a path, drawn frame by frame on their bounding box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from edgetam.train.synthetic.dice import Dice
from edgetam.train.synthetic.motion import Path, to_object
from edgetam.train.synthetic.shapes import outline, split
from edgetam.train.synthetic.skeleton import Skeleton, random_skeleton
from edgetam.train.synthetic.textures import plane, related_palette, texture

__all__ = ["Look", "Patch", "Sprite", "draw", "random_look"]


@dataclass(frozen=True)
class Look:
    """What a thing looks like, wherever it goes.

    ``distance`` is the signed distance to the outline in object coordinates, painted on the same
    canvas as the colours; jointed bodies have a ``skeleton`` instead.
    """

    colour: Tensor  # [3, R, R]
    distance: Tensor | None = None  # [R, R]
    skeleton: Skeleton | None = None


@dataclass(frozen=True)
class Sprite:
    """A thing on screen. ``blur`` is the part of a frame's time that the shutter is open."""

    look: Look
    path: Path
    warp: Tensor | None = None  # [T, 2, 4, 4]
    blur: float = 0.0
    opacity: float = 1.0


class Patch(NamedTuple):
    """A drawn sprite: a box per frame, all of one size, with its corner in pixels."""

    colour: Tensor  # [T, 3, h, w]
    alpha: Tensor  # [T, h, w]
    solid: Tensor  # [T, h, w] bool, where the sprite is without motion blur
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
        fresh = dice.chance(0.6)
        cells.append(texture(dice, half, related_palette(dice, palette, 0.2)) if fresh else cells[0])
    colour = torch.cat((torch.cat(cells[:2], -1), torch.cat(cells[2:], -1)), -2)
    return Look(colour, skeleton=random_skeleton(dice, frames, difficulty))


def random_look(dice: Dice, side: int, palette: Tensor, frames: int, difficulty: float) -> Look:
    """A thing in the colours of a palette, painted on about ``side`` pixels."""
    side = max(24, min(192, side))
    side += side % 2
    if dice.chance(0.35):
        return _jointed_look(dice, side, palette, frames, difficulty)
    distance = outline(dice, side)
    colour = texture(dice, side, palette)
    for _ in range(dice.choice((0, 1, 2), (0.5, 0.35, 0.15))):
        other = texture(dice, side, related_palette(dice, palette, dice.uniform(0.05, 0.35)))
        patch = split(dice, side) if dice.chance(0.6) else outline(dice, side).roll(dice.integer(0, side // 3), 1) > 0
        colour = torch.where(patch, other, colour)
    return Look(_shade(dice, colour, distance), distance)


def _box(path: Path, size: int) -> tuple[int, list[tuple[int, int]]]:
    """Side in pixels and corners of the boxes a sprite is drawn on."""
    half = float(path.scale.max()) * 1.08 * size + 3.0
    side = int(2 * half) + 1
    if side >= size:
        return size, [(0, 0)] * len(path.angle)
    corners = (path.centre * size - half).floor().long().tolist()
    return side, [(int(x), int(y)) for x, y in corners]


def _object_grid(sprite: Sprite, size: int, side: int, corner: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Object coordinates x and y ``[T, side, side]`` of every pixel of the boxes."""
    path = sprite.path
    axis = torch.arange(side, device=path.angle.device, dtype=torch.float32) + 0.5
    origin = torch.tensor(corner, device=path.angle.device, dtype=torch.float32)
    away = (axis[None, None] + origin[:, :, None]) / size - path.centre[:, :, None]  # [T, 2, side]
    xx, xy, yx, yy = to_object(path)
    dx, dy = away[:, 0], away[:, 1]
    x = (xx[:, None] * dx)[:, None, :] + (xy[:, None] * dy)[:, :, None]
    y = (yx[:, None] * dx)[:, None, :] + (yy[:, None] * dy)[:, :, None]
    if sprite.warp is not None:
        bend = F.interpolate(sprite.warp, (side, side), mode="bicubic", align_corners=True)
        x, y = x + bend[:, 0], y + bend[:, 1]
    return x, y


def _limbs(skeleton: Skeleton, x: Tensor, y: Tensor, edge: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distance, texture coordinates u and v, and roundness of a jointed body, each ``[T, h, w]``."""
    best = torch.full_like(x, -9.0)
    u, v, round_off = torch.zeros_like(x), torch.zeros_like(x), torch.ones_like(x)
    axes = skeleton.end - skeleton.start
    length = axes.norm(dim=-1).clamp_min(1e-3)
    axes = axes / length[..., None]
    for i, group in enumerate(skeleton.group):
        ax, ay = axes[:, i, 0, None, None], axes[:, i, 1, None, None]
        dx, dy = x - skeleton.start[:, i, 0, None, None], y - skeleton.start[:, i, 1, None, None]
        along, across = dx * ax + dy * ay, dy * ax - dx * ay
        reach = length[:, i, None, None]
        on = along.clamp_min(0.0).minimum(reach)
        radius = skeleton.thick[i] + (skeleton.thin[i] - skeleton.thick[i]) * (on / reach)
        distance = radius - ((along - on) ** 2 + across**2).sqrt()
        # Later limbs cover earlier ones; a margin keeps colours defined under soft edges.
        front = (distance > 0) | ((best < 0) & (distance > torch.maximum(best, edge)))
        cell = (group % 2 - 0.5, group // 2 - 0.5)
        u = torch.where(front, cell[0] + (along * 0.5 - 0.2).clamp(-0.47, 0.47), u)
        v = torch.where(front, cell[1] + (across * 0.9).clamp(-0.47, 0.47), v)
        round_off = torch.where(front, distance / radius, round_off)
        best = torch.maximum(best, distance)
    return best, u, v, round_off


def _paint(look: Look, x: Tensor, y: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
    """Colours ``[T, 3, h, w]`` and signed distance ``[T, h, w]`` at object coordinates."""
    frames = len(x)
    if look.skeleton is not None:
        distance, u, v, round_off = _limbs(look.skeleton, x, y, edge)
        colour = F.grid_sample(
            look.colour.expand(frames, -1, -1, -1), torch.stack((u, v), -1), align_corners=False
        )
        return colour * (0.55 + 0.45 * round_off.clamp(0.0, 1.0).sqrt())[:, None], distance
    assert look.distance is not None
    canvas = torch.cat((look.colour, look.distance[None])).expand(frames, -1, -1, -1)
    grid = torch.stack((x, y), -1)
    drawn = F.grid_sample(canvas, grid, padding_mode="border", align_corners=False)
    outside = (x.abs().maximum(y.abs()) - 1.0).clamp_min(0.0)
    return drawn[:, :3], drawn[:, 3] - outside


def _smear(colour: Tensor, alpha: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Average along a straight move of ``steps`` ``[T, 2]`` pixels, as an open shutter does."""
    stack = torch.cat((colour * alpha[:, None], alpha[:, None]), 1)
    out = torch.zeros_like(stack)
    places = (-0.5, -0.25, 0.0, 0.25, 0.5)
    for t, step in enumerate(steps.tolist()):
        for place in places:
            out[t] += torch.roll(stack[t], (round(step[1] * place), round(step[0] * place)), (1, 2))
    out = out / len(places)
    return out[:, :3] / out[:, 3:].clamp_min(1e-3), out[:, 3]


def draw(sprite: Sprite, size: int) -> Patch:
    """Draw a sprite for frames of ``size`` pixels."""
    path = sprite.path
    side, corner = _box(path, size)
    x, y = _object_grid(sprite, size, side, corner)
    pixel = (1.0 / (size * path.scale * path.squash.sqrt()))[:, None, None]  # [T, 1, 1] object units
    colour, distance = _paint(sprite.look, x, y, -2.0 * pixel)
    alpha = (distance / pixel + 0.5).clamp(0.0, 1.0)
    solid = alpha > 0.5
    if sprite.blur > 0 and len(path.angle) > 1:
        speed = torch.gradient(path.centre, dim=0)[0] * size * sprite.blur
        colour, alpha = _smear(colour, alpha, speed.clamp(-side / 4, side / 4))
    return Patch(colour, alpha * sprite.opacity, solid, corner)
