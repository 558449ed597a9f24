"""The verbs over graphs: what `edgetam.engine.graphs` leaves out, in NumPy, for any runtime.

A `Runner` runs one graph by name; `GraphEngine` feeds it and reads its answers. Nothing here needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgetam.config import ModelConfig
from edgetam.engine.base import DecodeMode, Floats
from edgetam.engine.candidates import choose
from edgetam.structs import Decoded, DecoderPrompt, FrameMemory, ImageFeatures, MemoryContext

__all__ = ["Constants", "GraphEngine", "Runner", "one_by_one", "pad"]

FRAME_STEPS = (1, 2, 4, 7)
"""Numbers of remembered frames that graphs see; runtimes prepare for each new shape, so others are padded."""
FRAME_STEP = 4
"""Beyond the last of them, multiples of this."""
POINTER_STEP = 16
POINT_STEP = 8
PADDING_LABEL = -2
"""Of a point that is not even "not a point"."""


class Runner(Protocol):
    """A runtime that has the graphs of one model."""

    @property
    def name(self) -> str:
        """What the runtime is called on the command line."""

    @property
    def precision(self) -> str:
        """``fp32``, ``bf16``, ``fp16`` or ``int8``."""

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
        """Run a graph; outputs in its order, as arrays that later runs leave alone."""


@dataclass(frozen=True)
class Constants:
    """What is known of weights outside of graphs."""

    absent_pointer: Floats  # [256]
    no_memory: Floats  # [256], added to the coarse map where there is nothing to remember
    weights_id: str = ""  # see `Engine.weights_id`


class GraphEngine:
    """An `edgetam.engine.Engine` made of graphs."""

    def __init__(self, config: ModelConfig, constants: Constants, runner: Runner) -> None:
        self.config = config
        self.constants = constants
        self.runner = runner

    @property
    def name(self) -> str:
        """What this engine is called on the command line."""
        return self.runner.name

    @property
    def precision(self) -> str:
        """What it computes in."""
        return self.runner.precision

    @property
    def absent_pointer(self) -> Floats:
        """The pointer of an object that is not there, ``[256]``."""
        return self.constants.absent_pointer

    @property
    def weights_id(self) -> str:
        """See `Engine.weights_id`."""
        return self.constants.weights_id

    def encode(self, image: Floats) -> ImageFeatures[Any]:
        """See `Engine.encode`."""
        inputs = {"image": _channels_last(image)}
        return ImageFeatures(*(_channels_first(x) for x in self.runner.run("encode", inputs)))

    def attend(self, features: ImageFeatures[Any], context: MemoryContext[Any] | None) -> Any:
        """See `Engine.attend`."""
        if context is None:
            return features.stride16 + self.constants.no_memory[:, None, None]
        inputs = {"stride16": _channels_last(features.stride16), **padded(context)}
        if not self.config.pointer_time:
            del inputs["distances"]
        return _channels_first(self.runner.run("attend", inputs)[0])

    def decode(
        self, fused: Any, features: ImageFeatures[Any], prompt: DecoderPrompt[Any], mode: DecodeMode
    ) -> Decoded[Any]:
        """See `Engine.decode`."""
        seen = {"fused": _channels_last(fused), **_fine(features)}
        if mode == "best" and is_empty(prompt) and len(fused) == len(prompt.points):
            masks, scores, presence, pointer = self.runner.run("track", seen)
            return Decoded(masks, scores, presence, pointer, np.zeros(len(masks), np.int64))
        told = prompt_inputs(prompt, self.config.mask_size)
        masks, scores, presence, pointers = self.runner.run("answer", seen | told)
        return choose(masks, scores, presence, pointers, mode)

    def adopt(self, features: ImageFeatures[Any], mask: Floats) -> Decoded[Any]:
        """See `Engine.adopt`."""
        seen = {"stride16": _channels_last(features.stride16), **_fine(features)}
        masks, presence, pointer = self.runner.run("adopt", seen | {"given": mask})
        count = len(masks)
        return Decoded(masks, np.ones((count, 1), np.float32), presence, pointer, np.zeros(count, np.int64))

    def remember(
        self,
        features: ImageFeatures[Any],
        masks: Floats,
        presence: Floats,
        pointer: Floats,
        *,
        binarize: bool,
        exclusive: bool,
    ) -> FrameMemory[Any]:
        """See `Engine.remember`."""
        inputs = {
            "stride16": _channels_last(features.stride16),
            "masks": masks,
            "presence": presence,
            "binarize": np.array([binarize], np.float32),
        }
        graph = "remember_exclusive" if exclusive else "remember"
        return FrameMemory(self.runner.run(graph, inputs)[0], pointer)


def one_by_one(run: Callable[[Mapping[str, Any]], Sequence[Any]], inputs: Mapping[str, Any]) -> Sequence[Any]:
    """Run a graph for each object and put the answers together; inputs with one row are for all objects."""
    count = max(map(len, inputs.values()))
    if count == 1:
        return run(inputs)
    rows = [run({k: v if len(v) == 1 else v[i : i + 1] for k, v in inputs.items()}) for i in range(count)]
    return [np.concatenate(parts) for parts in zip(*rows, strict=True)]


def _channels_first(x: Any) -> Any:
    """A view ``[B, C, H, W]`` of what graphs give, ``[B, H, W, C]``."""
    return x.transpose(0, 3, 1, 2)


def _channels_last(x: Any) -> Any:
    return x.transpose(0, 2, 3, 1)


def _fine(features: ImageFeatures[Any]) -> dict[str, Any]:
    return {"stride4": _channels_last(features.stride4), "stride8": _channels_last(features.stride8)}


def padded(context: MemoryContext[Any]) -> dict[str, NDArray[Any]]:
    """Inputs of ``attend``: memories padded to one of few shapes, with what is real marked 1."""
    batch, frames = context.ages.shape
    count = context.pointers.shape[1]
    more_frames = frame_slots(frames) - frames
    more_pointers = pointer_slots(count) - count
    tokens_valid, pointers_valid = context.tokens_valid, context.pointers_valid
    if tokens_valid is None or pointers_valid is None:
        tokens_valid, pointers_valid = np.ones((batch, frames)), np.ones((batch, count))
    return {
        "tokens": pad(context.tokens, more_frames),
        "ages": pad(context.ages.astype(np.int32), more_frames),
        "tokens_valid": pad(tokens_valid.astype(np.float32), more_frames),
        "pointers": pad(context.pointers, more_pointers),
        "pointers_valid": pad(pointers_valid.astype(np.float32), more_pointers),
        "distances": pad(context.distances.astype(np.float32), more_pointers),
    }


def is_empty(prompt: DecoderPrompt[Any]) -> bool:
    """Whether this is the prompt of a frame nobody prompted."""
    return prompt.mask is None and prompt.labels.shape[1] == 1 and bool((prompt.labels == -1).all())


def prompt_inputs(prompt: DecoderPrompt[Any], mask_size: int) -> dict[str, NDArray[Any]]:
    """Inputs of ``answer``: points padded to one of few shapes, and a mask that counts or does not."""
    batch, count = prompt.labels.shape
    more = point_slots(count) - count
    mask = prompt.mask
    if mask is None:
        mask = np.zeros((batch, 1, mask_size, mask_size), np.float32)
    return {
        "points": pad(prompt.points.astype(np.float32), more),
        "labels": pad(prompt.labels.astype(np.int32), more, PADDING_LABEL),
        "mask": mask.astype(np.float32),
        "has_mask": np.full((batch, 1), prompt.mask is not None, np.float32),
    }


def frame_slots(frames: int) -> int:
    """How many remembered frames graphs see where there are ``frames``."""
    known = [n for n in FRAME_STEPS if n >= frames]
    return known[0] if known else _up_to(frames, FRAME_STEP)


def pointer_slots(count: int) -> int:
    """The same for object pointers."""
    return max(_up_to(count, POINTER_STEP), POINTER_STEP)


def point_slots(count: int) -> int:
    """The same for the points of a prompt."""
    return max(_up_to(count, POINT_STEP), POINT_STEP)


def _up_to(count: int, step: int) -> int:
    """The next multiple of ``step``."""
    return -(-count // step) * step


def pad(array: NDArray[Any], more: int, value: int = 0) -> NDArray[Any]:
    """Add ``more`` entries to the second axis."""
    if more == 0:
        return array
    widths = [(0, more if axis == 1 else 0) for axis in range(array.ndim)]
    return np.pad(array, widths, constant_values=value)
