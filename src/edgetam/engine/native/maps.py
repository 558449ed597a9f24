"""Weights as kernels take them, from modules of the inference form.

A map is a weight and its bias, which may be None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Map", "as_are", "dense", "rows_apart", "save_maps", "taps"]

Map: TypeAlias = tuple[Any, Any]
LANES = 16
BLOCK = 32


def save_maps(path: Path, maps: Iterable[Map], tables: Mapping[str, Any] | None = None) -> None:
    """Write down maps in their order, ``0.weight`` and so on, and tables by name.

    Biases fill whole vectors, since kernels read these.
    """
    arrays = {name: _array(table) for name, table in (tables or {}).items()}
    for i, (weight, bias) in enumerate(maps):
        arrays[f"{i}.weight"] = weight = _array(weight)
        bias = np.zeros(len(weight), np.float32) if bias is None else _array(bias)
        arrays[f"{i}.bias"] = np.pad(bias, (0, -len(bias) % LANES))
    np.savez(path, **arrays)


def as_are(*modules: Any) -> Iterator[Map]:
    """Linear layers and norms."""
    for module in modules:
        yield module.weight, module.bias


def dense(conv: Any) -> Map:
    """A 1x1 convolution: ``[outputs, inputs]``."""
    return conv.weight[:, :, 0, 0], conv.bias


def taps(conv: Any) -> Map:
    """A convolution of each channel on its own: ``[taps, channels]``."""
    return conv.weight[:, 0].flatten(1).T, conv.bias


def rows_apart(conv: Any) -> Map:
    """A convolution: its rows, each padded to whole blocks, ``[outputs, rows * padded]``."""
    rows = _array(conv.weight.permute(0, 2, 3, 1).flatten(2))
    padded = np.pad(rows, ((0, 0), (0, 0), (0, -rows.shape[2] % BLOCK)))
    return padded.reshape(len(rows), -1), conv.bias


def _array(x: Any) -> Any:
    """What NumPy has, or PyTorch."""
    x = x.detach().float().cpu().numpy() if hasattr(x, "detach") else x
    return np.ascontiguousarray(x, np.float32)
