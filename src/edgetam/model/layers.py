"""Pieces every part of the network shares.

Maps are ``[B, C, H, W]`` and tokens ``[B, N, C]``; `to_tokens` and `to_map` are the only
places that convert between them.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "LAYER_NORM_EPS",
    "MLP",
    "ConvNorm",
    "FoldedLayerNorm2d",
    "LayerNorm2d",
    "as_conv",
    "attend",
    "compose_linear",
    "fold_",
    "fold_norm",
    "fold_norms",
    "merge_heads",
    "shallow_copy",
    "split_heads",
    "to_map",
    "to_tokens",
    "upsample",
    "with_kernel",
]

LAYER_NORM_EPS = 1e-6
"""Of norms over the channels of maps, as in ConvNeXt."""


def to_tokens(x: Tensor) -> Tensor:
    """``[B, C, H, W]`` to ``[B, H * W, C]``, row-major."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def to_map(x: Tensor) -> Tensor:
    """``[B, N, C]`` to the square ``[B, C, g, g]`` with ``g * g == N``."""
    side = int(x.shape[1] ** 0.5)
    return x.unflatten(1, (side, side)).permute(0, 3, 1, 2)


def upsample(logits: Tensor, size: int) -> Tensor:
    """Bilinear to ``[B, M, size, size]``, corners not aligned."""
    return F.interpolate(logits.float(), size=(size, size), mode="bilinear", align_corners=False)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """``[B, N, C]`` to ``[B, heads, N, C / heads]``."""
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def merge_heads(x: Tensor) -> Tensor:
    """Undo `split_heads`."""
    return x.transpose(-3, -2).flatten(-2)


def attend(q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None = None) -> Tensor:
    """Softmax attention; batch axes of size one are shared with the others.

    Args:
        q: ``[..., Nq, C]``.
        k: ``[..., Nk, C]``.
        v: ``[..., Nk, D]``; D may differ from C.
        valid: bool, broadcastable to ``[..., Nq, Nk]``; true where a key may be read.
    """
    if q.shape[:-2] != k.shape[:-2]:
        q = q.expand(*k.shape[:-2], *q.shape[-2:])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=valid)


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``[B, C, H, W]`` over C."""
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, LAYER_NORM_EPS)
        return y.permute(0, 3, 1, 2)


class FoldedLayerNorm2d(nn.Module):
    """Inference form of `LayerNorm2d`, made by `fold_norm` together with the convolution before it.

    Runtimes keep maps with their channels last in memory and norm the last axis only, so a layer norm
    made them reorder the map twice. A vector norm and products run in the layout that is there.

    Args:
        norm: the training form.
        centred: channels have a mean of zero already.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, norm: LayerNorm2d, *, centred: bool) -> None:
        super().__init__()
        self.centred = centred
        self.register_buffer("weight", norm.weight.detach()[:, None, None] * len(norm.weight) ** 0.5)
        self.register_buffer("bias", norm.bias.detach()[:, None, None].clone())

    def forward(self, x: Tensor) -> Tensor:
        """As `LayerNorm2d.forward`, of maps that are divided by the square root of their channels.

        The length of such channels is their deviation, and small: the square of a length of 256 is more than
        half precision can tell.
        """
        if not self.centred:
            x = x - x.mean(1, keepdim=True)
        deviation = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        scale = torch.rsqrt(deviation * deviation + LAYER_NORM_EPS)
        return torch.addcmul(self.bias, x * scale, self.weight)


@torch.no_grad()
def fold_norm(conv: nn.Conv2d, norm: LayerNorm2d) -> tuple[nn.Conv2d, FoldedLayerNorm2d]:
    """A convolution and the layer norm of its outputs, in inference form.

    The convolution divides its outputs by the square root of their number and, unless it keeps channels
    apart, takes their mean off.
    """
    new = copy.deepcopy(conv)
    assert new.bias is not None
    centred = new.groups == 1
    if centred:
        new.weight -= new.weight.mean(0, keepdim=True)
        new.bias -= new.bias.mean()
    new.weight *= new.out_channels**-0.5
    new.bias *= new.out_channels**-0.5
    return new, FoldedLayerNorm2d(norm, centred=centred)


def fold_norms(layers: nn.Sequential) -> nn.Sequential:
    """A sequence whose layer norms, each after a convolution, are in inference form."""
    folded = list(layers)
    for i, layer in enumerate(layers):
        if isinstance(layer, LayerNorm2d):
            before = layers[i - 1]
            assert isinstance(before, nn.Conv2d)
            folded[i - 1 : i + 1] = fold_norm(before, layer)
    return nn.Sequential(*folded)


class MLP(nn.Module):
    """Linear layers with ReLU (or ``activation``) between them and nothing after the last."""

    def __init__(self, sizes: tuple[int, ...], activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., sizes[0]]`` to ``[..., sizes[-1]]``."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class ConvNorm(nn.Module):
    """Convolution without bias, then batch norm; folds into one convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and normalise."""
        return self.norm(self.conv(x))

    def kernel(self) -> tuple[Tensor, Tensor]:
        """Filters and bias of the one convolution that computes the same with running statistics."""
        norm = self.norm
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        return self.conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale

    def folded(self) -> nn.Conv2d:
        """That convolution."""
        return with_kernel(self.conv, self.kernel())


@torch.no_grad()
def with_kernel(conv: nn.Conv2d, kernel: tuple[Tensor, Tensor]) -> nn.Conv2d:
    """A convolution of the same shape with other filters and a bias."""
    new = copy.deepcopy(conv)
    weight, bias = kernel
    new.weight.copy_(weight)
    new.bias = nn.Parameter(bias.detach())
    return new


M = TypeVar("M", bound=nn.Module)


def shallow_copy(module: M) -> M:
    """A module with the same parts, which can be replaced without changing the original."""
    other = copy.copy(module)
    other._modules = dict(module._modules)
    return other


@torch.no_grad()
def as_conv(linear: nn.Linear) -> nn.Conv2d:
    """A linear layer over channels as a 1x1 convolution of maps."""
    conv = nn.Conv2d(linear.in_features, linear.out_features, 1).to(linear.weight)
    conv.weight.copy_(linear.weight[:, :, None, None])
    assert conv.bias is not None
    conv.bias.copy_(linear.bias)
    return conv


@torch.no_grad()
def compose_linear(first: nn.Linear, second: nn.Linear) -> nn.Linear:
    """The linear layer equal to ``second(first(x))``."""
    merged = nn.Linear(first.in_features, second.out_features).to(first.weight)
    merged.weight.copy_(second.weight @ first.weight)
    merged.bias.copy_(second.bias + second.weight @ first.bias)
    return merged


@torch.no_grad()
def fold_(module: nn.Module) -> nn.Module:
    """Replace every block below ``module`` that offers ``folded()`` by its inference form, in place.

    The block that owns the branches and norms knows how to fold them; outermost blocks go first.
    """
    for name, child in module.named_children():
        folded = getattr(child, "folded", None)
        if folded is not None:
            setattr(module, name, folded())
        else:
            fold_(child)
    return module
