"""Memory attention: condition the current frame on what the memories hold (SAM 2, section 4).

Keys are ordered as: tokens without a place (global latents of all frames, then pointers), then tokens
with a place (the grids of all frames, rotated). Attention does not care about the order of its keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgetam.config import HIDDEN_DIM, MEMORY_DIM, MEMORY_FRAMES, MemoryLayout, ModelConfig
from edgetam.model.layers import attend, compose_linear, shallow_copy, to_map, to_tokens
from edgetam.model.positions import HalvesRotary, Rotary, halves_first, sine_grid, sine_of
from edgetam.structs import MemoryContext

__all__ = ["MemoryAttention", "MemoryKeys"]

FEEDFORWARD = 2048
DROPOUT = 0.1
POSITION_SCALE = 0.1
POINTER_TOKENS = HIDDEN_DIM // MEMORY_DIM


Mix = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""Attention: queries, keys, values and which keys are valid; engines may swap in another form."""


class MemoryKeys(NamedTuple):
    """All memories of a frame, laid out for attention."""

    values: Tensor  # [B, L, 64]
    positions: Tensor  # [B, L, 64] added to the values to make keys
    placed: int  # how many of the L, at the end, lie on a grid
    valid: Tensor | None  # [B, 1, L]

    def of(self, index: int) -> MemoryKeys:
        """Those of one object, as a batch of one."""
        one = slice(index, index + 1)
        valid = None if self.valid is None else self.valid[one]
        return MemoryKeys(self.values[one], self.positions[one], self.placed, valid)


class SelfAttention(nn.Module):
    """One head over the image, with rotary positions."""

    def __init__(self, rotary: Rotary) -> None:
        super().__init__()
        self.q_proj = nn.Linear(HIDDEN_DIM, HIDDEN_DIM)
        self.k_proj = nn.Linear(HIDDEN_DIM, HIDDEN_DIM)
        self.v_proj = nn.Linear(HIDDEN_DIM, HIDDEN_DIM)
        self.out_proj = nn.Linear(HIDDEN_DIM, HIDDEN_DIM)
        self.rotary = rotary
        self.mix: Mix = attend

    def forward(self, x: Tensor) -> Tensor:
        """``[B, N, 256]`` to the same."""
        q, k = self.rotary(self.q_proj(x)), self.rotary(self.k_proj(x))
        mixed = self.mix(q[:, None], k[:, None], self.v_proj(x)[:, None], None)[:, 0]
        return self.out_proj(mixed)


class CrossAttention(nn.Module):
    """One head from the image to the memories."""

    def __init__(self, rotary: Rotary, memory_rotary: Rotary) -> None:
        super().__init__()
        self.q_proj = nn.Linear(HIDDEN_DIM, HIDDEN_DIM)
        self.k_proj = nn.Linear(MEMORY_DIM, HIDDEN_DIM)
        self.v_proj = nn.Linear(MEMORY_DIM, HIDDEN_DIM)
        self.out_proj = nn.Linear(HIDDEN_DIM, HIDDEN_DIM)
        self.rotary = rotary
        self.memory_rotary = memory_rotary
        self.mix: Mix = attend

    def keys(self, memory: MemoryKeys) -> Tensor:
        """Keys ``[B, L, 256]``; only tokens on a grid are rotated."""
        k = self.k_proj(memory.values + memory.positions)
        if not memory.placed:
            return k
        free, placed = k.split([k.shape[1] - memory.placed, memory.placed], dim=1)
        cells = self.memory_rotary.cells
        placed = self.memory_rotary(placed.unflatten(1, (-1, cells))).flatten(1, 2)
        return torch.cat([free, placed], dim=1)

    def forward(self, x: Tensor, memory: MemoryKeys) -> Tensor:
        """``[B or 1, N, 256]`` to ``[B, N, 256]``.

        Attention weights sum to one, so values are projected after the weighted sum, 64 wide
        instead of 256.
        """
        q = self.rotary(self.q_proj(x))
        valid = None if memory.valid is None else memory.valid[:, None]
        mixed = self.mix(q[:, None], self.keys(memory)[:, None], memory.values[:, None], valid)[:, 0]
        return self.out_proj(self.v_proj(mixed))


A = TypeVar("A", SelfAttention, CrossAttention)


def _folded(attention: A, rotary: HalvesRotary) -> A:
    """A copy that rotates halves, and whose value projection does the output projection's work: one head."""
    folded = shallow_copy(attention)
    folded.q_proj, folded.k_proj = halves_first(attention.q_proj), halves_first(attention.k_proj)
    folded.rotary = rotary  # type: ignore[assignment]
    folded.v_proj = compose_linear(attention.v_proj, attention.out_proj)
    folded.out_proj = nn.Identity()  # type: ignore[assignment]
    return folded


class MemoryAttentionLayer(nn.Module):
    """Self-attention, cross-attention to the memories, feed-forward; norms first."""

    def __init__(self, rotary: Rotary, image_rotary: Rotary, memory_rotary: Rotary) -> None:
        super().__init__()
        self.self_attn = SelfAttention(rotary)
        self.cross_attn = CrossAttention(image_rotary, memory_rotary)
        self.linear1 = nn.Linear(HIDDEN_DIM, FEEDFORWARD)
        self.linear2 = nn.Linear(FEEDFORWARD, HIDDEN_DIM)
        self.norm1 = nn.LayerNorm(HIDDEN_DIM)
        self.norm2 = nn.LayerNorm(HIDDEN_DIM)
        self.norm3 = nn.LayerNorm(HIDDEN_DIM)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, memory: MemoryKeys) -> Tensor:
        """``[B or 1, N, 256]`` to ``[B, N, 256]``; a batch of one is shared until memories enter."""
        return self.read(self.look_around(x), memory)

    def look_around(self, x: Tensor) -> Tensor:
        """The self-attention: ``[B, N, 256]`` to the same."""
        return x + self.dropout(self.self_attn(self.norm1(x)))

    def read(self, x: Tensor, memory: MemoryKeys) -> Tensor:
        """The rest: ``[B or 1, N, 256]`` to ``[B, N, 256]``."""
        x = x + self.dropout(self.cross_attn(self.norm2(x), memory))
        return x + self.dropout(self.feed_forward(self.norm3(x)))

    def feed_forward(self, x: Tensor) -> Tensor:
        """``[B, N, 256]`` to the same, token by token."""
        return self.linear2(self.dropout(F.relu(self.linear1(x), inplace=True)))


class MemoryAttention(nn.Module):
    """The stack of layers, and the embeddings that tell memories apart."""

    position: Tensor
    memory_position: Tensor
    unused_no_memory_position: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layout: MemoryLayout = config.memory_layout
        rotary = Rotary(HIDDEN_DIM, config.grid)
        same = self.layout.grid == config.grid
        memory_rotary = rotary if same else Rotary(HIDDEN_DIM, self.layout.grid)
        aligned = config.aligned_places and not same and self.layout.grid
        image_rotary = Rotary(HIDDEN_DIM, config.grid, like=self.layout.grid) if aligned else rotary
        self.layers = nn.ModuleList(
            MemoryAttentionLayer(rotary, image_rotary, memory_rotary) for _ in range(config.attention_layers)
        )
        self.norm = nn.LayerNorm(HIDDEN_DIM)
        self.age_embed = nn.Parameter(torch.randn(MEMORY_FRAMES, MEMORY_DIM) * 0.02)
        self.no_memory_embed = nn.Parameter(torch.randn(HIDDEN_DIM) * 0.02)
        self.pointer_time = nn.Linear(HIDDEN_DIM, MEMORY_DIM) if config.pointer_time else None
        # one for global latents, one for pointers
        self.unplaced_embed = nn.Parameter(torch.zeros(2, MEMORY_DIM)) if config.unplaced_embed else None
        # as published: in every checkpoint, read by nothing
        self.register_buffer("unused_no_memory_position", torch.zeros(HIDDEN_DIM))
        place = POSITION_SCALE * sine_grid(HIDDEN_DIM, config.grid)
        self.register_buffer("position", place, persistent=False)
        self.register_buffer("memory_position", sine_grid(MEMORY_DIM, self.layout.grid), persistent=False)

    def folded(self) -> MemoryAttention:
        """The same with fewer projections and a rotation that runtimes do faster."""
        merged = shallow_copy(self)
        layers = [shallow_copy(layer) for layer in self.layers if isinstance(layer, MemoryAttentionLayer)]
        cross = layers[0].cross_attn
        rotary, image_rotary = HalvesRotary(layers[0].self_attn.rotary), HalvesRotary(cross.rotary)
        memory_rotary = HalvesRotary(cross.memory_rotary)
        for layer in layers:
            layer.self_attn = _folded(layer.self_attn, rotary)
            layer.cross_attn = _folded(layer.cross_attn, image_rotary)
            layer.cross_attn.memory_rotary = memory_rotary  # type: ignore[assignment]
        merged.layers = nn.ModuleList(layers)
        return merged

    def forward(self, image: Tensor, context: MemoryContext[Tensor]) -> Tensor:
        """Condition ``[B or 1, 256, g, g]`` on the memories of B objects: ``[B, 256, g, g]``."""
        return self.read(image, self.arrange(context))

    def read(self, image: Tensor, memory: MemoryKeys) -> Tensor:
        """As `forward`, with memories that are already laid out."""
        x = self.layers[0].look_around(to_tokens(image) + self.position)  # type: ignore[operator]
        return to_map(self.read_tokens(x, memory))

    def read_tokens(self, x: Tensor, memory: MemoryKeys) -> Tensor:
        """All that depends on memories: ``[B or 1, N, 256]`` to ``[B, N, 256]``."""
        first, *others = self.layers
        x = first.read(x, memory)  # type: ignore[operator]
        for layer in others:
            x = layer(x, memory)
        return self.norm(x)

    def without_memory(self, image: Tensor) -> Tensor:
        """Mark ``[B, 256, g, g]`` as having no memory to read."""
        return image + self.no_memory_embed[:, None, None]

    def arrange(self, context: MemoryContext[Tensor]) -> MemoryKeys:
        """Lay out memories and pointers, with the positions that make keys of them."""
        frames = context.tokens.shape[1]
        age = self.age_embed[(context.ages - 1) % MEMORY_FRAMES]  # prompted frames (age 0) use the last row
        latents, grid = context.tokens.split([self.layout.latents, self.layout.grid**2], dim=2)
        values = [context.pointers.unflatten(2, (-1, MEMORY_DIM)).flatten(1, 2), grid.flatten(1, 2)]
        positions = [self.pointer_positions(context), (self.memory_position + age[:, :, None]).flatten(1, 2)]
        if self.layout.latents:
            values.insert(0, latents.flatten(1, 2))
            own = age if self.unplaced_embed is None else age + self.unplaced_embed[0]
            positions.insert(0, own.repeat_interleave(self.layout.latents, dim=1))
        return MemoryKeys(
            torch.cat(values, dim=1),
            torch.cat(positions, dim=1),
            frames * self.layout.grid**2,
            self.valid_keys(context),
        )

    def pointer_positions(self, context: MemoryContext[Tensor]) -> Tensor:
        """``[B, 4P, 64]``: zero, or the distance in time in SAM 2.1."""
        batch, count, _ = context.pointers.shape
        if self.pointer_time is None:
            code = context.pointers.new_zeros(batch, count, MEMORY_DIM)
        else:
            code = self.pointer_time(sine_of(context.distances, HIDDEN_DIM))
        if self.unplaced_embed is not None:
            code = code + self.unplaced_embed[1]
        return code.repeat_interleave(POINTER_TOKENS, dim=1)

    def valid_keys(self, context: MemoryContext[Tensor]) -> Tensor | None:
        """Which keys are real, in the order of `arrange`: ``[B, 1, L]``."""
        frames, pointers = context.tokens_valid, context.pointers_valid
        if frames is None or pointers is None:
            return None
        latents = frames.repeat_interleave(self.layout.latents, dim=1)
        cells = frames.repeat_interleave(self.layout.grid**2, dim=1)
        chunks = pointers.repeat_interleave(POINTER_TOKENS, dim=1)
        return torch.cat([latents, chunks, cells], dim=1)[:, None]
