"""Masks for the memory encoder, from logits to the coarse map (SAM 2, section 4)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgetam.config import HIDDEN_DIM
from edgetam.model.layers import LAYER_NORM_EPS, FoldedLayerNorm2d, LayerNorm2d, fold_norms, upsample

__all__ = ["FoldedMaskDownsampler", "MaskDownsampler"]

FINER = 4
"""Pixels of the image beside each other within one logit."""


class MaskDownsampler(nn.Module):
    """A mask at full resolution to 256 channels at stride 16."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 1
        for _ in range(4):
            layers += [nn.Conv2d(width, width * 4, 3, stride=2, padding=1), LayerNorm2d(width * 4), nn.GELU()]
            width *= 4
        layers.append(nn.Conv2d(width, HIDDEN_DIM, 1))
        self.encoder = nn.Sequential(*layers)

    def enlarge(self, logits: Tensor) -> Tensor:
        """Logits ``[B, 1, 4g, 4g]`` at full resolution, as `forward` reads masks: ``[B, 1, S, S]``."""
        return upsample(logits, FINER * logits.shape[-1])

    def forward(self, mask: Tensor) -> Tensor:
        """``[B, 1, S, S]`` to ``[B, 256, g, g]``. As published: zero padding, which here means "unsure"."""
        return self.encoder(mask)

    def folded(self) -> FoldedMaskDownsampler:
        """The same with the pixels within a logit as channels."""
        return FoldedMaskDownsampler(self)


class FoldedMaskDownsampler(nn.Module):
    """Inference form of `MaskDownsampler`: the sixteen pixels within a logit are channels of one map.

    Runtimes compute many channels at once. Maps of one and of four, the largest there are, leave most of that
    unused. With pixels as channels, a stride is a choice of channels, and enlarging is a convolution.
    """

    bilinear: Tensor

    def __init__(self, full: MaskDownsampler) -> None:
        super().__init__()
        first, norm, act, second, *rest = fold_norms(full.encoder)
        self.first = PixelConv(cast(nn.Conv2d, first), FINER)
        self.norm = PixelNorm(cast(FoldedLayerNorm2d, norm), (FINER // 2) ** 2)
        self.act = act
        self.second = PixelConv(cast(nn.Conv2d, second), FINER // 2)
        self.rest = nn.Sequential(*rest)
        self.register_buffer("bilinear", _bilinear(FINER).to(self.second.conv.weight))

    def enlarge(self, logits: Tensor) -> Tensor:
        """Logits ``[B, 1, 4g, 4g]`` at full resolution, as `forward` reads masks: ``[B, 16, 4g, 4g]``."""
        return F.conv2d(F.pad(logits.to(self.bilinear), (1, 1, 1, 1), mode="replicate"), self.bilinear)

    def forward(self, mask: Tensor) -> Tensor:
        """As `MaskDownsampler.forward`, of ``[B, 16, 4g, 4g]``."""
        return self.rest(self.second(self.act(self.norm(self.first(mask)))))


class PixelConv(nn.Module):
    """A 3x3 convolution of stride 2 where the ``finer`` x ``finer`` pixels within a cell are channels.

    Channels are by row, by column, then as in ``conv``; half as many pixels each way come out.
    """

    @torch.no_grad()
    def __init__(self, conv: nn.Conv2d, finer: int) -> None:
        super().__init__()
        half = finer // 2
        outputs, inputs = conv.weight.shape[:2]
        weight = conv.weight.new_zeros(half, half, outputs, finer, finer, inputs, 2, 2)
        reads = [(out, tap, *divmod(2 * out + tap - 1, finer)) for out in range(half) for tap in range(3)]
        for row, down, cell_row, in_row in reads:
            for column, right, cell_column, in_column in reads:
                kernel = weight[row, column, :, in_row, in_column, :, 1 + cell_row, 1 + cell_column]
                kernel.copy_(conv.weight[:, :, down, right])
        self.conv = nn.Conv2d(inputs * finer**2, outputs * half**2, 2).to(conv.weight)
        assert conv.bias is not None and self.conv.bias is not None
        self.conv.weight.copy_(weight.flatten(3, 5).flatten(0, 2))
        self.conv.bias.copy_(conv.bias.repeat(half**2))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, finer² · inputs, H, W]`` to ``[B, (finer / 2)² · outputs, H, W]``."""
        return self.conv(F.pad(x, (1, 0, 1, 0)))


class PixelNorm(nn.Module):
    """A `FoldedLayerNorm2d` over the channels of each of ``pixels`` that are channels of one map."""

    same: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, norm: FoldedLayerNorm2d, pixels: int) -> None:
        super().__init__()
        channels = len(norm.weight)
        same = torch.block_diag(*[torch.ones(channels, channels)] * pixels)
        self.register_buffer("same", same[:, :, None, None].to(norm.weight))
        self.register_buffer("weight", norm.weight.repeat(pixels, 1, 1))
        self.register_buffer("bias", norm.bias.repeat(pixels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, pixels · C, H, W]``, centred and divided as `FoldedLayerNorm2d` has it, to the same."""
        scale = torch.rsqrt(F.conv2d(x * x, self.same) + LAYER_NORM_EPS)
        return torch.addcmul(self.bias, x * scale, self.weight)


def _bilinear(finer: int) -> Tensor:
    """Filters ``[finer², 1, 3, 3]`` that enlarge a map, corners not aligned; its rim must be repeated."""
    table = F.interpolate(torch.eye(3)[None], size=3 * finer, mode="linear")[0]  # [3 before, 3 * finer after]
    middle = table[:, finer : 2 * finer].T
    return torch.einsum("ay,bx->abyx", middle, middle).reshape(finer**2, 1, 3, 3)
