"""Our network with its float operations in the order of the published code.

Sums in another order round differently, and where a mask hangs on a threshold that decides. With the same
order of operations, and one thread as the goldens were made with, every number of the network is the
published one to the last bit. So a difference that is gone here comes from rounding and not from a rule.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from edgetam.engine.base import DecodeMode
from edgetam.engine.torch import TorchEngine
from edgetam.model import EdgeTAM
from edgetam.model.edgetam import keep_highest
from edgetam.model.image_encoder import Neck
from edgetam.model.layers import LAYER_NORM_EPS, LayerNorm2d, attend, upsample
from edgetam.model.mask_decoder import Candidates, MaskDecoder, Upscaling
from edgetam.model.memory_attention import (
    POINTER_TOKENS,
    CrossAttention,
    MemoryAttention,
)
from edgetam.model.perceiver import LatentCrossAttention, LatentSelfAttention
from edgetam.model.positions import TEMPERATURE, Rotary
from edgetam.structs import Decoded, DecoderPrompt, FrameMemory, ImageFeatures, MemoryContext


def _columns(x: Tensor) -> Tensor:
    """``[B, C, H, W]`` to a view ``[B, N, C]``: products read it down its columns."""
    return x.flatten(2).permute(0, 2, 1)


class _Norm2d(LayerNorm2d):
    """Mean and spread over channels, written out."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        spread = (x - mean).pow(2).mean(1, keepdim=True)
        normed = (x - mean) / torch.sqrt(spread + LAYER_NORM_EPS)
        return self.weight[:, None, None] * normed + self.bias[:, None, None]


class _Neck(Neck):
    """Two convolutions after each other where ours are one."""

    def forward(self, maps: list[Tensor]) -> ImageFeatures[Tensor]:
        levels = [conv(x) for conv, x in zip(self.lateral, maps, strict=True)]
        top = F.interpolate(levels[3], scale_factor=2.0, mode="nearest")
        fine = [conv(x) for conv, x in zip(self.high_res, levels, strict=False)]
        return ImageFeatures(fine[0], fine[1], levels[2] + top)


class _Rotary(Rotary):
    """In complex numbers."""

    def forward(self, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * _turns(*self.cos.shape)).flatten(-2).to(x.dtype)


@cache
def _turns(cells: int, channels: int) -> Tensor:
    """``[cells, channels / 2]``; polar coordinates round in another way than sine and cosine."""
    side = round(cells**0.5)
    frequency = 1.0 / TEMPERATURE ** (torch.arange(0, channels, 4).float() / channels)
    cell = torch.arange(cells).float()
    places = (cell % side, torch.div(cell, side, rounding_mode="floor"))
    angles = torch.cat([torch.outer(place, frequency) for place in places], dim=-1)
    return torch.polar(torch.ones_like(angles), angles)


class _Upscaling(Upscaling):
    """The same steps; a map that is viewed in another way has another layout, and that another kernel."""

    def forward(self, weights: Tensor, image: Tensor, features: ImageFeatures[Tensor]) -> Tensor:  # type: ignore[override]
        up1, norm, act1, up2, act2 = self
        batch, cells, width = image.shape
        side = int(cells**0.5)
        x = act1(norm(up1(image.transpose(1, 2).view(batch, width, side, side)) + features.stride8))
        fine = act2(up2(x) + features.stride4)
        return (weights @ fine.view(batch, fine.shape[1], -1)).view(batch, -1, *fine.shape[2:])


class _MaskDecoder(MaskDecoder):
    """All four masks are drawn, also where one will do."""

    def forward(
        self,
        fused: Tensor,
        features: ImageFeatures[Tensor],
        sparse: Tensor,
        dense: Tensor,
        place: Tensor,
        bias: Tensor | None = None,
    ) -> Candidates:
        assert bias is None
        image = _columns(fused + dense).expand(len(sparse), -1, -1)
        place = _columns(place).expand(len(sparse), -1, -1)
        tokens, image = self.transformer(image, place, self.with_own_tokens(sparse))
        return self.draw(tokens, image, features)


class _Keys(NamedTuple):
    """Frame by frame latents before cells, then pointers."""

    values: Tensor  # [B, L, 64]
    positions: Tensor  # [B, L, 64]
    frames: int
    pointers: int  # tokens at the end


class _CrossAttention(CrossAttention):
    """Values are projected before the weighted sum, 256 wide."""

    def keys(self, memory: _Keys) -> Tensor:  # type: ignore[override]
        k = self.k_proj(memory.values + memory.positions)
        spatial, pointers = k.split([k.shape[1] - memory.pointers, memory.pointers], dim=1)
        frames = spatial.unflatten(1, (memory.frames, -1))
        cells = self.memory_rotary.cells
        latents, grid = frames.split([frames.shape[2] - cells, cells], dim=2)
        placed = torch.cat([latents, self.memory_rotary(grid)], dim=2).flatten(1, 2)
        return torch.cat([placed, pointers], dim=1)

    def forward(self, x: Tensor, memory: _Keys) -> Tensor:  # type: ignore[override]
        q, k, v = self.rotary(self.q_proj(x)), self.keys(memory), self.v_proj(memory.values)
        return self.out_proj(attend(q[:, None], k[:, None], v[:, None])[:, 0])


class _MemoryAttention(MemoryAttention):
    """Every object on its own from the start, and memories in the order of their frames."""

    def read(self, image: Tensor, memory: _Keys) -> Tensor:  # type: ignore[override]
        x = (_columns(image) + self.position).expand(len(memory.values), -1, -1)
        x = self.read_tokens(self.layers[0].look_around(x), memory)  # type: ignore[arg-type,operator]
        return x.transpose(1, 2).view(len(x), *image.shape[1:])

    def arrange(self, context: MemoryContext[Tensor]) -> _Keys:  # type: ignore[override]
        keys = super().arrange(context)
        assert keys.valid is None or bool(keys.valid.all())
        frames, pointers = context.tokens.shape[1], context.pointers.shape[1] * POINTER_TOKENS

        def by_frame(x: Tensor) -> Tensor:
            latents, last, grid = x.split([frames * self.layout.latents, pointers, keys.placed], dim=1)
            parts = [part.unflatten(1, (frames, -1)) for part in (latents, grid) if part.shape[1]]
            return torch.cat([torch.cat(parts, dim=2).flatten(1, 2), last], dim=1)

        return _Keys(by_frame(keys.values), by_frame(keys.positions), frames, pointers)


class _LatentCrossAttention(LatentCrossAttention):
    """With an axis of heads, for which PyTorch has a fused kernel."""

    def forward(self, latents: Tensor, x: Tensor, position: Tensor | None) -> Tensor:
        latents, x = self.norm_latents(latents), self.norm_x(x)
        k, v = self.to_kv(x).chunk(2, dim=-1)
        if position is not None:
            k, v = k + position, v + position
        return self.to_out(attend(self.to_q(latents)[:, None], k[:, None], v[:, None])[:, 0])


class _LatentSelfAttention(LatentSelfAttention):
    """The same, also where a latent is alone."""

    def forward(self, latents: Tensor) -> Tensor:
        x = self.norm(latents)
        k, v = self.to_kv(x).chunk(2, dim=-1)
        return self.to_out(attend(self.to_q(x)[:, None], k[:, None], v[:, None])[:, 0])


class _EdgeTAM(EdgeTAM):
    """Masks of tracked frames are enlarged three at a time, before one is chosen: by another kernel."""

    def remember(
        self,
        features: ImageFeatures[Tensor],
        masks: Tensor,
        presence: Tensor,
        pointer: Tensor,
        *,
        binarize: bool,
        exclusive: bool = False,
    ) -> FrameMemory[Tensor]:
        together = masks if binarize else masks.expand(-1, 3, -1, -1)
        fine = upsample(together, self.config.image_size)[:, :1]
        fine = keep_highest(fine) if exclusive else fine
        likely = (fine > 0).float() if binarize else torch.sigmoid(fine)
        # through tokens and back: the same map, in another layout where channels come last
        image = _columns(features.stride16).transpose(1, 2).view(features.stride16.shape)
        return FrameMemory(self.compress(image, likely, presence), pointer)


_FORMS: Mapping[type[nn.Module], type[nn.Module]] = {
    EdgeTAM: _EdgeTAM,
    LayerNorm2d: _Norm2d,
    Neck: _Neck,
    Rotary: _Rotary,
    CrossAttention: _CrossAttention,
    MemoryAttention: _MemoryAttention,
    Upscaling: _Upscaling,
    MaskDecoder: _MaskDecoder,
    LatentCrossAttention: _LatentCrossAttention,
    LatentSelfAttention: _LatentSelfAttention,
}


class PublishedOrder(TorchEngine):
    """An engine that runs a plain network in the published order of operations and the published layout."""

    def __init__(self, model: EdgeTAM) -> None:
        self.precision, self.device = "fp32", torch.device("cpu")
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        for module in self.model.modules():
            # each form has the parameters of ours and another forward
            module.__class__ = _FORMS.get(type(module), type(module))

    def _looking(self) -> AbstractContextManager[None]:
        """EdgeTAM's published code switches fused attention off on a CPU, but for the perceiver."""
        return sdpa_kernel(SDPBackend.MATH) if self.config.perceiver else nullcontext()

    def encode(self, image: NDArray[np.float32]) -> ImageFeatures[Tensor]:
        with self._running():
            return self.model.encode(torch.from_numpy(image).contiguous())

    def attend(self, features: ImageFeatures[Tensor], context: MemoryContext[Any] | None) -> Tensor:
        with self._looking():
            return super().attend(features, context)

    def adopt(self, features: ImageFeatures[Tensor], mask: NDArray[np.float32]) -> Decoded[Any]:
        with self._looking():
            return super().adopt(features, mask)

    def decode(
        self, fused: Tensor, features: ImageFeatures[Tensor], prompt: DecoderPrompt[Any], mode: DecodeMode
    ) -> Decoded[Any]:
        """Scores choose among masks that are drawn already."""
        with self._looking():
            answer = super().decode(fused, features, prompt, "several" if mode == "best" else mode)
        if mode != "best":
            return answer
        rows, best = np.arange(len(answer.best)), answer.best
        masks, scores = answer.masks[rows, best][:, None], answer.scores[rows, best][:, None]
        return Decoded(masks, scores, answer.presence, answer.pointer, np.zeros_like(best))
