"""Hiera image trunk of SAM 2 (arXiv 2306.00989): windowed attention with pooled queries."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgetam.config import HieraConfig
from edgetam.model.layers import MLP, attend, merge_heads, split_heads

__all__ = ["Hiera"]

PATCH = 4
WINDOW_POSITIONS = 8


def pool(x: Tensor) -> Tensor:
    """2x2 max-pooling of ``[B, H, W, C]``."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def partition(x: Tensor, window: int) -> Tensor:
    """``[B, H, W, C]``, zero-padded at bottom and right, to windows ``[B', window, window, C]``."""
    _, height, width, channels = x.shape
    x = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
    x = x.unflatten(2, (-1, window)).unflatten(1, (-1, window))  # [B, h, win, w, win, C]
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, window, window, channels)


def unpartition(x: Tensor, height: int, width: int) -> Tensor:
    """Undo `partition` and drop the padding: ``[B, height, width, C]``."""
    window, channels = x.shape[1], x.shape[3]
    rows, cols = -(-height // window), -(-width // window)
    x = x.reshape(-1, rows, cols, window, window, channels).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, rows * window, cols * window, channels)[:, :height, :width]


class HieraAttention(nn.Module):
    """Multi-head attention inside one window; queries may be pooled."""

    def __init__(self, inputs: int, outputs: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(inputs, 3 * outputs)
        self.proj = nn.Linear(outputs, outputs)

    def forward(self, x: Tensor, pooled: bool) -> Tensor:
        """``[B, H, W, C]`` to ``[B, H or H / 2, W or W / 2, C']``."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if pooled:
            q = pool(q)
        mixed = attend(*(split_heads(t.flatten(1, 2), self.heads) for t in (q, k, v)))
        return self.proj(merge_heads(mixed).unflatten(1, q.shape[1:3]))


class HieraBlock(nn.Module):
    """Attention and MLP; the first block of a stage halves the sides and widens the channels."""

    def __init__(self, inputs: int, outputs: int, heads: int, window: int, pooled: bool) -> None:
        super().__init__()
        self.window, self.pooled = window, pooled
        self.norm1 = nn.LayerNorm(inputs, eps=1e-6)
        self.attn = HieraAttention(inputs, outputs, heads)
        self.norm2 = nn.LayerNorm(outputs, eps=1e-6)
        self.mlp = MLP((outputs, 4 * outputs, outputs), activation=nn.GELU)
        if inputs != outputs:
            self.proj = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, H, W, C]`` to ``[B, H', W', C']``."""
        y = self.norm1(x)
        # as published: the shortcut of a widening block starts after the norm
        shortcut = pool(self.proj(y)) if self.pooled else x
        height, width = shortcut.shape[1:3]
        if self.window:
            # as published: padding tokens take part in the softmax
            y = unpartition(self.attn(partition(y, self.window), self.pooled), height, width)
        else:
            y = self.attn(y, self.pooled)
        x = shortcut + y
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """7x7 convolution to stride 4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, 7, stride=PATCH, padding=3)

    def forward(self, image: Tensor) -> Tensor:
        """``[B, 3, S, S]`` to ``[B, S / 4, S / 4, C]``."""
        return self.proj(image).permute(0, 2, 3, 1)


class Hiera(nn.Module):
    """The trunk: an image to four maps at strides 4, 8, 16 and 32."""

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        width = config.embed_dim
        self.widths = config.widths
        self.patch_embed = PatchEmbed(width)
        grid = config.position_grid
        self.pos_embed = nn.Parameter(torch.zeros(1, width, grid, grid))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, width, WINDOW_POSITIONS, WINDOW_POSITIONS))
        self.blocks = nn.ModuleList(_blocks(config))
        self.stage_ends = [sum(config.depths[: i + 1]) - 1 for i in range(4)]

    def forward(self, image: Tensor) -> list[Tensor]:
        """``[B, 3, S, S]`` to maps of ``widths`` channels, finest first."""
        x = self.patch_embed(image)
        x = x + self.positions(x.shape[1])
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.stage_ends:
                maps.append(x.permute(0, 3, 1, 2))
        return maps

    def positions(self, side: int) -> Tensor:
        """Coarse positions enlarged, plus window positions tiled: ``[1, side, side, C]``."""
        coarse = F.interpolate(self.pos_embed, size=(side, side), mode="bicubic")
        times = side // WINDOW_POSITIONS
        return (coarse + self.pos_embed_window.tile(1, 1, times, times)).permute(0, 2, 3, 1)


def _blocks(config: HieraConfig) -> list[HieraBlock]:
    """The blocks of all stages.

    As published, the first block of a later stage still uses the window of the stage before it.
    """
    blocks: list[HieraBlock] = []
    width = config.embed_dim
    for stage, (depth, outputs) in enumerate(zip(config.depths, config.widths, strict=True)):
        heads = config.heads * 2**stage
        for i in range(depth):
            first = stage > 0 and i == 0
            window = config.windows[stage - 1] if first else config.windows[stage]
            if len(blocks) in config.global_blocks:
                window = 0
            blocks.append(HieraBlock(width, outputs, heads, window, pooled=first))
            width = outputs
    return blocks
