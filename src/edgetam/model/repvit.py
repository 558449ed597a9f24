"""RepViT-M1 image trunk (arXiv 2307.09283): mobile convolutions with re-parameterised branches.

Every block that owns batch norms or parallel branches folds them itself (`folded`), so that the
inference form is a plain chain of convolutions. The layout follows timm's ``repvit_m1`` with
``legacy=True``, which EdgeTAM's checkpoint was trained with.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgetam.config import RepViTConfig
from edgetam.model.layers import ConvNorm, with_kernel

__all__ = ["RepViT"]


class RepVggDepthwise(nn.Module):
    """Depthwise 3x3 and 1x1 branches and the identity, added up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv3 = ConvNorm(width, width, 3, groups=width)
        self.conv1 = ConvNorm(width, width, 1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        """Mix each channel over its neighbourhood: ``[B, C, H, W]``."""
        return self.conv3(x) + self.conv1(x) + x

    @property
    def conv(self) -> nn.Conv2d:
        """The convolution that the others become part of."""
        return self.conv3.conv

    def kernel(self) -> tuple[Tensor, Tensor]:
        """Filters and bias of one depthwise 3x3 convolution: the other branches sit at its centre tap."""
        (weight, bias), (point, shift) = self.conv3.kernel(), self.conv1.kernel()
        return weight + F.pad(point + 1, (1, 1, 1, 1)), bias + shift

    def folded(self) -> nn.Conv2d:
        """That convolution."""
        return with_kernel(self.conv, self.kernel())


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from its mean (arXiv 1709.01507)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        squeezed = max(8, int(width / 4 + 4) // 8 * 8)
        self.fc1 = nn.Conv2d(width, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Gate ``[B, C, H, W]``."""
        gate = torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.fc2(gate))


class ChannelMixer(nn.Module):
    """Two 1x1 convolutions with GELU between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(width, 2 * width)
        self.act = nn.GELU()
        self.conv2 = ConvNorm(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels of ``[B, C, H, W]``."""
        return self.conv2(self.act(self.conv1(x)))


class RepViTBlock(nn.Module):
    """Token mixer, optional squeeze-and-excite, channel mixer with a residual around the last only."""

    def __init__(self, width: int, squeeze: bool) -> None:
        super().__init__()
        self.token_mixer = RepVggDepthwise(width)
        self.se = SqueezeExcite(width) if squeeze else nn.Identity()
        self.channel_mixer = ChannelMixer(width)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` to the same."""
        x = self.se(self.token_mixer(x))
        return x + self.channel_mixer(x)


class Downsample(nn.Module):
    """Halve the sides and widen the channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pre_block = RepViTBlock(inputs, squeeze=False)
        self.spatial_downsample = ConvNorm(inputs, inputs, 3, stride=2, groups=inputs)
        self.channel_downsample = ConvNorm(inputs, outputs)
        self.ffn = ChannelMixer(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C', H / 2, W / 2]``."""
        x = self.channel_downsample(self.spatial_downsample(self.pre_block(x)))
        return x + self.ffn(x)


class Stem(nn.Module):
    """Two strided convolutions to stride 4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, width // 2, 3, stride=2)
        self.act = nn.GELU()
        self.conv2 = ConvNorm(width // 2, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, 3, S, S]`` to ``[B, C, S / 4, S / 4]``."""
        return self.conv2(self.act(self.conv1(x)))


class Stage(nn.Module):
    """Blocks at one stride, after a downsampling where there are ``inputs`` from a finer stage."""

    def __init__(self, inputs: int | None, width: int, depth: int) -> None:
        super().__init__()
        self.downsample = nn.Identity() if inputs is None else Downsample(inputs, width)
        self.blocks = nn.Sequential(*(RepViTBlock(width, squeeze=i % 2 == 0) for i in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """Run the stage."""
        return self.blocks(self.downsample(x))


class RepViT(nn.Module):
    """The trunk: an image to four maps at strides 4, 8, 16 and 32."""

    def __init__(self, config: RepViTConfig) -> None:
        super().__init__()
        self.widths = config.widths
        self.stem = Stem(config.widths[0])
        inputs = (None, *config.widths[:-1])
        self.stages = nn.ModuleList(
            Stage(a, b, depth) for a, b, depth in zip(inputs, config.widths, config.depths, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """``[B, 3, S, S]`` to maps of ``widths`` channels, finest first."""
        x = self.stem(image)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
