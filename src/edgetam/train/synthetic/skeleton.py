"""Jointed bodies: chains of tapered limbs that swing, like people, animals, plants and tools."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from edgetam.train.synthetic.dice import Dice
from edgetam.train.synthetic.textures import plane

__all__ = ["Skeleton", "limb_fields", "random_skeleton"]


@dataclass(frozen=True)
class Limb:
    """One bone: ``parent`` is an index or -1, ``at`` the place of its joint along the parent, 0..1."""

    parent: int
    at: float
    length: float
    rest: float
    thick: float
    thin: float
    swing: float
    group: int


@dataclass(frozen=True)
class Skeleton:
    """Bones posed on every frame, in the coordinates of the object; drawn in order."""

    start: Tensor  # [T, L, 2]
    end: Tensor  # [T, L, 2]
    thick: Tensor  # [L] radius at the start
    thin: Tensor  # [L] radius at the end
    group: tuple[int, ...]  # which of the four cells of the texture each limb wears


def _person(dice: Dice) -> list[Limb]:
    wide, leg, arm = dice.uniform(0.13, 0.24), dice.uniform(0.32, 0.45), dice.uniform(0.26, 0.36)
    stride, reach = dice.uniform(0.1, 0.7), dice.uniform(0.1, 1.2)
    down, sleeve = math.pi, dice.choice((0, 2))
    limbs = [Limb(-1, 0, 0.55, 0.0, wide * 0.9, wide, 0.08, 0)]
    for sign in (-1.0, 1.0):
        hip, knee = sign * dice.uniform(0.05, 0.35), -sign * dice.uniform(0.0, 0.35)
        limbs.append(Limb(0, 0.0, leg, down + hip, wide * 0.62, wide * 0.5, sign * stride, 1))
        limbs.append(Limb(len(limbs) - 1, 1.0, leg, knee, wide * 0.5, wide * 0.35, stride * 0.6, 1))
    limbs.append(Limb(0, 1.0, 0.16, 0.0, wide * 0.55, wide * dice.uniform(0.7, 1.0), 0.15, 3))
    for sign in (-1.0, 1.0):
        out = down + sign * dice.uniform(0.1, 1.6)
        limbs.append(Limb(0, 0.95, arm, out, wide * 0.42, wide * 0.36, sign * reach, sleeve))
        limbs.append(
            Limb(len(limbs) - 1, 1.0, arm, sign * dice.uniform(-0.9, 0.3), wide * 0.34, wide * 0.25, reach, 2)
        )
    return limbs


def _beast(dice: Dice) -> list[Limb]:
    fat, leg = dice.uniform(0.14, 0.28), dice.uniform(0.18, 0.45)
    side, stride = math.pi / 2, dice.uniform(0.1, 0.7)
    limbs = [Limb(-1, 0, 0.8, side, fat, fat * dice.uniform(0.7, 1.1), 0.1, 0)]
    for place, sign in ((0.02, 1.0), (0.12, -1.0), (0.9, 1.0), (1.0, -1.0)):
        limbs.append(
            Limb(0, place, leg, side + sign * 0.15, fat * 0.5, fat * 0.3, sign * stride, dice.choice((0, 1)))
        )
        bend = dice.uniform(-0.4, 0.4)
        limbs.append(Limb(len(limbs) - 1, 1.0, leg * 0.8, bend, fat * 0.3, fat * 0.2, sign * stride * 0.5, 1))
    neck = dice.uniform(0.1, 0.45)
    limbs.append(Limb(0, 1.0, neck, -dice.uniform(0.2, 1.3), fat * 0.6, fat * 0.45, 0.2, 0))
    head = len(limbs) - 1
    limbs.append(
        Limb(head, 1.0, 0.22, dice.uniform(0.2, 1.2), fat * 0.6, fat * 0.35, 0.25, dice.choice((0, 3)))
    )
    limbs.append(
        Limb(0, 0.0, dice.uniform(0.15, 0.6), math.pi + dice.gauss(0.6), fat * 0.22, fat * 0.1, 0.6, 0)
    )
    return limbs


def _creature(dice: Dice) -> list[Limb]:
    """A random tree of limbs: hands, plants, insects, cranes."""
    limbs = [
        Limb(-1, 0, dice.uniform(0.1, 0.9), 0.0, dice.uniform(0.05, 0.3), dice.uniform(0.05, 0.3), 0.1, 0)
    ]
    for _ in range(dice.integer(1, 8)):
        parent = dice.integer(0, len(limbs) - 1) if dice.chance(0.6) else 0
        thick = limbs[parent].thin * dice.uniform(0.4, 1.0)
        thin = thick * dice.uniform(0.4, 1.2)
        rest, swing = dice.gauss(1.2), dice.uniform(0, 0.6)
        limbs.append(
            Limb(
                parent,
                dice.uniform(0, 1),
                dice.uniform(0.15, 0.7),
                rest,
                thick,
                thin,
                swing,
                dice.integer(0, 3),
            )
        )
    return limbs


def _pose(limbs: list[Limb], swings: Tensor) -> tuple[Tensor, Tensor]:
    """Joint positions ``[T, L, 2]`` of the two ends of every limb; ``swings`` is ``[T, L]``."""
    angles: list[Tensor] = []
    starts: list[Tensor] = []
    ends: list[Tensor] = []
    for index, limb in enumerate(limbs):
        angle = swings[:, index] + limb.rest
        start = torch.zeros_like(angle)[:, None].repeat(1, 2)
        if limb.parent >= 0:
            angle = angle + angles[limb.parent]
            start = torch.lerp(starts[limb.parent], ends[limb.parent], limb.at)
        angles.append(angle)
        starts.append(start)
        ends.append(start + limb.length * torch.stack((torch.sin(angle), -torch.cos(angle)), -1))
    return torch.stack(starts, 1), torch.stack(ends, 1)


def random_skeleton(dice: Dice, frames: int, difficulty: float) -> Skeleton:
    """A body and its gait, scaled into the unit disc."""
    limbs = dice.choice((_person, _beast, _creature), (0.4, 0.3, 0.3))(dice)
    time = torch.arange(frames, device=dice.device, dtype=torch.float32)
    pace = dice.log_uniform(0.15, 1.3) * (0.3 + 0.7 * difficulty)
    size = torch.tensor([limb.swing for limb in limbs], device=dice.device)
    phase = dice.uniform(0, 6.28) + dice.randn(len(limbs)) * 0.5
    start, end = _pose(limbs, size * torch.sin(pace * time[:, None] + phase))
    thick = torch.tensor([limb.thick for limb in limbs], device=dice.device)
    thin = torch.tensor([limb.thin for limb in limbs], device=dice.device)
    joints = torch.cat((start, end), 1)
    middle = (joints.amin((0, 1)) + joints.amax((0, 1))) / 2
    reach = float(((joints - middle).norm(dim=-1) + torch.cat((thick, thin))).max())
    fit = 0.95 / reach
    groups = tuple(limb.group for limb in limbs)
    return Skeleton((start - middle) * fit, (end - middle) * fit, thick * fit, thin * fit, groups)


def limb_fields(skeleton: Skeleton, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Paint a body on canvases of ``side`` pixels, one per frame.

    Returns signed distance, texture coordinates u and v, and roundness (1 on a limb's axis, 0 at its
    edge), each ``[T, side, side]``.
    """
    device = skeleton.start.device
    x, y = plane(side, device)
    axes = skeleton.end - skeleton.start
    length = axes.norm(dim=-1).clamp_min(1e-3)
    ax, ay = (axes / length[..., None])[..., None, None].unbind(2)  # [T, L, 1, 1]
    sx, sy = skeleton.start[..., None, None].unbind(2)
    reach = length[..., None, None]
    dx, dy = x - sx, y - sy
    along = dx * ax + dy * ay  # [T, L, side, side]
    across = (dy * ax).sub_(dx * ay)
    on = along.clamp_min(0.0).minimum(reach)
    radius = on * ((skeleton.thin - skeleton.thick)[:, None, None] / reach) + skeleton.thick[:, None, None]
    distance = radius - torch.hypot(along - on, across)
    # Later limbs cover earlier ones; the margin keeps colours defined under soft edges.
    place = torch.arange(1.0, 1.0 + len(skeleton.group), device=device)[:, None, None]
    owner = (place * (distance > -3.0 / side)).amax(1, keepdim=True).sub_(1.0).clamp_min_(0.0).long()
    group = torch.tensor(skeleton.group, device=device)[owner[:, 0]]
    u = along.gather(1, owner)[:, 0].mul_(0.5).sub_(0.2).clamp_(-0.47, 0.47) + (group % 2 - 0.5)
    v = across.gather(1, owner)[:, 0].mul_(0.9).clamp_(-0.47, 0.47) + (group // 2 - 0.5)
    round_off = distance.gather(1, owner)[:, 0] / radius.gather(1, owner)[:, 0]
    return distance.amax(1), u, v, round_off
