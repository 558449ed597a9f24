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

from edgetam.config import HIDDEN_DIM, MEMORY_DIM, MEMORY_FRAMES
from edgetam.engine.base import Floats
from edgetam.engine.native.kernel import Kernel, Linear, Pool, read_arrays

if TYPE_CHECKING:
    from edgetam.model import EdgeTAM

__all__ = ["FORMAT", "Memories", "MemoryAttention", "arrange", "save_attention"]

FORMAT = 1
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
    "cross_value": "cross_attn.v_proj",
    "norm3": "norm3",
    "widen": "linear1",
    "narrow": "linear2",
}
"""Maps and norms of a layer, in the order of ``LayerWeights``, and what they are called in the network."""
QUERIES = ("self_query", "cross_query")
ROTARIES = {
    "image": "self_attn.rotary",
    "image_to_memory": "cross_attn.rotary",
    "memory": "cross_attn.memory_rotary",
}
SCALE = HIDDEN_DIM**-0.5 * math.log2(math.e)
POINTER_TOKENS = HIDDEN_DIM // MEMORY_DIM
TEMPERATURE = 10000.0


def save_attention(network: EdgeTAM, folder: Path) -> None:
    """Write down the weights of a network's inference form."""
    attention = network.memory_attention
    arrays: dict[str, Any] = {
        "position": attention.position,
        "memory_position": attention.memory_position,
        "age": attention.age_embed,
        "norm.weight": attention.norm.weight,
        "norm.bias": attention.norm.bias,
    }
    if attention.unplaced_embed is not None:
        arrays["unplaced"] = attention.unplaced_embed
    if attention.pointer_time is not None:
        arrays["time.weight"], arrays["time.bias"] = (
            attention.pointer_time.weight,
            attention.pointer_time.bias,
        )
    for i, layer in enumerate(attention.layers):
        for name, path in LAYER.items():
            part = layer.get_submodule(path)
            scale = SCALE if name in QUERIES else 1.0
            for kind in ("weight", "bias"):
                arrays[f"{i}.{name}.{kind}"] = getattr(part, kind) * scale
    for name, path in ROTARIES.items():
        rotary = attention.layers[0].get_submodule(path)
        arrays[f"{name}.cos"], arrays[f"{name}.sin"] = rotary.cos, rotary.sin
    np.savez(folder / NAME, **{name: x.detach().float().cpu().numpy() for name, x in arrays.items()})


class Memories(NamedTuple):
    """Keys and values of attention, those that are there first. L: the most of any object."""

    values: Floats  # [B, L, 64]
    positions: Floats  # [B, L, 64], added to values to make keys
    cells: NDArray[np.int32]  # [B, L]: of the memory's grid, or -1
    counts: NDArray[np.int32]  # [B]

    def of(self, index: int) -> Memories:
        """Those of one object."""
        one = slice(index, index + 1)
        return Memories(self.values[one], self.positions[one], self.cells[one], self.counts[one])


def arrange(weights: Mapping[str, Floats], context: Mapping[str, Any]) -> Memories:
    """What `edgetam.model.memory_attention.MemoryAttention.arrange` does, in NumPy, without padding.

    Args:
        weights: as saved.
        context: inputs of the graph ``attend``.
    """
    tokens, pointers = context["tokens"], context["pointers"]
    batch, frames, length, _ = tokens.shape
    grid = weights["memory_position"]
    latents = length - len(grid)
    unplaced = weights.get("unplaced", np.zeros((2, MEMORY_DIM), np.float32))
    age = weights["age"][(context["ages"] - 1) % MEMORY_FRAMES]  # [B, T, 64]

    own = np.empty((batch, frames, length, MEMORY_DIM), np.float32)
    own[:, :, :latents] = (age + unplaced[0])[:, :, None]
    own[:, :, latents:] = age[:, :, None] + grid
    cell = np.concatenate([np.full(latents, -1, np.int32), np.arange(len(grid), dtype=np.int32)])
    time = _time_of(weights, context) + unplaced[1]  # [B, P, 64]

    chunks = pointers.shape[1] * POINTER_TOKENS
    memories = Memories(
        np.concatenate([pointers.reshape(batch, -1, MEMORY_DIM), tokens.reshape(batch, -1, MEMORY_DIM)], 1),
        np.concatenate([time.repeat(POINTER_TOKENS, 1), own.reshape(batch, -1, MEMORY_DIM)], 1),
        np.concatenate([np.full((batch, chunks), -1, np.int32), np.tile(cell, (batch, frames))], 1),
        np.full(batch, chunks + frames * length, np.int32),
    )
    there = (context["pointers_valid"].repeat(POINTER_TOKENS, 1), context["tokens_valid"].repeat(length, 1))
    return _without_padding(memories, np.concatenate(there, 1) > 0)


def _time_of(weights: Mapping[str, Floats], context: Mapping[str, Any]) -> Floats:
    """How long ago pointers were made, as SAM 2.1 sees it: ``[B, P, 64]``; zeros in other models."""
    if "time.weight" not in weights:
        return np.zeros((*context["pointers"].shape[:2], MEMORY_DIM), np.float32)
    half = HIDDEN_DIM // 2
    exponent = (2 * (np.arange(half, dtype=np.float32) // 2) / half).astype(np.float32)
    angles = context["distances"][..., None] / np.float32(TEMPERATURE) ** exponent
    code = np.concatenate([np.sin(angles), np.cos(angles)], -1).astype(np.float32)
    return code @ weights["time.weight"].T + weights["time.bias"]


def _without_padding(memories: Memories, there: NDArray[np.bool_]) -> Memories:
    if there.all():
        return memories
    counts = there.sum(1).astype(np.int32)
    order = np.argsort(~there, axis=1, kind="stable")[:, : counts.max()]
    values, positions = (
        np.take_along_axis(x, order[:, :, None], 1) for x in (memories.values, memories.positions)
    )
    return Memories(values, positions, np.take_along_axis(memories.cells, order, 1), counts)


class _Layer(Structure):
    _fields_ = tuple((name, Linear) for name in LAYER)


class _Rotary(Structure):
    _fields_ = (("cos", c_void_p), ("sin", c_void_p))


class _Tables(Structure):
    _fields_ = (("position", c_void_p), *((name, _Rotary) for name in ROTARIES))


class _Shape(Structure):
    _fields_ = (("cells", c_int32), ("layers", c_int32))


class _Inputs(Structure):
    _fields_ = (
        ("image", c_void_p),
        ("objects", c_int32),
        ("most_keys", c_int32),
        ("keys", c_void_p),
        ("cells", c_void_p),
        ("values", c_void_p),
        ("positions", c_void_p),
    )


class MemoryAttention(Kernel):
    """Memory attention of one network. Not for two threads at once.

    Args:
        kernels: see `edgetam.engine.native.library`.
        pool: the threads to use.
        folder: with what `save_attention` wrote.

    Raises:
        MemoryError: there is not enough memory.
    """

    def __init__(self, kernels: CDLL, pool: Pool, folder: Path) -> None:
        self.weights = weights = read_arrays(folder / NAME)
        count = sum(name.endswith(".norm1.weight") for name in weights)
        layers = (_Layer * count)(
            *(_Layer(*(Linear.of(weights, f"{i}.{name}") for name in LAYER)) for i in range(count))
        )
        address = {name: array.ctypes.data for name, array in weights.items()}
        rotaries = [_Rotary(address[f"{name}.cos"], address[f"{name}.sin"]) for name in ROTARIES]
        tables = _Tables(address["position"], *rotaries)
        shape = _Shape(len(weights["position"]), count)
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
        memories = arrange(self.weights, context)
        out = np.empty((len(memories.counts), *image.shape[1:]), np.float32)
        if len(image) == 1:
            self._run(image[0], memories, out)
        else:  # a frame for each object
            for i, one in enumerate(image):
                self._run(one, memories.of(i), out[i : i + 1])
        return out

    def _run(self, image: Floats, memories: Memories, out: Floats) -> None:
        values, positions, cells, counts = (np.ascontiguousarray(x) for x in memories)
        objects, most = cells.shape
        inputs = _Inputs(
            *(image.ctypes.data, objects, most, counts.ctypes.data),
            *(cells.ctypes.data, values.ctypes.data, positions.ctypes.data),
        )
        if self.kernels.attention_run(self.address, byref(inputs), out.ctypes.data):
            raise MemoryError(f"There is not enough memory for memory attention of {objects} objects.")
