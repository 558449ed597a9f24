"""What a camera and the light do to a finished clip."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from edgetam.train.synthetic.dice import Dice
from edgetam.train.synthetic.textures import plane

__all__ = ["expose"]


def _light(dice: Dice, frames: int, difficulty: float) -> Tensor:
    """Gain per frame and colour ``[T, 3, 1, 1]``: exposure, white balance, flicker."""
    time = torch.arange(frames, device=dice.device, dtype=torch.float32)
    swing = dice.uniform(0.0, 0.22) * difficulty if dice.chance(0.5) else 0.0
    gain = 1 + swing * torch.sin(time * dice.uniform(0.1, 1.2) + dice.uniform(0, 2 * math.pi))
    gain = gain * (1 + dice.randn(frames) * dice.uniform(0.0, 0.02))
    balance = 1 + dice.randn(3) * 0.06
    return (gain[:, None] * balance * dice.uniform(0.75, 1.2))[..., None, None]


def _moving_shadow(dice: Dice, frames: Tensor) -> Tensor:
    """A soft dark shape that drifts over everything."""
    count, size = len(frames), frames.shape[-1]
    x, y = plane(max(8, size // 8), dice.device)
    start, drift = dice.rand(2) * 2 - 1, dice.randn(2) * 0.12
    time = torch.arange(count, device=dice.device, dtype=torch.float32)[:, None, None]
    c, s = dice.direction()
    near = (x - start[0] - drift[0] * time) * c + (y - start[1] - drift[1] * time) * s
    shade = torch.sigmoid(-near.abs() * 12 + dice.uniform(1, 6)) * dice.uniform(0.2, 0.6)
    return frames * (1 - interpolate(shade[:, None], (size, size), mode="bilinear"))


def _soften(frames: Tensor, part: float) -> Tensor:
    """Lose detail the way small or heavily compressed video does."""
    size = frames.shape[-1]
    small = interpolate(frames, (int(size * part),) * 2, mode="bilinear", antialias=False)
    return interpolate(small, (size, size), mode="bilinear")


def _noise(dice: Dice, frames: Tensor) -> Tensor:
    """Sensor noise: one sheet, read elsewhere for every frame and colour, since fresh noise is slow."""
    size = frames.shape[-1]
    sheet = dice.randn(size + 48, size + 48) * dice.log_uniform(0.004, 0.05)
    for channel in frames.flatten(0, 1):
        x, y = dice.integer(0, 48), dice.integer(0, 48)
        channel += sheet[y : y + size, x : x + size]
    return frames


def expose(dice: Dice, frames: Tensor, difficulty: float) -> Tensor:
    """From scene colours ``[T, 3, S, S]``, which are overwritten, to bytes ``[T, S, S, 3]``."""
    frames = frames.mul_(_light(dice, len(frames), difficulty))
    if dice.chance(0.2):
        frames = _moving_shadow(dice, frames)
    if dice.chance(0.2 * difficulty):
        frames = _soften(frames, dice.uniform(0.4, 0.9))
    if dice.chance(0.05):
        frames = frames.mean(1, keepdim=True).repeat(1, 3, 1, 1)
    if dice.chance(0.3):
        contrast = dice.uniform(0.6, 1.3)
        frames = frames.mul_(contrast).add_(0.45 * (1 - contrast) + dice.uniform(-0.08, 0.08))
    if dice.chance(0.6):
        frames = _noise(dice, frames)
    return frames.mul_(255.0).add_(0.5).clamp_(0.0, 255.0).permute(0, 2, 3, 1).to(torch.uint8).contiguous()
