"""Trunk and feature pyramid: one image to the three maps everything else reads."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgetam.config import HIDDEN_DIM, ModelConfig
from edgetam.model.layers import to_map
from edgetam.structs import ImageFeatures

__all__ = ["ImageEncoder", "Neck"]

HIGH_RES_DIMS = (32, 64)
"""Channels the mask decoder takes at strides 4 and 8."""


def _merged(first: nn.Conv2d, second: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the 1x1 convolution equal to ``second(first(x))``."""
    assert first.bias is not None and second.bias is not None
    a, b = first.weight.flatten(1), second.weight.flatten(1)
    return (b @ a)[:, :, None, None], b @ first.bias + second.bias


class Neck(nn.Module):
    """Feature pyramid: every level to 256 channels, stride 32 added to stride 16 only.

    The two finest levels get no top-down signal and go straight on to the narrow maps of the mask
    decoder, so both 1x1 convolutions are applied as one; the inference form merges them for good.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width, HIDDEN_DIM, 1) for width in widths)
        self.high_res = nn.ModuleList(nn.Conv2d(HIDDEN_DIM, width, 1) for width in HIGH_RES_DIMS)

    def forward(self, maps: list[Tensor]) -> ImageFeatures[Tensor]:
        """Four maps, finest first, to `ImageFeatures`."""
        pairs = zip(self.lateral, self.high_res, maps, strict=False)
        fine = [F.conv2d(x, *_merged(lateral, high)) for lateral, high, x in pairs]  # type: ignore[arg-type]
        top = F.interpolate(self.lateral[3](maps[3]), scale_factor=2.0, mode="nearest")
        return ImageFeatures(fine[0], fine[1], self.lateral[2](maps[2]) + top)

    def folded(self) -> FoldedNeck:
        """The same with the convolutions of the two finest levels merged."""
        return FoldedNeck(self)


class FoldedNeck(nn.Module):
    """Inference form of `Neck`; the sum is made with channels last, as its readers want it."""

    @torch.no_grad()
    def __init__(self, neck: Neck) -> None:
        super().__init__()
        self.fine = nn.ModuleList()
        for lateral, high in zip(neck.lateral, neck.high_res, strict=False):
            weight, bias = _merged(lateral, high)  # type: ignore[arg-type]
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1).to(weight)
            conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
            self.fine.append(conv)
        self.coarse = nn.ModuleList(neck.lateral[2:])

    def forward(self, maps: list[Tensor]) -> ImageFeatures[Tensor]:
        """As `Neck.forward`."""
        # OpenVINO has a convolution's result with channels last and gives it away for nothing, but only that
        middle, top = (conv(x).permute(0, 2, 3, 1) for conv, x in zip(self.coarse, maps[2:], strict=True))
        # twice as many columns, then rows: CoreML has no tensors of six axes
        top = top[:, :, :, None].expand(-1, -1, -1, 2, -1).flatten(2, 3)
        top = top[:, :, None].expand(-1, -1, 2, -1, -1).flatten(1, 2)
        coarse = to_map(middle.flatten(1, 2) + top.flatten(1, 2))  # as tokens there is but one layout
        return ImageFeatures(self.fine[0](maps[0]), self.fine[1](maps[1]), coarse)


class ImageEncoder(nn.Module):
    """The trunk that the configuration names, then the `Neck`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        encoder = config.encoder
        module, _, name = encoder.trunk.partition(":")
        self.trunk: nn.Module = getattr(import_module(module), name)(encoder)
        self.neck = Neck(encoder.widths)

    def forward(self, image: Tensor) -> ImageFeatures[Tensor]:
        """``[B, 3, S, S]``, normalised, to features."""
        return self.neck(self.trunk(image))
