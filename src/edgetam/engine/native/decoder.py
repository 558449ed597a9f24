"""The mask decoder in C (`decoder.c`), for frames that nobody prompted: its weights, and calling it.

Weights are those of the inference form (`edgetam.model.inference_form`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from ctypes import CDLL, POINTER, Structure, byref, c_int, c_int32, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetam.config import HIDDEN_DIM, ModelConfig
from edgetam.engine.base import Floats
from edgetam.engine.native.kernel import Kernel, Linear, Pool, read_arrays
from edgetam.engine.native.maps import Map, as_are, save_maps

if TYPE_CHECKING:
    from edgetam.model import EdgeTAM

__all__ = ["FORMAT", "MaskDecoder", "save_decoder"]

FORMAT = 1
"""Raised whenever what is saved changes."""
NAME = "decoder.npz"
TABLES = ("tokens", "dense", "place", "absent")
LOG2E = math.log2(math.e)
TOKENS, HEADS = 8, 8


def save_decoder(network: EdgeTAM, folder: Path) -> None:
    """Write down the weights of a network's inference form, in the order of ``decoder_new``."""
    from edgetam.engine.graphs import Track

    track: Any = Track(network)
    tokens = track.mask_decoder.with_own_tokens(track.sparse)[0]
    assert len(tokens) == TOKENS
    dense = track.dense.expand(1, HIDDEN_DIM, network.config.grid, network.config.grid)
    assert (dense == dense[:, :, :1, :1]).all(), "what is added is the same everywhere"
    tables = tokens, dense[0, :, 0, 0], track.place[0].flatten(1).T, track.object_pointer.absent
    save_maps(folder / NAME, _maps(track), dict(zip(TABLES, tables, strict=True)))


def _maps(track: Any) -> Iterator[Map]:
    decoder = track.mask_decoder
    for layer in decoder.transformer.layers:
        attention = layer.self_attn
        scale = (attention.q_proj.out_features // HEADS) ** -0.5 * LOG2E
        yield attention.q_proj.weight * scale, attention.q_proj.bias * scale
        yield from as_are(attention.k_proj, attention.v_proj, attention.out_proj, layer.norm1)
        yield from _look(layer.token_to_image, layer.norm2)
        yield from as_are(*layer.mlp.layers, layer.norm3)
        back = layer.image_to_token
        yield from as_are(back.k_proj, back.v_proj)
        yield back.query.flatten(0, 1) * LOG2E, back.query_bias.flatten() * LOG2E
        yield back.out.flatten(0, 1), back.out_bias
        yield from as_are(layer.norm4)
    yield from _look(decoder.transformer.final_token_to_image, decoder.transformer.norm_final_attn)
    yield from as_are(decoder.upscaling.up1, decoder.upscaling.norm, decoder.upscaling.up2)
    for network in (
        decoder.score_head,
        decoder.presence_head,
        track.object_pointer.project,
        *decoder.hypernetworks[1:],
    ):
        yield from as_are(*network.layers)


def _look(look: Any, norm: Any) -> Iterator[Map]:
    """Of tokens at the image."""
    yield look.q_proj.weight * LOG2E, look.q_proj.bias * LOG2E
    yield look.key.flatten(0, 1), None
    yield look.value.flatten(0, 1), None
    yield from as_are(look.out_proj, norm)


class _Shape(Structure):
    _fields_ = (("grid", c_int32),)


class _Tables(Structure):
    _fields_ = tuple((name, c_void_p) for name in TABLES)


class _Inputs(Structure):
    _fields_ = (("fused", c_void_p), ("stride4", c_void_p), ("stride8", c_void_p), ("objects", c_int32))


class _Decoded(Structure):
    _fields_ = tuple((name, c_void_p) for name in ("masks", "scores", "presence", "pointers"))


class MaskDecoder(Kernel):
    """The mask decoder of one network, for frames that nobody prompted. Not for two threads at once.

    Args:
        kernels: see `edgetam.engine.native.library`.
        pool: the threads to use.
        folder: with what `save_decoder` wrote.
        config: of the model.

    Raises:
        MemoryError: there is not enough memory.
    """

    def __init__(self, kernels: CDLL, pool: Pool, folder: Path, config: ModelConfig) -> None:
        self.config = config
        self.weights = weights = read_arrays(folder / NAME)
        count = (len(weights) - len(TABLES)) // 2
        maps = (Linear * count)(*(Linear.of(weights, str(i)) for i in range(count)))
        tables = _Tables(*(weights[name].ctypes.data for name in TABLES))
        kernels.decoder_new.argtypes = [_Shape, POINTER(_Tables), c_void_p, c_void_p]
        kernels.decoder_run.argtypes = [c_void_p, POINTER(_Inputs), _Decoded]
        kernels.decoder_run.restype = c_int
        shape = _Shape(config.grid)
        super().__init__(kernels, "decoder", pool, lambda new: new(shape, byref(tables), maps, pool.address))

    def __call__(self, inputs: Mapping[str, Any]) -> list[Floats]:
        """Inputs of the graph ``track`` to its outputs.

        Raises:
            MemoryError: there is not enough memory.
        """
        names = ("fused", "stride4", "stride8")
        fused, fine, middle = (np.ascontiguousarray(inputs[name], np.float32) for name in names)
        grid, count = self.config.grid, len(fused)
        assert fused.shape[1:] == (grid, grid, HIDDEN_DIM)
        assert len(fine) == len(middle) == 1
        side = self.config.mask_size
        shapes = ((count, 1, side, side), (count, 1), (count, 1), (count, HIDDEN_DIM))
        outs = [np.empty(shape, np.float32) for shape in shapes]
        given = _Inputs(fused.ctypes.data, fine.ctypes.data, middle.ctypes.data, count)
        if self.kernels.decoder_run(self.address, byref(given), _Decoded(*(x.ctypes.data for x in outs))):
            raise MemoryError(f"There is not enough memory to decode masks of {count} objects.")
        return outs
