"""The verbs of tracked frames as compiled programs: `torch.compile`, and with it CUDA graphs on a GPU.

A GPU answers a small network faster than Python can ask for it, so most of a frame would be waiting.
Compiled programs have fixed shapes: memories are padded as for other runtimes (`edgetam.engine.verbs`), and a
program is made for each number of objects when it is first seen. Prompts and given masks are rare and stay as
they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgetam.engine.base import DecodeMode, Floats
from edgetam.engine.graphs import channels_first, channels_last, make_graph
from edgetam.engine.torch import TorchEngine, to_numpy
from edgetam.engine.verbs import is_empty, padded
from edgetam.model import EdgeTAM
from edgetam.structs import Decoded, DecoderPrompt, FrameMemory, ImageFeatures, MemoryContext

__all__ = ["CompiledEngine"]

PROGRAMS = ("encode", "attend", "track", "remember", "remember_exclusive")
SHAPES = 64
"""Programs for so many shapes are kept of each verb; beyond that it runs as it is written."""
LIMITS = ("recompile_limit", "cache_size_limit")
"""What PyTorch calls their number: since 2.7, and before."""


class CompiledEngine(TorchEngine):
    """`TorchEngine` whose tracked frames run compiled: slow on the first frames, faster on all others.

    Args:
        model: left untouched.
        device: any torch device.
        precision: ``fp32``, or autocast to ``bf16`` or ``fp16``.
        backend: of `torch.compile`.

    Raises:
        EngineError: the device or precision is not available.
    """

    def __init__(
        self, model: EdgeTAM, device: str = "cpu", precision: str = "fp32", *, backend: str = "inductor"
    ) -> None:
        super().__init__(model, device, precision, speed_up=False)
        # only there, graphs of recorded kernels take the place of launching each
        recording = backend == "inductor" and self.device.type == "cuda"
        settings: dict[str, Any] = {"mode": "reduce-overhead"} if recording else {}
        self._programs: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {}
        self._inputs: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        self.model.cpu()  # graphs make their tables there
        graphs = [make_graph(name, self.model) for name in PROGRAMS]
        for name, graph in zip(PROGRAMS, graphs, strict=True):
            module = graph.module.to(self.device)
            self._programs[name] = torch.compile(module, backend=backend, dynamic=False, **settings)
            self._inputs[name] = [port.name for port in graph.inputs]

    @property
    def name(self) -> str:
        """What this engine is called on the command line."""
        return "compiled"

    def encode(self, image: Floats) -> ImageFeatures[Tensor]:
        """See `EdgeTAM.encode`."""
        maps = self._run("encode", image=channels_last(torch.from_numpy(image)))
        return ImageFeatures(*(channels_first(x) for x in maps))

    def attend(self, features: ImageFeatures[Tensor], context: MemoryContext[Any] | None) -> Tensor:
        """See `EdgeTAM.attend`."""
        if context is None:
            return super().attend(features, context)
        memories = {name: torch.from_numpy(array) for name, array in padded(context).items()}
        (fused,) = self._run("attend", stride16=channels_last(features.stride16), **memories)
        return channels_first(fused)

    def decode(
        self, fused: Tensor, features: ImageFeatures[Tensor], prompt: DecoderPrompt[Any], mode: DecodeMode
    ) -> Decoded[Any]:
        """See `EdgeTAM.decode`."""
        if mode != "best" or not is_empty(prompt) or len(fused) != len(prompt.points):
            return super().decode(fused, features, prompt, mode)
        found = self._run(
            "track",
            fused=channels_last(fused),
            stride4=channels_last(features.stride4),
            stride8=channels_last(features.stride8),
        )
        masks, scores, presence, pointer = map(to_numpy, found)
        return Decoded(masks, scores, presence, pointer, np.zeros(len(masks), np.int64))

    def remember(
        self,
        features: ImageFeatures[Tensor],
        masks: Floats,
        presence: Floats,
        pointer: Floats,
        *,
        binarize: bool,
        exclusive: bool,
    ) -> FrameMemory[Any]:
        """See `EdgeTAM.remember`."""
        (tokens,) = self._run(
            "remember_exclusive" if exclusive else "remember",
            stride16=channels_last(features.stride16),
            masks=torch.from_numpy(masks),
            presence=torch.from_numpy(presence),
            binarize=torch.tensor([float(binarize)]),
        )
        return FrameMemory(to_numpy(tokens), pointer)

    def _run(self, name: str, **inputs: Tensor) -> Sequence[Tensor]:
        """Outputs of a program, in memory of their own: the next run writes over those it gave."""
        given = [inputs[wanted].contiguous().to(self.device) for wanted in self._inputs[name]]
        with self._lock, self._running(), torch._dynamo.config.patch({_limit(torch._dynamo.config): SHAPES}):
            found = self._programs[name](*given)
            outputs = (found,) if isinstance(found, Tensor) else found
            return [output.clone() for output in outputs]


def _limit(config: object) -> str:
    return next(name for name in LIMITS if hasattr(config, name))
