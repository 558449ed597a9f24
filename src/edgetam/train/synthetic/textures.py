"""Surfaces: coloured square textures with the statistics of real ones.

Natural images have spectra that fall as a power of frequency, so filtered noise is at the bottom of
everything here; patterns, cells and scattered shapes are drawn over it, or through it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from edgetam.train.synthetic.dice import Dice

__all__ = ["plane", "random_palette", "related_palette", "spectral_field", "texture"]


_STEPS = 512


@lru_cache(maxsize=256)
def plane(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """x and y of the centres of ``side x side`` pixels spanning -1..1, each ``[side, side]``."""
    axis = (torch.arange(side, device=device, dtype=torch.float32) + 0.5) * (2.0 / side) - 1.0
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return x, y


@lru_cache(maxsize=256)
def _frequencies(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    fy = torch.fft.fftfreq(side, device=device)[:, None] * side
    fx = torch.fft.rfftfreq(side, device=device)[None, :] * side
    return fx, fy


def spectral_field(dice: Dice, side: int, power: float, stretch: float = 1.0) -> Tensor:
    """Noise of unit variance whose amplitude falls as frequency to the ``power``; ``[side, side]``.

    ``stretch`` above 1 draws it out along a random direction, like fur or brushed metal.
    """
    fx, fy = _frequencies(side, dice.device)
    if stretch != 1.0:
        c, s = dice.direction()
        fx, fy = (fx * c + fy * s) * stretch, (fy * c - fx * s)
    energy = (fx * fx + fy * fy + 1.0).pow(-0.5 * power)
    energy[0, 0] = 0.0
    field = torch.fft.irfft2(torch.fft.rfft2(dice.randn(side, side)) * energy, s=(side, side))
    return field / field.std().clamp_min(1e-6)


def random_palette(dice: Dice) -> Tensor:
    """A few related colours ``[K, 3]`` in 0..1: mostly muted, sometimes vivid."""
    count = dice.integer(2, 6)
    hue = dice.uniform(0, 2 * math.pi)
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
    return F.interpolate(image[None], (side, side), mode="bilinear")[0] if small != side else image


def _scatter(dice: Dice, side: int, palette: Tensor) -> Tensor:
    """Overlapping discs and boxes of many sizes ("dead leaves"): edges at all scales."""
    image = palette[0][:, None, None].repeat(1, side, side)
    x, y = plane(side, dice.device)
    for draw in dice.rand(dice.integer(15, 45), 6).tolist():
        radius = 0.05 * (1.0 - 0.985 * draw[0]) ** -0.6
        cx, cy = draw[1] * 2 - 1, draw[2] * 2 - 1
        x0, x1 = (int(max(0.0, min(1.0, (c + 1) / 2)) * side) for c in (cx - radius, cx + radius))
        y0, y1 = (int(max(0.0, min(1.0, (c + 1) / 2)) * side) for c in (cy - radius, cy + radius))
        if x1 <= x0 or y1 <= y0:
            continue
        colour = palette[int(draw[3] * len(palette))][:, None, None] * (0.75 + 0.5 * draw[4])
        if draw[5] < 0.4:
            image[:, y0:y1, x0:x1] = colour
            continue
        dx, dy = x[y0:y1, x0:x1] - cx, y[y0:y1, x0:x1] - cy
        inside = (dx * dx + dy * dy) < radius * radius
        image[:, y0:y1, x0:x1] = torch.where(inside, colour, image[:, y0:y1, x0:x1])
    return image


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
