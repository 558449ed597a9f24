"""Inference forms for a CPU: the same arithmetic in fewer passes over memory.

oneDNN multiplies all matrices: PyTorch leaves products in float32 to MKL, which is half as fast on CPUs of
other makers. It also applies GELU while a convolution's result is still in the cache, and attention goes
block by block. Results equal those of the plain modules up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgetam.model.mask_decoder import MaskDecoder
from edgetam.model.memory_attention import (
    CrossAttention,
    MemoryAttention,
    MemoryAttentionLayer,
    MemoryKeys,
    SelfAttention,
)
from edgetam.model.memory_encoder import MemoryEncoder, PointwiseMLP
from edgetam.model.repvit import ChannelMixer, Stem

__all__ = ["has_onednn", "speed_up_"]

BLOCK = 512
"""Tokens at once: their attention weights, or 2048 hidden values of each, fit in the cache."""

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""``[..., K]`` and ``[N, K]`` to ``[..., N]``, plus a bias ``[N]``."""


def speed_up_(network: nn.Module, dtype: torch.dtype = torch.float32) -> None:
    """Swap the modules of a folded network for their CPU forms, in place.

    Args:
        network: in inference form, in float32.
        dtype: what products are computed in; the rest is up to autocast.
    """
    fused = has_onednn(dtype)
    product = onednn_product if fused else F.linear
    for module in list(network.modules()):
        if isinstance(module, (SelfAttention, CrossAttention)):
            module.mix = BlockAttention(product, dtype)
        elif isinstance(module, MemoryEncoder):
            module.fuse = one_by_one(module.fuse)  # type: ignore[assignment, method-assign]
        elif isinstance(module, MemoryAttention):
            module.read_tokens = read_one_by_one(module.read_tokens)  # type: ignore[assignment, method-assign]
        elif isinstance(module, MemoryAttentionLayer):
            module.feed_forward = in_blocks(module.feed_forward)  # type: ignore[assignment, method-assign]
    if fused:
        _use_onednn_(network, dtype)


def has_onednn(dtype: torch.dtype) -> bool:
    """Whether this PyTorch has oneDNN's products, and this CPU can do them in ``dtype``."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _use_onednn_(network: nn.Module, dtype: torch.dtype, *, linear: bool = False) -> None:
    """Swap convolutions around GELU, and linear layers of parts that see whole maps."""
    linear = linear or isinstance(network, (MemoryAttention, MaskDecoder))
    for name, child in network.named_children():
        if isinstance(child, (ChannelMixer, Stem, PointwiseMLP)):
            setattr(network, name, ConvGeluConv(child, dtype))
        elif linear and isinstance(child, nn.Linear):
            setattr(network, name, OneDnnLinear(child, dtype))
        else:
            _use_onednn_(child, dtype, linear=linear)


def onednn_product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear` by oneDNN, for inference."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


class BlockAttention:
    """Attention with one head, queries block by block, so that weights stay in the cache."""

    def __init__(self, product: Product, dtype: torch.dtype = torch.float32) -> None:
        self.product, self.dtype = product, dtype

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None = None) -> Tensor:
        """As `edgetam.model.layers.attend`.

        Args:
            q: ``[B or 1, 1, Nq, C]``.
            k: ``[B, 1, Nk, C]``.
            v: ``[B, 1, Nk, D]``.
            valid: bool ``[B, 1, 1, Nk]``.
        """
        q, k, v = (x.to(self.dtype) for x in (q, k, v))
        mixed = q.new_empty(len(k), 1, q.shape[2], v.shape[3])
        for i in range(len(k)):
            keys = k[i, 0] / k.shape[-1] ** 0.5
            values = v[i, 0].T.contiguous()
            queries = q[i if len(q) > 1 else 0, 0].split(BLOCK)
            for block, out in zip(queries, mixed[i, 0].split(BLOCK), strict=True):
                weights = self.product(block, keys, None)
                if valid is not None:
                    weights.masked_fill_(~valid[i, 0], -torch.inf)
                torch.softmax(weights, dim=-1, out=weights)
                out.copy_(self.product(weights, values, None))
        return mixed


def in_blocks(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Apply a token-wise function to a block of the tokens ``[B, N, C]`` at a time."""

    def run(x: Tensor) -> Tensor:
        blocks = [function(part) for part in x.flatten(0, 1).split(BLOCK)]
        return torch.cat(blocks).unflatten(0, x.shape[:2])

    return run


def one_by_one(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Fuse the masks of several objects one at a time: together they do not fit in the cache."""

    def run(image: Tensor, masks: Tensor) -> Tensor:
        images = image.expand(len(masks), -1, -1, -1)
        return torch.cat([function(images[i : i + 1], masks[i : i + 1]) for i in range(len(masks))])

    return run


def read_one_by_one(
    function: Callable[[Tensor, MemoryKeys], Tensor],
) -> Callable[[Tensor, MemoryKeys], Tensor]:
    """Let objects read their memories one at a time: the maps of several do not fit in the cache."""

    def run(x: Tensor, memory: MemoryKeys) -> Tensor:
        maps = x.expand(len(memory.values), -1, -1)
        each = range(len(maps))
        return torch.cat([function(maps[i : i + 1], memory.of(i)) for i in each])

    return run


class ConvGeluConv(nn.Module):
    """Two convolutions with GELU between, the first two operations in one."""

    def __init__(self, plain: ChannelMixer | Stem | PointwiseMLP, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.conv1, self.conv2 = plain.conv1.to(dtype), plain.conv2.to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C', H', W']``."""
        conv = self.conv1
        hidden: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x.to(self.dtype),
            conv.weight,
            conv.bias,
            conv.padding,
            conv.stride,
            conv.dilation,
            conv.groups,
            "gelu",
            [],
            "none",
        )
        return self.conv2(hidden)


class OneDnnLinear(nn.Module):
    """A linear layer by oneDNN."""

    def __init__(self, plain: nn.Linear, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype
        self.weight, self.bias = plain.to(dtype).weight, plain.bias

    def forward(self, x: Tensor) -> Tensor:
        """``[..., C]`` to ``[..., C']``."""
        return onednn_product(x.to(self.dtype), self.weight, self.bias)
