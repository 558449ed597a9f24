"""The memory encoder and the 2D Spatial Perceiver in C (`memory.c`): their weights, and calling them.

Weights are those of the inference form (`edgetam.model.inference_form`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from ctypes import CDLL, POINTER, Structure, byref, c_int, c_int32, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetam.config import HIDDEN_DIM, MEMORY_DIM, ModelConfig
from edgetam.engine.base import Floats
from edgetam.engine.native.kernel import Kernel, Linear, Pool, read_arrays

if TYPE_CHECKING:
    from edgetam.model import EdgeTAM

__all__ = ["FORMAT", "MemoryEncoder", "is_known", "save_memory"]

FORMAT = 1
"""Raised whenever what is saved changes."""
NAME = "memory.npz"
BLOCK = 32
SCALE = MEMORY_DIM**-0.5 * math.log2(math.e)
TABLES = ("latents", "window_latents", "position")
Pair = tuple[Any, Any]


def is_known(config: ModelConfig) -> bool:
    """Whether the kernel knows how a model remembers: with a perceiver, and as EdgeTAM does."""
    perceiver = config.perceiver
    return (
        perceiver is not None
        and not config.absent_memory_embed
        and not perceiver.global_latents % BLOCK
        and not perceiver.window_grid**2 % BLOCK
    )


def save_memory(network: EdgeTAM, folder: Path) -> None:
    """Write down the weights of a network's inference form, in the order of ``memory_new``."""
    arrays: dict[str, Any] = {}
    for i, (weight, bias) in enumerate(_maps(network)):
        arrays[f"{i}.weight"] = weight
        arrays[f"{i}.bias"] = np.zeros(len(weight)) if bias is None else bias
    perceiver: Any = network.perceiver
    tables = perceiver.latents, perceiver.latents_2d, perceiver.position
    arrays |= zip(TABLES, tables, strict=True)
    arrays = {name: np.asarray(x.detach().cpu() if hasattr(x, "detach") else x) for name, x in arrays.items()}
    np.savez(folder / NAME, **{name: x.astype(np.float32) for name, x in arrays.items()})


def _maps(network: EdgeTAM) -> Iterator[Pair]:
    memory: Any = network.memory_encoder
    mask = memory.mask_downsampler
    yield mask.bilinear.reshape(len(mask.bilinear), -1).T, None
    norm2, _, conv3, norm3, _, conv4, norm4, _, last = mask.rest
    for conv, norm in (
        (mask.first.conv, mask.norm),
        (mask.second.conv, norm2),
        (conv3, norm3),
        (conv4, norm4),
    ):
        yield _rows_apart(conv)
        yield norm.weight.flatten(), norm.bias.flatten()
    yield _dense(last)
    yield _dense(memory.pix_feat_proj)
    for layer in memory.fuser.layers:
        yield layer.dwconv.weight[:, 0].flatten(1).T, layer.dwconv.bias
        yield layer.norm.weight.flatten(), layer.norm.bias.flatten()
        yield _dense(layer.mlp.conv1)
        yield _dense(layer.mlp.conv2)
    yield _dense(memory.out_proj)
    perceiver: Any = network.perceiver
    for layer in perceiver.layers:
        yield from _both(layer.attn.norm_x, layer.attn.norm_latents)
        yield from _attention(layer.attn)
        yield from _feed_forward(layer.ff)
        yield from _both(layer.self_attn.norm)
        yield from _attention(layer.self_attn)
        yield from _feed_forward(layer.self_ff)
    yield from _both(perceiver.norm)


def _attention(attention: Any) -> Iterator[Pair]:
    yield attention.to_q.weight * SCALE, None
    yield from _both(attention.to_kv, attention.to_out)


def _feed_forward(layers: Any) -> Iterator[Pair]:
    norm, widen, _, narrow = layers
    yield from _both(norm, widen, narrow)


def _both(*modules: Any) -> Iterator[Pair]:
    """Weights and biases, where there are these."""
    for module in modules:
        yield module.weight, module.bias


def _dense(conv: Any) -> Pair:
    """Of a 1x1 convolution: ``[outputs, inputs]``."""
    return conv.weight[:, :, 0, 0], conv.bias


def _rows_apart(conv: Any) -> Pair:
    """Of a convolution: its rows, each padded to whole blocks, ``[outputs, rows * padded]``."""
    rows = conv.weight.permute(0, 2, 3, 1).flatten(2).detach().cpu().numpy()
    padded = np.pad(rows, ((0, 0), (0, 0), (0, -rows.shape[2] % BLOCK)))
    return padded.reshape(len(rows), -1), conv.bias


class _Shape(Structure):
    _fields_ = (("grid", c_int32), ("latents", c_int32), ("windows", c_int32))


class _Tables(Structure):
    _fields_ = tuple((name, c_void_p) for name in TABLES)


class MemoryEncoder(Kernel):
    """What one network remembers of frames. Not for two threads at once.

    Args:
        kernels: see `edgetam.engine.native.library`.
        pool: the threads to use.
        folder: with what `save_memory` wrote.
        config: of the model, which `is_known`.

    Raises:
        MemoryError: there is not enough memory.
    """

    def __init__(self, kernels: CDLL, pool: Pool, folder: Path, config: ModelConfig) -> None:
        assert config.perceiver is not None
        self.config = config
        self.weights = weights = read_arrays(folder / NAME)
        count = (len(weights) - len(TABLES)) // 2
        maps = (Linear * count)(*(Linear.of(weights, str(i)) for i in range(count)))
        tables = _Tables(*(weights[name].ctypes.data for name in TABLES))
        shape = _Shape(config.grid, config.perceiver.global_latents, config.perceiver.window_grid)
        kernels.memory_new.argtypes = [_Shape, POINTER(_Tables), c_void_p, c_void_p]
        kernels.memory_run.argtypes = [c_void_p, c_void_p, c_void_p, c_int, c_void_p]
        kernels.memory_run.restype = None
        super().__init__(kernels, "memory", pool, lambda new: new(shape, byref(tables), maps, pool.address))

    def __call__(self, inputs: Mapping[str, Any]) -> Floats:
        """Inputs of the graph ``remember`` to its output, ``[B, N, 64]``."""
        images, masks = (np.ascontiguousarray(inputs[name], np.float32) for name in ("stride16", "masks"))
        side, grid = self.config.mask_size, self.config.grid
        assert images.shape[1:] == (grid, grid, HIDDEN_DIM)
        assert masks.shape[1:] == (1, side, side)
        hard = bool(inputs["binarize"][0] > 0)
        tokens = np.empty((len(masks), self.config.memory_layout.tokens, MEMORY_DIM), np.float32)
        for i, (mask, to) in enumerate(zip(masks, tokens, strict=True)):
            image = images[i if len(images) > 1 else 0]
            addresses = (x.ctypes.data for x in (image, mask))
            self.kernels.memory_run(self.address, *addresses, hard, to.ctypes.data)
        return tokens
