"""Memory encoder: a frame and its mask to a 64-channel map (SAM 2, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgetam.config import HIDDEN_DIM, MEMORY_DIM, ModelConfig
from edgetam.model.layers import LayerNorm2d, as_conv, fold_norm
from edgetam.model.mask_downsampler import MaskDownsampler

__all__ = ["MemoryEncoder"]


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7 and a channel MLP with layer scale (arXiv 2201.03545)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = LayerNorm2d(width)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` to the same."""
        y = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        y = self.gamma * self.pwconv2(self.act(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)

    def folded(self) -> FoldedConvNeXtBlock:
        """The same without layer scale and without another layout in the middle."""
        return FoldedConvNeXtBlock(self)


class FoldedConvNeXtBlock(nn.Module):
    """Inference form of `ConvNeXtBlock`."""

    def __init__(self, block: ConvNeXtBlock) -> None:
        super().__init__()
        self.dwconv, self.norm = fold_norm(block.dwconv, block.norm)
        self.mlp = PointwiseMLP(block)

    def forward(self, x: Tensor) -> Tensor:
        """As `ConvNeXtBlock.forward`."""
        return x + self.mlp(self.norm(self.dwconv(x)))


class PointwiseMLP(nn.Module):
    """The linear layers of a `ConvNeXtBlock` as 1x1 convolutions, its layer scale in the second."""

    @torch.no_grad()
    def __init__(self, block: ConvNeXtBlock) -> None:
        super().__init__()
        self.conv1, self.conv2 = as_conv(block.pwconv1), as_conv(block.pwconv2)
        self.act = block.act
        assert self.conv2.bias is not None
        self.conv2.weight *= block.gamma[:, None, None, None]
        self.conv2.bias *= block.gamma

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` to the same."""
        return self.conv2(self.act(self.conv1(x)))


class Fuser(nn.Module):
    """Mixes image and mask."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([ConvNeXtBlock(HIDDEN_DIM), ConvNeXtBlock(HIDDEN_DIM)])

    def forward(self, x: Tensor) -> Tensor:
        """``[B, 256, g, g]`` to the same."""
        for layer in self.layers:
            x = layer(x)
        return x


class MemoryEncoder(nn.Module):
    """Frame features and mask to memory."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownsampler()
        self.pix_feat_proj = nn.Conv2d(HIDDEN_DIM, HIDDEN_DIM, 1)
        self.fuser = Fuser()
        self.out_proj = nn.Conv2d(HIDDEN_DIM, MEMORY_DIM, 1)
        self.absent_embed = nn.Parameter(torch.zeros(MEMORY_DIM)) if config.absent_memory_embed else None

    def forward(self, image: Tensor, mask: Tensor, presence: Tensor) -> Tensor:
        """Encode one frame.

        Args:
            image: raw stride-16 features, ``[B or 1, 256, g, g]``; a batch of one is projected once.
            mask: at full resolution, from -10 (background) to 10 (object), as `mask_downsampler` reads it.
            presence: logit ``[B, 1]``; read by SAM 2.1 only.
        """
        memory = self.fuse(self.pix_feat_proj(image), mask)
        if self.absent_embed is not None:
            memory = memory + torch.where(presence > 0, 0.0, self.absent_embed)[:, :, None, None]
        return memory

    def fuse(self, image: Tensor, mask: Tensor) -> Tensor:
        """Projected features ``[B or 1, 256, g, g]`` and masks as in `forward` to ``[B, 64, g, g]``."""
        return self.out_proj(self.fuser(image + self.mask_downsampler(mask)))
