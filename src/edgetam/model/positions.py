"""Constant tables of positions: sine, random Fourier and rotary.

All are made once, when a model is built; none is learned except the Fourier frequencies.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["FourierPositions", "HalvesRotary", "Rotary", "halves_first", "sine_grid", "sine_of"]

TEMPERATURE = 10000.0


def sine_of(values: Tensor, channels: int) -> Tensor:
    """Sines of ``values`` in the first half of ``channels``, cosines in the second: ``[..., channels]``.

    Used for distances in time (SAM 2.1's object pointers).
    """
    half = channels // 2
    exponent = 2 * (torch.arange(half, device=values.device, dtype=torch.float32) // 2) / half
    angles = values[..., None] / TEMPERATURE**exponent
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def sine_grid(channels: int, side: int) -> Tensor:
    """Sine positions of a square grid, row-major: ``[side * side, channels]``, y before x.

    As in DETR with normalisation: coordinates run from ``1 / side`` to 1, times 2 pi; even channels
    are sines, odd ones cosines.
    """
    half = channels // 2
    line = torch.arange(1, side + 1, dtype=torch.float32) / (side + 1e-6) * 2 * math.pi
    wavelength = TEMPERATURE ** (2 * (torch.arange(half, dtype=torch.float32) // 2) / half)
    angles = line[:, None] / wavelength  # [side, half]
    codes = torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=2).flatten(1)
    y = codes[:, None].expand(side, side, half)
    x = codes[None, :].expand(side, side, half)
    return torch.cat([y, x], dim=-1).flatten(0, 1)


class FourierPositions(nn.Module):
    """Random Fourier features of image positions (SAM's prompt positions)."""

    frequencies: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, channels // 2))

    def forward(self, xy: Tensor) -> Tensor:
        """``[..., 2]`` positions in [0, 1], x first, to ``[..., channels]``."""
        angles = 2 * math.pi * ((2 * xy - 1) @ self.frequencies)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def grid(self, side: int) -> Tensor:
        """Codes of the cell centres of a square grid: ``[1, channels, side, side]``."""
        centre = (torch.arange(side, device=self.frequencies.device, dtype=torch.float32) + 0.5) / side
        y, x = torch.meshgrid(centre, centre, indexing="ij")
        return self(torch.stack([x, y], dim=-1)).permute(2, 0, 1)[None]


class Rotary(nn.Module):
    """Axial rotary positions of a square grid, in real numbers (RoFormer; SAM 2 section B.2).

    Channels are pairs ``(2j, 2j + 1)``; the first half of the pairs turns with x, the second with y,
    both counted in whole cells from 0.

    Args:
        channels: of what is rotated.
        side: cells of the grid.
        like: count in the cells of another grid over the same image, from centre to centre.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, channels: int, side: int, like: int | None = None) -> None:
        super().__init__()
        step = like / side if like else 1.0
        # written as published, which is the same but for rounding: at 63 cells that is 2e-6
        frequency = 1.0 / TEMPERATURE ** (torch.arange(0, channels, 4, dtype=torch.float32) / channels)
        cell = torch.arange(side * side)
        x = (cell % side).float()[:, None]
        y = torch.div(cell, side, rounding_mode="floor").float()[:, None]
        x, y = (((line + 0.5) * step - 0.5) * frequency for line in (x, y))
        angles = torch.cat([x, y], dim=-1)  # [side * side, channels / 2]
        sign = torch.tensor([-1.0, 1.0])
        self.register_buffer("cos", angles.cos().repeat_interleave(2, dim=-1), persistent=False)
        self.register_buffer("sin", (angles.sin()[..., None] * sign).flatten(-2), persistent=False)

    @property
    def cells(self) -> int:
        """How many positions there are."""
        return self.cos.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """Rotate ``[..., side * side, channels]``."""
        swapped = x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
        return torch.addcmul(x * self.cos, swapped, self.sin).to(x.dtype)


class HalvesRotary(nn.Module):
    """Inference form of `Rotary`: the two members of a pair lie in the two halves of the channels.

    Attention does not care about the order of channels that queries and keys share: see `halves_first`.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, plain: Rotary) -> None:
        super().__init__()
        self.register_buffer("cos", plain.cos[:, 0::2].contiguous(), persistent=False)
        self.register_buffer("sin", plain.sin[:, 1::2].contiguous(), persistent=False)

    @property
    def cells(self) -> int:
        """How many positions there are."""
        return self.cos.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """Rotate ``[..., side * side, channels]``."""
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * self.cos - b * self.sin, b * self.cos + a * self.sin], dim=-1).to(x.dtype)


@torch.no_grad()
def halves_first(linear: nn.Linear) -> nn.Linear:
    """A projection whose even outputs come first, then its odd ones."""
    order = torch.arange(linear.out_features).unflatten(0, (-1, 2)).T.flatten()
    permuted = nn.Linear(linear.in_features, linear.out_features).to(linear.weight)
    permuted.weight.copy_(linear.weight[order])
    permuted.bias.copy_(linear.bias[order])
    return permuted
