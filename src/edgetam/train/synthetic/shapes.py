"""Outlines, as signed distances inside the unit disc: positive inside, in units of the disc's radius."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from edgetam.train.synthetic.dice import Dice
from edgetam.train.synthetic.textures import plane, spectral_field

__all__ = ["outline", "split"]

_ANGLES = 1024


@lru_cache(maxsize=8)
def _circle(device: torch.device) -> Tensor:
    return torch.arange(_ANGLES, device=device, dtype=torch.float32) * (2 * math.pi / _ANGLES)


def _blob(dice: Dice) -> Tensor:
    angle = _circle(dice.device)
    order = torch.arange(1, 8, device=dice.device, dtype=torch.float32)[:, None]
    size = (dice.rand(7, 1) * 0.5 - 0.25) / order**0.8 * dice.uniform(0.4, 1.4)
    return (1 + (size * torch.cos(order * angle + dice.rand(7, 1) * 6.283)).sum(0)).clamp_min(0.15)


def _ellipse(dice: Dice) -> Tensor:
    angle = _circle(dice.device) + dice.uniform(0, 6.283)
    ratio, power = dice.log_uniform(0.18, 1.0), dice.choice((2.0, 2.0, 3.0, 6.0, 12.0))
    return ((torch.cos(angle).abs()) ** power + (torch.sin(angle).abs() / ratio) ** power) ** (-1 / power)


def _superformula(dice: Dice) -> Tensor:
    angle = _circle(dice.device) * dice.integer(0, 12) / 4
    n1, n2, n3 = dice.uniform(0.4, 6), dice.uniform(0.5, 8), dice.uniform(0.5, 8)
    total = torch.cos(angle).abs().clamp_min(1e-4) ** n2 + torch.sin(angle).abs().clamp_min(1e-4) ** n3
    radius = total ** (-1 / n1)
    return (radius / radius.max()).clamp_min(0.12)


def _polygon(dice: Dice) -> Tensor:
    """Vertices at sorted angles; edges are straight lines in polar form."""
    count = dice.integer(3, 10)
    step = 2 * math.pi / count
    at = (torch.arange(count, device=dice.device) + dice.rand(count) * 0.7) * step
    radius = 1.0 - dice.rand(count) * dice.uniform(0.0, 0.65)
    if count >= 6 and count % 2 == 0 and dice.chance(0.3):
        radius[::2] *= dice.uniform(0.35, 0.7)
    angle = _circle(dice.device)
    second = torch.searchsorted(at, angle) % count
    first = (second - 1) % count
    gap = (at[second] - at[first]) % (2 * math.pi)
    into = (angle - at[first]) % (2 * math.pi)
    a, b = radius[first], radius[second]
    across = a * torch.sin(into) + b * torch.sin(gap - into)
    straight = a * b * torch.sin(gap) / across
    # Gaps of half a turn or more have no straight edge that encloses the centre: round them.
    usable = (gap < 2.8) & (across > 1e-3)
    return torch.where(usable, straight, torch.lerp(a, b, into / gap)).clamp(0.1, 1.0)


_POLAR = (_blob, _ellipse, _superformula, _polygon)


def _distance(radius: Tensor, side: int, centre: tuple[float, float], size: float) -> Tensor:
    """Signed distance ``[side, side]`` to a star-shaped outline given by its radius at each angle."""
    x, y = plane(side, radius.device)
    dx, dy = x - centre[0], y - centre[1]
    index = (torch.atan2(dy, dx) * (_ANGLES / (2 * math.pi))).long() % _ANGLES
    slope = (torch.roll(radius, -4) - torch.roll(radius, 4)) * (_ANGLES / (2 * math.pi) / 8) / radius
    steep = (1 + slope * slope).rsqrt()
    return (radius[index] * size - (dx * dx + dy * dy).sqrt()) * steep[index]


def _single(dice: Dice) -> Tensor:
    radius = dice.choice(_POLAR, (0.4, 0.2, 0.12, 0.28))(dice)
    return torch.roll(radius / radius.max(), dice.integer(0, _ANGLES - 1))


def _joined(dice: Dice, side: int) -> Tensor:
    """Two to four shapes that overlap: vehicles, furniture, things with handles."""
    whole = _distance(_single(dice), side, (0.0, 0.0), dice.uniform(0.4, 0.7))
    for _ in range(dice.integer(1, 3)):
        size, (c, s) = dice.uniform(0.2, 0.45), dice.direction()
        away = dice.uniform(0.25, 0.92 - size)
        whole = torch.maximum(whole, _distance(_single(dice), side, (c * away, s * away), size))
    return whole


def outline(dice: Dice, side: int) -> Tensor:
    """A random outline ``[side, side]``: star-shaped, joined, holed or ragged."""
    kind = dice.choice(("single", "joined", "ring", "ragged"), (0.45, 0.27, 0.08, 0.20))
    if kind == "joined":
        return _joined(dice, side)
    distance = _distance(_single(dice), side, (0.0, 0.0), 0.92)
    if kind == "ring":
        c, s = dice.direction()
        away = dice.uniform(0.0, 0.25)
        hole = _distance(_single(dice), side, (c * away, s * away), dice.uniform(0.25, 0.55))
        return torch.minimum(distance, -hole)
    if kind == "ragged":
        power = dice.uniform(1.3, 2.6)
        noise = spectral_field(dice, side, power)
        distance = distance - 0.1 + noise * dice.uniform(0.03, 0.14)
        x, y = plane(side, dice.device)
        return torch.minimum(distance, 0.95 - (x * x + y * y).sqrt())
    return distance


def split(dice: Dice, side: int) -> Tensor:
    """A bent line through the disc, bool ``[side, side]``: objects are often made of two materials."""
    x, y = plane(side, dice.device)
    c, s = dice.direction()
    bend = spectral_field(dice, side, 2.5) * dice.uniform(0.0, 0.15)
    return (c * x + s * y + bend) > dice.uniform(-0.4, 0.4)
