"""The verbs in PyTorch: the reference numerics, and the engine of CUDA and MPS."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgetam.config import ModelConfig
from edgetam.engine.base import DecodeMode, Floats
from edgetam.engine.cpu import has_onednn, speed_up_
from edgetam.errors import EngineError
from edgetam.model import EdgeTAM, inference_form
from edgetam.structs import Decoded, DecoderPrompt, FrameMemory, ImageFeatures, MemoryContext
from edgetam.weights.fingerprint import fingerprint

__all__ = ["TorchEngine", "best_device", "to_numpy"]

_log = logging.getLogger(__name__)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine:
    """Runs an `EdgeTAM` network.

    Args:
        model: left untouched; the engine works on a folded copy.
        device: any torch device.
        precision: ``fp32``, or autocast to ``bf16`` or ``fp16``.
        fold: merge norms and branches into convolutions (same results up to rounding).
        speed_up: on a CPU, hand products to oneDNN (`edgetam.engine.cpu`).

    Raises:
        EngineError: the device or precision is not available.
    """

    def __init__(
        self,
        model: EdgeTAM,
        device: str = "cpu",
        precision: str = "fp32",
        *,
        fold: bool = True,
        speed_up: bool = True,
    ) -> None:
        if precision not in DTYPES:
            raise EngineError(f"precision is {precision!r}; the torch engine knows {', '.join(DTYPES)}.")
        self.precision = precision
        self.device = _device(device)
        self.weights_id = fingerprint(model.state_dict())  # folding changes values
        network = inference_form(model) if fold else copy.deepcopy(model).eval().requires_grad_(False)
        if precision == "bf16" and self.device.type == "cpu" and not has_onednn(torch.bfloat16):
            _log.warning("This CPU does not compute in bfloat16, so fp32 would be faster.")
        if speed_up and fold and self.device.type == "cpu" and precision in ("fp32", "bf16"):
            speed_up_(network, DTYPES[precision])
        self.model: EdgeTAM = network.to(self.device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def name(self) -> str:
        """What this engine is called on the command line."""
        return "torch"

    @property
    def config(self) -> ModelConfig:
        """The variant and its input size."""
        return self.model.config

    @property
    def absent_pointer(self) -> Floats:
        """The pointer of an object that is not there, ``[256]``."""
        return to_numpy(self.model.object_pointer.absent)

    def encode(self, image: Floats) -> ImageFeatures[Tensor]:
        """See `EdgeTAM.encode`."""
        with self._running():
            pixels = torch.from_numpy(image).to(self.device)
            return self.model.encode(pixels.contiguous(memory_format=torch.channels_last))

    def attend(self, features: ImageFeatures[Tensor], context: MemoryContext[Any] | None) -> Tensor:
        """See `EdgeTAM.attend`."""
        with self._running():
            return self.model.attend(features, None if context is None else self._context(context))

    def decode(
        self, fused: Tensor, features: ImageFeatures[Tensor], prompt: DecoderPrompt[Any], mode: DecodeMode
    ) -> Decoded[Any]:
        """See `EdgeTAM.decode`."""
        with self._running():
            mask = None if prompt.mask is None else self._tensor(prompt.mask)
            prompt = DecoderPrompt(self._tensor(prompt.points), self._tensor(prompt.labels), mask)
            return _decoded(self.model.decode(fused, features, prompt, mode))

    def adopt(self, features: ImageFeatures[Tensor], mask: Floats) -> Decoded[Any]:
        """See `EdgeTAM.adopt`."""
        with self._running():
            return _decoded(self.model.adopt(features, self._tensor(mask)))

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
        with self._running():
            memory = self.model.remember(
                features,
                self._tensor(masks),
                self._tensor(presence),
                self._tensor(pointer),
                binarize=binarize,
                exclusive=exclusive,
            )
            return FrameMemory(to_numpy(memory.tokens), pointer)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _context(self, context: MemoryContext[Any]) -> MemoryContext[Tensor]:
        valid = (context.tokens_valid, context.pointers_valid)
        return MemoryContext(
            *(self._tensor(x) for x in (context.tokens, context.ages, context.pointers, context.distances)),
            *(None if x is None else self._tensor(x) for x in valid),
        )

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Inference mode, and autocast unless fp32."""
        low = self.precision != "fp32"
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=DTYPES[self.precision], enabled=low),
        ):
            yield


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        if reason.startswith("Expected one of"):  # followed by some twenty kinds that nobody has
            reason = "no such device; expected cpu, cuda, cuda:1, mps and the like"
        raise EngineError(
            f"Device {name!r} is not available here ({reason}); use device='cpu', or a PyTorch for it."
        ) from error
    return device


def to_numpy(x: Tensor) -> Floats:
    """An array in float32, for the other side of the engine."""
    return x.detach().float().cpu().numpy()


def _decoded(decoded: Decoded[Tensor]) -> Decoded[Any]:
    return Decoded(
        to_numpy(decoded.masks),
        to_numpy(decoded.scores),
        to_numpy(decoded.presence),
        to_numpy(decoded.pointer),
        decoded.best.cpu().numpy(),
    )


def best_device() -> str:
    """CUDA, then MPS, then the CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
