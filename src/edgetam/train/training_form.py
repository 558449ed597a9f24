"""The form in which a network is trained: the same parameters, with gradients that cost less."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgetam.model import EdgeTAM
from edgetam.model.layers import LAYER_NORM_EPS, LayerNorm2d, shallow_copy
from edgetam.train.depthwise import depthwise, has_slow_gradients

__all__ = ["training_form"]

_FEW_CHANNELS = 8
"""PyTorch's layer norm, and above all its gradient, is slow on a CPU where it has as few to go over."""

M = TypeVar("M", bound=nn.Module)


@runtime_checkable
class _Mergeable(Protocol):
    """A block of a convolution, or several side by side, and norms with running statistics."""

    @property
    def conv(self) -> nn.Conv2d:
        """The convolution whose stride and padding it has."""

    def kernel(self) -> tuple[Tensor, Tensor]: ...


class _Merged(nn.Module):
    """Such a block as the one convolution that it comes to, made anew whenever it is used."""

    def __init__(self, block: _Mergeable, *, own_gradients: bool) -> None:
        super().__init__()
        assert isinstance(block, nn.Module)
        self.block = block
        self.own_gradients = own_gradients

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.block, _Mergeable)
        conv = self.block.conv
        weight, bias = self.block.kernel()
        if self.own_gradients and has_slow_gradients(conv):
            return depthwise(x, weight, bias, conv.stride[0])
        return F.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)


class _Depthwise(nn.Module):
    """A depthwise convolution with its own gradients."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        return depthwise(x, self.conv.weight, self.conv.bias, self.conv.stride[0])


class _NarrowNorm(nn.Module):
    """A layer norm over few channels."""

    def __init__(self, norm: LayerNorm2d) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        centred = x - x.mean(1, keepdim=True)
        scale = torch.rsqrt(centred.square().mean(1, keepdim=True) + LAYER_NORM_EPS)
        return torch.addcmul(self.norm.bias[:, None, None], centred * scale, self.norm.weight[:, None, None])


def training_form(model: EdgeTAM, *, norms_frozen: bool, own_gradients: bool) -> EdgeTAM:
    """A network that holds the parameters of ``model`` itself and computes the same.

    Args:
        model: stays as it is.
        norms_frozen: norms use their running statistics, so each is merged with the convolution before it,
            and branches with each other, as in the inference form, but anew at every use. So no maps are
            normed or added up, forwards or backwards.
        own_gradients: depthwise convolutions (`edgetam.train.depthwise`) and norms over few channels in ways
            whose gradients are fast on a CPU.
    """
    return _with_parts(model, norms_frozen, own_gradients)


def _with_parts(module: M, merge: bool, own: bool) -> M:
    new = shallow_copy(module)
    for name, child in module.named_children():
        new._modules[name] = _formed(child, merge, own)
    return new


def _formed(module: nn.Module, merge: bool, own: bool) -> nn.Module:
    if merge and isinstance(module, _Mergeable):
        return _Merged(module, own_gradients=own)
    if own and isinstance(module, nn.Conv2d) and has_slow_gradients(module):
        return _Depthwise(module)
    if own and isinstance(module, LayerNorm2d) and len(module.weight) < _FEW_CHANNELS:
        return _NarrowNorm(module)
    return _with_parts(module, merge, own)
