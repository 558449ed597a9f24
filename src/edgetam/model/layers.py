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
    "MLP",
    "ConvNorm",
    "LayerNorm2d",
    "attend",
    "attend_in_blocks",
    "compose_linear",
    "fold_",
    "merge_heads",
    "shallow_copy",
    "split_heads",
    "to_map",
    "to_tokens",
]


QUERY_BLOCK = 1024


def to_tokens(x: Tensor) -> Tensor:
    """``[B, C, H, W]`` to ``[B, H * W, C]``, row-major."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def to_map(x: Tensor) -> Tensor:
    """``[B, N, C]`` to the square ``[B, C, g, g]`` with ``g * g == N``."""
    side = int(x.shape[1] ** 0.5)
    return x.unflatten(1, (side, side)).permute(0, 3, 1, 2)


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


def attend_in_blocks(q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None = None) -> Tensor:
    """`attend` for inference on a CPU, one head: block by block, so that weights stay in the cache.

    Args:
        q: ``[B or 1, 1, Nq, C]``.
        k: ``[B, 1, Nk, C]``.
        v: ``[B, 1, Nk, D]``.
        valid: bool ``[B, 1, 1, Nk]``.
    """
    keys = (k[:, 0] / k.shape[-1] ** 0.5).transpose(1, 2)  # [B, C, Nk]
    mixed = q.new_empty(len(k), 1, q.shape[2], v.shape[3])
    for i in range(len(k)):
        queries = q[i if len(q) > 1 else 0, 0].split(QUERY_BLOCK)
        for block, out in zip(queries, mixed[i, 0].split(QUERY_BLOCK), strict=True):
            weights = block @ keys[i]
            if valid is not None:
                weights.masked_fill_(~valid[i, 0], -torch.inf)
            torch.softmax(weights, dim=-1, out=weights)
            torch.mm(weights, v[i, 0], out=out)
    return mixed


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of a map (eps 1e-6, as in ConvNeXt)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``[B, C, H, W]`` over C."""
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return y.permute(0, 3, 1, 2)


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

    def folded(self) -> nn.Conv2d:
        """One convolution with bias that computes the same with running statistics."""
        old, norm = self.conv, self.norm
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        new = copy.deepcopy(old)
        new.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
        new.weight.data.copy_(old.weight * scale[:, None, None, None])
        return new


M = TypeVar("M", bound=nn.Module)


def shallow_copy(module: M) -> M:
    """A module with the same parts, which can be replaced without changing the original."""
    other = copy.copy(module)
    other._modules = dict(module._modules)
    return other


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
