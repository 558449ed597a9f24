"""The image encoder in C (`encoder.c`): its weights, and calling it. RepViT only.

Weights are those of the inference form (`edgetam.model.inference_form`).
"""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import CDLL, Structure, c_int32, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetam.config import HIDDEN_DIM, ModelConfig, RepViTConfig
from edgetam.engine.base import Floats
from edgetam.engine.native.kernel import Kernel, Linear, Pool, read_arrays
from edgetam.engine.native.maps import LANES, Map, dense, rows_apart, save_maps, taps

if TYPE_CHECKING:
    from edgetam.model import EdgeTAM

__all__ = ["FORMAT", "ImageEncoder", "is_known", "save_encoder"]

FORMAT = 1
"""Raised whenever what is saved changes."""
NAME = "encoder.npz"
STRIDES = (4, 8, 16)
WIDEST = 1024
CHANNELS = (32, 64, HIDDEN_DIM)


def is_known(config: ModelConfig) -> bool:
    """Whether the kernel knows a model's trunk."""
    encoder = config.encoder
    return isinstance(encoder, RepViTConfig) and all(
        width % LANES == 0 and width <= WIDEST for width in encoder.widths
    )


def save_encoder(network: EdgeTAM, folder: Path) -> None:
    """Write down the weights of a network's inference form, in the order of ``encoder_new``."""
    save_maps(folder / NAME, _maps(network))


def _maps(network: EdgeTAM) -> Iterator[Map]:
    trunk: Any = network.image_encoder.trunk
    neck: Any = network.image_encoder.neck
    yield rows_apart(trunk.stem.conv1)
    yield rows_apart(trunk.stem.conv2)
    for stage in trunk.stages:
        down = stage.downsample
        if hasattr(down, "pre_block"):
            yield from _block(down.pre_block)
            yield taps(down.spatial_downsample)
            yield dense(down.channel_downsample)
            yield from _mixer(down.ffn)
        for block in stage.blocks:
            yield from _block(block)
    for conv in (*neck.fine, *neck.coarse):
        yield dense(conv)


def _block(block: Any) -> Iterator[Map]:
    yield taps(block.token_mixer)
    if hasattr(block.se, "fc1"):
        yield dense(block.se.fc1)
        weight, bias = dense(block.se.fc2)
        yield weight.T, bias
    yield from _mixer(block.channel_mixer)


def _mixer(mixer: Any) -> Iterator[Map]:
    yield dense(mixer.conv1)
    yield dense(mixer.conv2)


class _Shape(Structure):
    _fields_ = (("size", c_int32), ("widths", c_int32 * 4), ("depths", c_int32 * 4))


class _Features(Structure):
    _fields_ = tuple((f"stride{stride}", c_void_p) for stride in STRIDES)


class ImageEncoder(Kernel):
    """The image encoder of one network. Not for two threads at once.

    Args:
        kernels: see `edgetam.engine.native.library`.
        pool: the threads to use.
        folder: with what `save_encoder` wrote.
        config: of the model, which `is_known`.

    Raises:
        MemoryError: there is not enough memory.
    """

    def __init__(self, kernels: CDLL, pool: Pool, folder: Path, config: ModelConfig) -> None:
        self.size = config.image_size
        self.weights = read_arrays(folder / NAME)
        encoder = config.encoder
        assert isinstance(encoder, RepViTConfig)
        count = len(self.weights) // 2
        maps = (Linear * count)(*(Linear.of(self.weights, str(i)) for i in range(count)))
        shape = _Shape(self.size, (c_int32 * 4)(*encoder.widths), (c_int32 * 4)(*encoder.depths))
        kernels.encoder_new.argtypes = [_Shape, c_void_p, c_void_p]
        kernels.encoder_run.argtypes = [c_void_p, c_void_p, _Features]
        kernels.encoder_run.restype = None
        super().__init__(kernels, "encoder", pool, lambda new: new(shape, maps, pool.address))

    def __call__(self, image: Floats) -> list[Floats]:
        """Normalised RGB ``[1, S, S, 3]`` to the outputs of the graph ``encode``."""
        image = np.ascontiguousarray(image, np.float32)
        assert image.shape == (1, self.size, self.size, 3), "kernels read what they were made for"
        sides = [self.size // stride for stride in STRIDES]
        outs = [np.empty((1, n, n, c), np.float32) for n, c in zip(sides, CHANNELS, strict=True)]
        self.kernels.encoder_run(
            self.address, image.ctypes.data, _Features(*(out.ctypes.data for out in outs))
        )
        return outs
