"""2D Spatial Perceiver: 4096 memory tokens of a frame to 512 (EdgeTAM, section 3.2).

256 global latents look at the whole map; 256 window latents each look at one cell of a 16 x 16 grid and
so keep a place. Both kinds pass through the same layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgetam.config import MEMORY_DIM, PerceiverConfig
from edgetam.model.layers import attend, to_tokens
from edgetam.model.positions import sine_grid

__all__ = ["Perceiver"]

LAYERS = 2
FEEDFORWARD = 4 * MEMORY_DIM


def _feedforward() -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(MEMORY_DIM),
        nn.Linear(MEMORY_DIM, FEEDFORWARD, bias=False),
        nn.GELU(),
        nn.Linear(FEEDFORWARD, MEMORY_DIM, bias=False),
    )


class LatentCrossAttention(nn.Module):
    """Latents read the map."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_x = nn.LayerNorm(MEMORY_DIM)
        self.norm_latents = nn.LayerNorm(MEMORY_DIM)
        self.to_q = nn.Linear(MEMORY_DIM, MEMORY_DIM, bias=False)
        self.to_kv = nn.Linear(MEMORY_DIM, 2 * MEMORY_DIM, bias=False)
        self.to_out = nn.Linear(MEMORY_DIM, MEMORY_DIM, bias=False)

    def forward(self, latents: Tensor, x: Tensor, position: Tensor | None) -> Tensor:
        """Latents ``[B, L, 64]`` over ``[B, N, 64]``; as published, positions join keys *and* values."""
        k, v = self.to_kv(self.norm_x(x)).chunk(2, dim=-1)
        if position is not None:
            k, v = k + position, v + position
        return self.to_out(attend(self.to_q(self.norm_latents(latents)), k, v))


class LatentSelfAttention(nn.Module):
    """Latents read each other."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(MEMORY_DIM)
        self.to_q = nn.Linear(MEMORY_DIM, MEMORY_DIM, bias=False)
        self.to_kv = nn.Linear(MEMORY_DIM, 2 * MEMORY_DIM, bias=False)
        self.to_out = nn.Linear(MEMORY_DIM, MEMORY_DIM, bias=False)

    def forward(self, latents: Tensor) -> Tensor:
        """``[B, L, 64]`` to the same."""
        x = self.norm(latents)
        k, v = self.to_kv(x).chunk(2, dim=-1)
        # as published, a window latent is alone in its sequence: its softmax is 1
        mixed = v if x.shape[1] == 1 else attend(self.to_q(x), k, v)
        return self.to_out(mixed)


class PerceiverLayer(nn.Module):
    """Cross-attention, feed-forward, self-attention, feed-forward."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = LatentCrossAttention()
        self.ff = _feedforward()
        self.self_attn = LatentSelfAttention()
        self.self_ff = _feedforward()

    def forward(self, latents: Tensor, x: Tensor, position: Tensor | None) -> Tensor:
        """Latents ``[B, L, 64]`` after one look at ``[B, N, 64]``."""
        latents = latents + self.attn(latents, x, position)
        latents = latents + self.ff(latents)
        latents = latents + self.self_attn(latents)
        return latents + self.self_ff(latents)


class Perceiver(nn.Module):
    """Compress one frame's memory map."""

    position: Tensor

    def __init__(self, config: PerceiverConfig, grid: int) -> None:
        super().__init__()
        self.windows = config.window_grid
        self.latents = nn.Parameter(torch.randn(config.global_latents, MEMORY_DIM))
        self.latents_2d = nn.Parameter(torch.randn(config.window_grid**2, MEMORY_DIM))
        self.layers = nn.ModuleList(PerceiverLayer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(MEMORY_DIM)
        self.register_buffer("position", sine_grid(MEMORY_DIM, grid), persistent=False)

    def forward(self, memory: Tensor) -> Tensor:
        """``[B, 64, g, g]`` to ``[B, 512, 64]``: global latents first, then windows row-major."""
        if not self.windows:
            return self.look_everywhere(memory)
        if not len(self.latents):
            return self.look_in_windows(memory)
        return torch.cat([self.look_everywhere(memory), self.look_in_windows(memory)], dim=1)

    def look_everywhere(self, memory: Tensor) -> Tensor:
        """Global latents: ``[B, 256, 64]``."""
        latents = self.latents.expand(memory.shape[0], -1, -1)
        return self.run(latents, to_tokens(memory), self.position)

    def look_in_windows(self, memory: Tensor) -> Tensor:
        """One latent per window: ``[B, 256, 64]``."""
        batch, dim, side, _ = memory.shape
        span = side // self.windows
        cells = memory.reshape(batch, dim, self.windows, span, self.windows, span)
        cells = cells.permute(0, 2, 4, 3, 5, 1).reshape(batch * self.windows**2, span * span, dim)
        latents = self.latents_2d.repeat(batch, 1)[:, None]  # [B * 256, 1, 64]
        return self.run(latents, cells, None).reshape(batch, -1, dim)

    def run(self, latents: Tensor, x: Tensor, position: Tensor | None) -> Tensor:
        """The layers and norm both kinds of latents share."""
        for layer in self.layers:
            latents = layer(latents, x, position)
        return self.norm(latents)
