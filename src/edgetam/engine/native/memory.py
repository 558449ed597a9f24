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
from edgetam.engine.native.maps import BLOCK, Map, as_are, dense, rows_apart, save_maps, taps

if TYPE_CHECKING:
    from edgetam.model import EdgeTAM

__all__ = ["FORMAT", "MemoryEncoder", "is_known", "save_memory"]

FORMAT = 1
"""Raised whenever what is saved changes."""
NAME = "memory.npz"
SCALE = MEMORY_DIM**-0.5 * math.log2(math.e)
TABLES = ("latents", "window_latents", "position")


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
    perceiver: Any = network.perceiver
    tables = perceiver.latents, perceiver.latents_2d, perceiver.position
    save_maps(folder / NAME, _maps(network), dict(zip(TABLES, tables, strict=True)))


def _maps(network: EdgeTAM) -> Iterator[Map]:
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
        yield rows_apart(conv)
        yield norm.weight.flatten(), norm.bias.flatten()
    yield dense(last)
    yield dense(memory.pix_feat_proj)
    for layer in memory.fuser.layers:
        yield taps(layer.dwconv)
        yield layer.norm.weight.flatten(), layer.norm.bias.flatten()
        yield dense(layer.mlp.conv1)
        yield dense(layer.mlp.conv2)
    yield dense(memory.out_proj)
    perceiver: Any = network.perceiver
    for layer in perceiver.layers:
        yield from as_are(layer.attn.norm_x, layer.attn.norm_latents)
        yield from _attention(layer.attn)
        yield from _feed_forward(layer.ff)
        yield from as_are(layer.self_attn.norm)
        yield from _attention(layer.self_attn)
        yield from _feed_forward(layer.self_ff)
    yield from as_are(perceiver.norm)


def _attention(attention: Any) -> Iterator[Map]:
    yield attention.to_q.weight * SCALE, None
    yield from as_are(attention.to_kv, attention.to_out)


def _feed_forward(layers: Any) -> Iterator[Map]:
    norm, widen, _, narrow = layers
    yield from as_are(norm, widen, narrow)


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
