"""Surfaces: coloured square textures with the statistics of real ones.

Natural images have spectra that fall as a power of frequency, so filtered noise is at the bottom of
everything here; patterns, cells and scattered shapes are drawn over it, or through it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from edgetam.train.synthetic.dice import Dice

__all__ = ["plane", "random_palette", "related_palette", "spectral_field", "texture"]


_STEPS = 512
_LEANS = 4


@lru_cache(maxsize=256)
def plane(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """x and y of the centres of ``side x side`` pixels spanning -1..1, each ``[side, side]``."""
    axis = (torch.arange(side, device=device, dtype=torch.float32) + 0.5) * (2.0 / side) - 1.0
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return x, y


@lru_cache(maxsize=1024)
def _filter(side: int, power: float, stretch: float, lean: int, device: torch.device) -> Tensor:
    """Gain per frequency ``[side, side // 2 + 1]``, such that white noise keeps unit variance."""
    fy = torch.fft.fftfreq(side, device=device)[:, None] * side
    fx = torch.fft.rfftfreq(side, device=device)[None, :] * side
    c, s = math.cos(lean * math.pi / _LEANS), math.sin(lean * math.pi / _LEANS)
    fx, fy = (fx * c + fy * s) * stretch, fy * c - fx * s
    gain = (fx * fx + fy * fy + 1.0).pow(-0.5 * power)
    gain[0, 0] = 0.0
    # The half spectrum counts twice, except for its first column; the Nyquist column hardly matters.
    total = 2 * gain.square().sum() - gain[:, 0].square().sum()
    return cast(Tensor, gain * (side / total.sqrt()))


def spectral_field(dice: Dice, side: int, power: float, stretch: float = 1.0) -> Tensor:
    """Noise of unit variance whose amplitude falls as frequency to the ``power``; ``[side, side]``.

    ``stretch`` above 1 draws it out along a random direction, like fur or brushed metal.
    """
    small = max(16, side // 4) if power >= 1.8 else side  # steep spectra have nothing fine to lose
    lean = dice.integer(0, _LEANS - 1) if stretch != 1.0 else 0
    gain = _filter(small, round(power * 4) / 4, stretch, lean, dice.device)
    field: Tensor = torch.fft.irfft2(torch.fft.rfft2(dice.randn(small, small)) * gain, s=(small, small))
    if small == side:
        return field
    return interpolate(field[None, None], (side, side), mode="bilinear")[0, 0]


def random_palette(dice: Dice) -> Tensor:
    """A few related colours ``[K, 3]`` in 0..1: mostly muted, sometimes vivid."""
    count = dice.integer(2, 6)
    # Around 0 is red, -0.5 orange and brown, -2.1 green, -4.2 blue: purple is rare outdoors and in.
    hue = dice.choice((dice.gauss(0.5) - 0.5, dice.uniform(-4.4, -1.0), dice.uniform(0.0, 6.3)), (5, 4, 1))
    saturation = dice.log_uniform(0.015, 0.22)
    tint = torch.tensor([math.cos(hue + k * 2.0944) for k in range(3)], device=dice.device)
    base = dice.uniform(0.12, 0.85) + saturation * tint
    spread = dice.uniform(0.03, 0.30)
    light = dice.randn(count, 1) * spread
    chroma = dice.randn(count, 3) * spread * dice.uniform(0.03, 0.5)
    return (base + light + chroma).clamp(0.02, 0.98)


def related_palette(dice: Dice, palette: Tensor, distance: float) -> Tensor:
    """Colours close to those of another palette: what makes an object hard to see."""
    shift = dice.randn(1, 3) * distance
    return (palette + shift + dice.randn(*palette.shape) * distance * 0.5).clamp(0.02, 0.98)


def _lookup(palette: Tensor, position: Tensor, hardness: float) -> Tensor:
    """Colours ``[3, S, S]`` at positions in 0..1 along a palette; ``hardness`` 1 blends, more makes steps."""
    scaled = torch.linspace(0.0, len(palette) - 1.0, _STEPS, device=palette.device)
    index = scaled.floor().clamp(max=len(palette) - 2).long()
    part = (((scaled - index) - 0.5) * hardness + 0.5).clamp(0.0, 1.0)
    table = torch.lerp(palette[index], palette[index + 1], part[:, None]).T.contiguous()
    flat = (position * (_STEPS - 1)).clamp_(0.0, _STEPS - 1.0).int().flatten()
    return torch.index_select(table, 1, flat).reshape(3, *position.shape)


def _cloud(dice: Dice, side: int, palette: Tensor) -> Tensor:
    field = spectral_field(dice, side, dice.uniform(0.9, 2.2), dice.choice((1.0, 1.0, 2.0, 5.0)))
    return _lookup(palette, torch.sigmoid(1.7 * field), dice.choice((1.0, 1.0, 3.0, 8.0)))


def _gradient(dice: Dice, side: int, palette: Tensor) -> Tensor:
    x, y = plane(side, dice.device)
    c, s = dice.direction()
    ramp = (c * x + s * y) * 0.4 + 0.5
    if dice.chance(0.3):
        ramp = ((x - c * 0.5) ** 2 + (y - s * 0.5) ** 2).sqrt() * 0.6
    return _lookup(palette, ramp, 1.0)


def _pattern(dice: Dice, side: int, palette: Tensor) -> Tensor:
    x, y = plane(side, dice.device)
    c, s = dice.direction()
    bend = dice.uniform(0.0, 0.25) * spectral_field(dice, side, 2.5)
    u, v = c * x + s * y + bend, c * y - s * x + bend
    period = dice.log_uniform(3.0, 25.0)
    a, b = torch.sin(u * period), torch.sin(v * period * dice.choice((1.0, 1.0, 0.4, 2.0)))
    kind = dice.choice(("stripes", "checker", "dots", "plaid"))
    mixed = {"stripes": a, "checker": a * b * 2, "dots": a + b - 0.8, "plaid": (a + b) * 0.7}[kind]
    return _lookup(palette, torch.sigmoid(mixed * dice.choice((1.0, 3.0, 12.0))), 1.0)


def _cells(dice: Dice, side: int, palette: Tensor) -> Tensor:
    count = dice.integer(6, 36)
    small = max(16, min(96, side))
    x, y = plane(small, dice.device)
    bend = dice.uniform(0.0, 0.12) * spectral_field(dice, small, 1.8)
    sites = dice.rand(count, 2) * 2.2 - 1.1
    near = (x + bend)[None] - sites[:, :1, None], (y - bend)[None] - sites[:, 1:, None]
    distance = near[0] ** 2 + near[1] ** 2  # [count, small, small]
    value, owner = distance.min(0)
    colours = palette[(dice.rand(count) * len(palette)).long()] + 0.06 * dice.randn(count, 3)
    image = colours[owner].permute(2, 0, 1)
    image = image * (1.0 - dice.uniform(0.0, 1.5) * value.sqrt()[None]).clamp_min(0.3)
    return interpolate(image[None], (side, side), mode="bilinear")[0] if small != side else image


def _scatter(dice: Dice, side: int, palette: Tensor) -> Tensor:
    """Overlapping discs and boxes of many sizes ("dead leaves"): edges at all scales."""
    count, small = dice.integer(12, 40), max(16, min(96, side))
    axis = plane(small, dice.device)[0][0]
    radius = 0.06 * (1.0 - 0.97 * dice.rand(count)) ** -0.75
    radius[0] = 9.0
    away = (axis - (dice.rand(2, count, 1) * 2 - 1)).abs() / radius[:, None]  # [2, count, small]
    x, y = away[0, :, None, :], away[1, :, :, None]
    boxy = (dice.rand(count) < 0.4)[:, None, None]
    inside = torch.where(boxy, x.maximum(y), x * x + y * y) < 1.0
    order = torch.arange(count, device=dice.device, dtype=torch.float32)[:, None, None]
    owner = (inside * order).amax(0).long()
    colours = palette[(dice.rand(count) * len(palette)).long()] * (0.75 + 0.5 * dice.rand(count, 1))
    image = colours[owner].permute(2, 0, 1)
    return interpolate(image[None], (side, side), mode="bilinear")[0] if small != side else image


_KINDS = (_cloud, _gradient, _pattern, _cells, _scatter)


def texture(dice: Dice, side: int, palette: Tensor) -> Tensor:
    """A surface ``[3, side, side]``, roughly in 0..1, in the colours of a palette."""
    kind = dice.choice(_KINDS, (0.35, 0.15, 0.16, 0.14, 0.20))
    image = kind(dice, side, palette)
    tile = min(side, 128)
    grain = spectral_field(dice, tile, dice.uniform(0.4, 1.4), dice.choice((1.0, 1.0, 3.0)))
    grain = grain * dice.log_uniform(0.01, 0.12)
    if tile < side:  # filtered noise wraps around without a seam
        times = -(-side // tile)
        grain = grain.repeat(times, times)[:side, :side]
    return image + grain
