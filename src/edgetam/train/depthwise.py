"""Depthwise convolutions with gradients of their own, for CPUs.

PyTorch's are slow there where filters are large or strides are two. On one core of an Emerald Rapids, in
bfloat16: 41 ms for the filters of a 7x7 convolution whose forward pass takes 1.6, and 53 ms for the input of
a 3x3 convolution with stride two that takes 1.0.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

__all__ = ["depthwise", "has_slow_gradients"]

_LARGE = 5
"""From this side on, filters get their gradient from products of whole rows."""
_WIDEST = 48
"""Pixels of a row that are multiplied at once: only pairs as far apart as a filter is wide are wanted."""


def has_slow_gradients(conv: nn.Conv2d) -> bool:
    """Whether `depthwise` is made for a convolution."""
    apart = conv.groups == conv.in_channels == conv.out_channels > 1
    side, stride = conv.kernel_size[0], conv.stride[0]
    square = conv.kernel_size == (side, side) and conv.padding == (side // 2, side // 2) and side % 2 == 1
    plain = conv.dilation == (1, 1) and conv.padding_mode == "zeros" and conv.stride == (stride, stride)
    return apart and square and plain and (side >= _LARGE or stride == 2)


def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Filter every channel on its own, with zeros around.

    Args:
        x: ``[B, C, H, W]``.
        weight: ``[C, 1, k, k]``, k odd.
        bias: ``[C]``.
        stride: of both axes.
    """
    if torch.is_autocast_enabled(x.device.type):
        kind = torch.get_autocast_dtype(x.device.type)
        x, weight, bias = x.to(kind), weight.to(kind), None if bias is None else bias.to(kind)
    y: Tensor = _Depthwise.apply(x, weight, bias, stride)  # type: ignore[no-untyped-call]
    return y


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (
            _of_input(slope, weight, ctx.stride, x) if wanted[0] else None,
            _of_filters(x, slope, weight, ctx.stride) if wanted[1] else None,
            slope.sum((0, 2, 3)) if wanted[2] else None,
            None,
        )


def _of_input(slope: Tensor, weight: Tensor, stride: int, x: Tensor) -> Tensor:
    """The same convolution turned round, of what comes back with zeros where strides left pixels out."""
    if stride > 1:
        spread = torch.zeros_like(x)
        spread[:, :, ::stride, ::stride] = slope
        slope = spread
    return F.conv2d(slope, weight.flip(2, 3), padding=weight.shape[-1] // 2, groups=len(weight))


def _of_filters(x: Tensor, slope: Tensor, weight: Tensor, stride: int) -> Tensor:
    side, width = weight.shape[-1], x.shape[-1]
    parts = next(n for n in range(1, width + 1) if width % n == 0 and width // n <= _WIDEST)
    if stride > 1 or side < _LARGE or width // parts < side:
        return conv2d_weight(x, weight.shape, slope, stride, side // 2, groups=len(weight))
    return _by_rows(x, slope, side, parts).to(weight.dtype)


def _by_rows(x: Tensor, slope: Tensor, side: int, parts: int) -> Tensor:
    """Gradient of filters ``[C, 1, k, k]``: products of rows in ``parts``, whose diagonals are summed up.

    For every row of a filter, what comes back meets all rows of the input that lie as far off: a product of
    matrices for each channel, of which entry (a, b) belongs to the filter's column b - a.
    """
    batch, channels, height, width = x.shape
    piece, edge = width // parts, side // 2
    rows = F.pad(x.transpose(0, 1), [edge] * 4)  # [C, B, H + k - 1, W + k - 1]
    back = slope.transpose(0, 1).reshape(channels, batch * height, parts, piece).permute(0, 2, 3, 1)
    exact = torch.promote_types(x.dtype, torch.float32)
    found = []
    for i in range(side):
        own = rows[:, :, i : i + height].reshape(channels, batch * height, -1)
        own = own.unfold(2, piece + side - 1, piece).transpose(1, 2)  # [C, parts, B * H, piece + k - 1]
        pairs = (back @ own).sum(1, dtype=exact)  # [C, piece, piece + k - 1]
        found.append(torch.stack([pairs.diagonal(j, 1, 2).sum(-1) for j in range(side)], -1))
    return torch.stack(found, 1)[:, None]
