"""Paths through a clip: where things are, how they turn, and what the camera does.

Lengths are fractions of the frame's side, angles are radians, times are frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from edgetam.train.synthetic.dice import Dice

__all__ = ["Camera", "Path", "aim", "random_camera", "random_path", "random_warp", "to_object", "vanish"]


@dataclass(frozen=True)
class Path:
    """A pose per frame. ``squash`` narrows the object's own x axis, as turning out of the plane does."""

    centre: Tensor  # [T, 2]
    angle: Tensor  # [T]
    scale: Tensor  # [T] radius of the unit disc
    squash: Tensor  # [T]


@dataclass(frozen=True)
class Camera:
    """How the world shifts, turns and grows on screen, relative to frame 0."""

    pan: Tensor  # [T, 2]
    roll: Tensor  # [T]
    zoom: Tensor  # [T]

    def apply(self, path: Path, parallax: float) -> Path:
        """Show a path of the world on screen; nearer things have a larger ``parallax``."""
        c, s = torch.cos(self.roll), torch.sin(self.roll)
        x, y = (path.centre - 0.5 + self.pan * parallax).unbind(-1)
        centre = torch.stack((c * x - s * y, s * x + c * y), -1) * self.zoom[:, None] + 0.5
        return replace(path, centre=centre, angle=path.angle + self.roll, scale=path.scale * self.zoom)


@lru_cache(maxsize=64)
def _habit(frames: int, device: torch.device) -> Tensor:
    """Turns independent numbers per frame into a walk with correlated steps: ``[T, T]``."""
    gap = torch.arange(frames)[:, None] - torch.arange(frames)
    steps = torch.where(gap >= 0, 0.7 * 0.7 ** gap.clamp_min(0).float(), torch.zeros(()))
    steps[0] = 0.0
    return steps.cumsum(0).to(device)


def _wander(dice: Dice, frames: int, sigma: float, width: int = 1) -> Tensor:
    """A smooth random walk ``[T, width]`` that starts at 0: its steps are correlated in time."""
    return _habit(frames, dice.device) @ (dice.randn(frames, width) * sigma)


def random_path(dice: Dice, frames: int, scale: float, difficulty: float) -> Path:
    """The motion of one thing; ``scale`` is its radius at frame 0."""
    time = torch.arange(frames, device=dice.device, dtype=torch.float32)
    start = torch.tensor([dice.uniform(0.12, 0.88), dice.uniform(0.12, 0.88)], device=dice.device)
    speed = dice.log_uniform(0.004, 0.09) * (0.3 + 0.7 * difficulty)
    if dice.chance(0.12):
        speed = 0.0
    heading = torch.tensor(dice.direction(), device=dice.device)
    if dice.chance(0.5):  # towards the middle, so that not everything drifts out
        heading = heading * 0.4 + (0.5 - start)
        heading = heading / heading.norm().clamp_min(1e-3)
    curve = torch.tensor(dice.direction(), device=dice.device) * dice.uniform(0, 0.25) * speed
    centre = start + heading * speed * time[:, None] + 0.5 * curve * time[:, None] ** 2
    centre = centre + _wander(dice, frames, 0.3 * speed + 0.002, 2)
    spin = dice.gauss(0.10) * (0.3 + 0.7 * difficulty) if dice.chance(0.6) else dice.gauss(0.01)
    angle = dice.gauss(0.5) + spin * time + _wander(dice, frames, 0.03 * difficulty)[:, 0]
    growth = torch.exp(dice.gauss(0.035 * difficulty) * time + _wander(dice, frames, 0.012)[:, 0])
    squash = torch.ones(frames, device=dice.device)
    if dice.chance(0.3):
        turn = dice.uniform(-0.9, 0.9) + dice.gauss(0.12) * difficulty * time
        squash = torch.cos(turn).abs().clamp_min(0.25)
    return Path(centre, angle, scale * growth.clamp(0.5, 2.0), squash)


def random_warp(dice: Dice, frames: int, difficulty: float) -> Tensor | None:
    """Control displacements ``[T, 2, 4, 4]`` of a non-rigid deformation, or none for rigid things."""
    if dice.chance(0.35):
        return None
    size = dice.uniform(0.01, 0.07) * (0.4 + 0.6 * difficulty)
    rest = dice.randn(1, 2, 4, 4)
    return size * (rest + _wander(dice, frames, dice.uniform(0.2, 0.8), 32).reshape(frames, 2, 4, 4)).clamp(
        -2.5, 2.5
    )


def random_camera(dice: Dice, frames: int, difficulty: float) -> Camera:
    """Pan, zoom, roll and hand shake; sometimes a tripod."""
    time = torch.arange(frames, device=dice.device, dtype=torch.float32)
    still = torch.zeros(frames, device=dice.device)
    if dice.chance(0.15):
        return Camera(still[:, None].repeat(1, 2), still, still + 1)
    speed = dice.log_uniform(0.002, 0.06) * (0.3 + 0.7 * difficulty)
    heading = torch.tensor(dice.direction(), device=dice.device) * torch.tensor(
        [1.0, 0.5], device=dice.device
    )
    pan = heading * speed * time[:, None] + _wander(dice, frames, 0.3 * speed, 2)
    if dice.chance(0.4):
        pan = pan + dice.randn(frames, 2) * dice.uniform(0.001, 0.006)
    roll = dice.gauss(0.01) * time + _wander(dice, frames, 0.006 * difficulty)[:, 0]
    zoom = torch.exp(dice.gauss(0.012) * time + _wander(dice, frames, 0.006)[:, 0]).clamp(0.6, 1.6)
    return Camera(pan - pan[:1], roll, zoom)


def vanish(dice: Dice, path: Path) -> Path:
    """Push a thing out of the frame for some frames after the first, never for all of them."""
    frames = len(path.angle)
    first = dice.integer(1, frames - 1)
    last = dice.integer(first, frames - 1 if first > 1 else frames - 2)
    away = torch.zeros(frames, device=path.angle.device)
    away[first : last + 1] = 1.0
    for t in (first - 1, last + 1):
        if 0 < t < frames:
            away[t] = dice.uniform(0.1, 0.5)
    side = torch.where(path.centre[first] < 0.5, -1.0, 1.0)
    axis = dice.integer(0, 1)
    gap = torch.zeros(2, device=path.angle.device)
    reach = 0.5 + float(path.scale.max()) * 1.2
    gap[axis] = side[axis] * reach
    return replace(path, centre=path.centre + away[:, None] * gap)


def aim(dice: Dice, path: Path, target: Path) -> Path:
    """Make a thing meet a target at some frame after the first, coming from the side."""
    frames = len(path.angle)
    meeting = dice.uniform(1.0, frames - 1.0) if frames > 1 else 2.0
    time = torch.arange(frames, device=path.angle.device, dtype=torch.float32)
    c, s = dice.direction()
    pace = (float(path.scale[0] + target.scale[0]) / meeting) * dice.uniform(0.6, 1.2)
    offset = torch.tensor([c, s], device=path.angle.device) * pace
    at = target.centre[min(frames - 1, round(meeting))]
    wobble = path.centre - path.centre[:1]
    return replace(path, centre=at + offset * (time - meeting)[:, None] + 0.2 * wobble)


def to_object(path: Path) -> Tensor:
    """The matrices ``[T, 2, 2]`` that turn offsets from the centre, on screen, into object coordinates."""
    c, s = torch.cos(path.angle), torch.sin(path.angle)
    wide, high = path.scale * path.squash, path.scale
    return torch.stack((c / wide, s / wide, -s / high, c / high), -1).reshape(-1, 2, 2)
