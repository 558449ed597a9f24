"""Inference forms for a CPU: the same arithmetic in fewer passes over memory.

oneDNN applies GELU while a convolution's or a linear layer's result is still in the cache, and attention goes
block by block. Results equal those of the plain modules up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from edgetam.model.layers import attend_in_blocks
from edgetam.model.memory_attention import CrossAttention, MemoryAttentionLayer, SelfAttention
from edgetam.model.memory_encoder import ConvNeXtBlock, MemoryEncoder
from edgetam.model.repvit import ChannelMixer, Stem

__all__ = ["speed_up_"]

TOKEN_BLOCK = 1024
"""Tokens a feed-forward layer sees at once: 1024 x 2048 hidden values fit in the cache."""


def speed_up_(network: nn.Module) -> None:
    """Swap the modules of a folded network for their CPU forms, in place."""
    fused = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    for module in list(network.modules()):
        if isinstance(module, (SelfAttention, CrossAttention)):
            module.mix = attend_in_blocks
        elif isinstance(module, MemoryEncoder):
            module.fuse = one_by_one(module.fuse)  # type: ignore[assignment, method-assign]
        elif isinstance(module, MemoryAttentionLayer):
            module.feed_forward = in_blocks(module.feed_forward)  # type: ignore[assignment, method-assign]
        for name, child in module.named_children():
            if fused and isinstance(child, (ChannelMixer, Stem)):
                setattr(module, name, ConvGeluConv(child))
            elif fused and isinstance(child, ConvNeXtBlock):
                child.pwconv1, child.act = LinearGelu(child.pwconv1), nn.Identity()  # type: ignore[assignment]


def in_blocks(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Apply a token-wise function to a block of the tokens ``[B, N, C]`` at a time."""

    def run(x: Tensor) -> Tensor:
        blocks = [function(part) for part in x.flatten(0, 1).split(TOKEN_BLOCK)]
        return torch.cat(blocks).unflatten(0, x.shape[:2])

    return run


def one_by_one(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Fuse the masks of several objects one at a time: together they do not fit in the cache."""

    def run(image: Tensor, masks: Tensor) -> Tensor:
        images = image.expand(len(masks), -1, -1, -1)
        return torch.cat([function(images[i : i + 1], masks[i : i + 1]) for i in range(len(masks))])

    return run


class ConvGeluConv(nn.Module):
    """Two convolutions with GELU between, the first two operations in one."""

    def __init__(self, plain: ChannelMixer | Stem) -> None:
        super().__init__()
        self.conv1, self.conv2 = plain.conv1, plain.conv2

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C', H', W']``."""
        conv = self.conv1
        hidden: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x,
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


class LinearGelu(nn.Module):
    """A linear layer and GELU in one."""

    def __init__(self, plain: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = plain.weight, plain.bias

    def forward(self, x: Tensor) -> Tensor:
        """``[..., C]`` to ``[..., C']``."""
        hidden: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "gelu", [], "none")
        return hidden
