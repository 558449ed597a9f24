"""Memory attention in C (`attention.c`): its weights, its memories, and calling it.

Weights are those of the inference form (`edgetam.model.inference_form`). Queries are scaled so that scores
count in powers of two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from ctypes import CDLL, POINTER, Structure, byref, c_int, c_int32, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgetam.config import HIDDEN_DIM, MEMORY_DIM, MEMORY_FRAMES, ModelConfig
from edgetam.engine.base import Floats
from edgetam.engine.native.kernel import Kernel, Linear, Pool, read_arrays

if TYPE_CHECKING:
    from edgetam.model import EdgeTAM

__all__ = ["FORMAT", "MemoryAttention", "Remembered", "save_attention"]

FORMAT = 2
"""Raised whenever what is saved changes."""
NAME = "attention.npz"
LAYER = {
    "norm1": "norm1",
    "self_query": "self_attn.q_proj",
    "self_key": "self_attn.k_proj",
    "self_value": "self_attn.v_proj",
    "norm2": "norm2",
    "cross_query": "cross_attn.q_proj",
    "cross_key": "cross_attn.k_proj",
    "fold": "cross_attn.k_proj",
    "cross_value": "cross_attn.v_proj",
    "norm3": "norm3",
    "widen": "linear1",
    "narrow": "linear2",
}
"""Maps and norms of a layer, in the order of ``LayerWeights``, and what of the network they come from."""
QUERIES = ("self_query", "cross_query")
ROTARIES = {
    "image": "self_attn.rotary",
    "image_to_memory": "cross_attn.rotary",
    "memory": "cross_attn.memory_rotary",
}
SCALE = HIDDEN_DIM**-0.5 * math.log2(math.e)
TEMPERATURE = 10000.0


def save_attention(network: EdgeTAM, folder: Path) -> None:
    """Write down the weights of a network's inference form."""
    import torch

    attention = network.memory_attention
    arrays: dict[str, Any] = {
        "position": attention.position,
        "memory_position": attention.memory_position,
        "age": attention.age_embed,
        "norm.weight": attention.norm.weight,
        "norm.bias": attention.norm.bias,
    }
    unplaced = attention.unplaced_embed
    arrays["unplaced"] = torch.zeros(2, MEMORY_DIM) if unplaced is None else unplaced
    if attention.pointer_time is not None:
        arrays["time.weight"], arrays["time.bias"] = (
            attention.pointer_time.weight,
            attention.pointer_time.bias,
        )
    for i, layer in enumerate(attention.layers):
        for name, path in LAYER.items():
            part: Any = layer.get_submodule(path)
            weight, bias = part.weight, part.bias
            if name in QUERIES:
                weight, bias = weight * SCALE, bias * SCALE
            if name == "fold":
                weight = torch.cat([weight.T, bias[None]])
                bias = torch.zeros(len(weight))
            arrays[f"{i}.{name}.weight"], arrays[f"{i}.{name}.bias"] = weight, bias
    for name, path in ROTARIES.items():
        rotary = attention.layers[0].get_submodule(path)
        arrays[f"{name}.cos"], arrays[f"{name}.sin"] = rotary.cos, rotary.sin
    np.savez(folder / NAME, **{name: x.detach().float().cpu().numpy() for name, x in arrays.items()})


class Remembered(NamedTuple):
    """What objects remember of a kind: frames, or pointers. M: the most of any object."""

    values: Floats  # [B, M, tokens, 64]
    positions: Floats  # [B, M, 64], added to all of the tokens to make keys
    which: NDArray[np.int32]  # [B, M], those that are there at first
    counts: NDArray[np.int32]  # [B]: so many are there

    @classmethod
    def of(cls, values: Floats, positions: Floats, there: NDArray[np.bool_]) -> Remembered:
        """Those that are ``there``, ``[B, M]``."""
        which = np.argsort(~there, axis=1, kind="stable").astype(np.int32)
        counts = there.sum(1).astype(np.int32)
        return cls(np.ascontiguousarray(values, np.float32), positions, which, counts)

    def one(self, index: int) -> Remembered:
        """Those of one object."""
        one = slice(index, index + 1)
        return Remembered(self.values[one], self.positions[one], self.which[one], self.counts[one])


def _time_of(weights: Mapping[str, Floats], context: Mapping[str, Any]) -> Floats:
    """How long ago pointers were made, as SAM 2.1 sees it: ``[B, P, 64]``; zeros in other models."""
    if "time.weight" not in weights:
        return np.zeros((*context["pointers"].shape[:2], MEMORY_DIM), np.float32)
    half = HIDDEN_DIM // 2
    exponent = (2 * (np.arange(half, dtype=np.float32) // 2) / half).astype(np.float32)
    angles = context["distances"][..., None] / np.float32(TEMPERATURE) ** exponent
    code = np.concatenate([np.sin(angles), np.cos(angles)], -1).astype(np.float32)
    return code @ weights["time.weight"].T + weights["time.bias"]


class _Layer(Structure):
    _fields_ = tuple((name, Linear) for name in LAYER)


class _Rotary(Structure):
    _fields_ = (("cos", c_void_p), ("sin", c_void_p))


class _Tables(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("position", "latent", "grid")),
        *((name, _Rotary) for name in ROTARIES),
    )


class _Shape(Structure):
    _fields_ = tuple((name, c_int32) for name in ("cells", "layers", "latents", "places"))


class _Remembered(Structure):
    _fields_ = (("most", c_int32), *((name, c_void_p) for name in ("counts", "which", "values", "positions")))

    @classmethod
    def of(cls, remembered: Remembered) -> _Remembered:
        values, positions, which, counts = (x.ctypes.data for x in remembered)
        return cls(remembered.which.shape[1], counts, which, values, positions)


class _Inputs(Structure):
    _fields_ = (
        ("image", c_void_p),
        ("objects", c_int32),
        ("frames", _Remembered),
        ("pointers", _Remembered),
    )


class MemoryAttention(Kernel):
    """Memory attention of one network. Not for two threads at once.

    Args:
        kernels: see `edgetam.engine.native.library`.
        pool: the threads to use.
        folder: with what `save_attention` wrote.
        config: of the model.

    Raises:
        MemoryError: there is not enough memory.
    """

    def __init__(self, kernels: CDLL, pool: Pool, folder: Path, config: ModelConfig) -> None:
        self.weights = weights = read_arrays(folder / NAME)
        count = sum(name.endswith(".norm1.weight") for name in weights)
        layers = (_Layer * count)(
            *(_Layer(*(Linear.of(weights, f"{i}.{name}") for name in LAYER)) for i in range(count))
        )
        address = {name: array.ctypes.data for name, array in weights.items()}
        rotaries = [_Rotary(address[f"{name}.cos"], address[f"{name}.sin"]) for name in ROTARIES]
        tables = _Tables(address["position"], address["unplaced"], address["memory_position"], *rotaries)
        layout = config.memory_layout
        shape = _Shape(len(weights["position"]), count, layout.latents, layout.grid**2)
        norm = Linear.of(weights, "norm")
        kernels.attention_new.argtypes = [_Shape, POINTER(_Tables), POINTER(_Layer), Linear, c_void_p]
        kernels.attention_run.argtypes = [c_void_p, POINTER(_Inputs), c_void_p]
        kernels.attention_run.restype = c_int
        super().__init__(
            kernels, "attention", pool, lambda new: new(shape, byref(tables), layers, norm, pool.address)
        )

    def __call__(self, context: Mapping[str, Any]) -> Floats:
        """Inputs of the graph ``attend`` to its output, ``[B, g, g, 256]``.

        Raises:
            MemoryError: there is not enough memory.
        """
        image = np.ascontiguousarray(context["stride16"], np.float32)
        frames, pointers = self._remembered(context)
        out = np.empty((len(frames.counts), *image.shape[1:]), np.float32)
        if len(image) == 1:
            self._run(image[0], frames, pointers, out)
        else:  # a frame for each object
            for i, one in enumerate(image):
                self._run(one, frames.one(i), pointers.one(i), out[i : i + 1])
        return out

    def _remembered(self, context: Mapping[str, Any]) -> tuple[Remembered, Remembered]:
        """What `edgetam.model.memory_attention.MemoryAttention.arrange` lays out, without padding."""
        ages = self.weights["age"][(context["ages"] - 1) % MEMORY_FRAMES]
        times = _time_of(self.weights, context) + self.weights["unplaced"][1]
        return (
            Remembered.of(context["tokens"], ages, context["tokens_valid"] > 0),
            Remembered.of(context["pointers"], times, context["pointers_valid"] > 0),
        )

    def _run(self, image: Floats, frames: Remembered, pointers: Remembered, out: Floats) -> None:
        inputs = _Inputs(image.ctypes.data, len(out), _Remembered.of(frames), _Remembered.of(pointers))
        if self.kernels.attention_run(self.address, byref(inputs), out.ctypes.data):
            raise MemoryError(f"There is not enough memory for memory attention of {len(out)} objects.")
