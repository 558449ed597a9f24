"""What an engine is: the four verbs on some runtime, with NumPy at the boundary.

Features and fused maps stay in the engine's own arrays (and on its own device); prompts, masks,
memories and pointers cross as NumPy, so that a tracker needs no runtime and memories made by one engine
can be continued by another.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgetam.config import ModelConfig
from edgetam.structs import Decoded, DecoderPrompt, FrameMemory, ImageFeatures, MemoryContext

__all__ = ["DecodeMode", "Engine", "Floats"]

Floats = NDArray[np.float32]
DecodeMode = Literal["best", "several", "single", "stable"]
"""Several candidates, the best-scored of them alone, the single one, or that one unless it is unstable."""


class Engine(Protocol):
    """The four verbs. Shapes are those of `edgetam.model.EdgeTAM`.

    An engine may have ``prepare_frame`` besides, see `edgetam.tracking.geometry.prepare_frame`.
    """

    @property
    def name(self) -> str:
        """What runs it, such as ``openvino``."""

    @property
    def precision(self) -> str:
        """What it computes in: ``fp32``, ``bf16``, ``fp16`` or ``int8``."""

    @property
    def config(self) -> ModelConfig:
        """The variant and its input size."""

    @property
    def absent_pointer(self) -> Floats:
        """The pointer of an object that is not there, ``[256]``."""

    @property
    def weights_id(self) -> str:
        """Tells weights apart, whatever file they came from and whatever runs them; empty where unknown."""

    def encode(self, image: Floats) -> ImageFeatures[Any]:
        """Normalised RGB ``[1, 3, S, S]`` to features."""

    def attend(self, features: ImageFeatures[Any], context: MemoryContext[Any] | None) -> Any:
        """Condition the coarse map on memories."""

    def decode(
        self, fused: Any, features: ImageFeatures[Any], prompt: DecoderPrompt[Any], mode: DecodeMode
    ) -> Decoded[Any]:
        """Answer prompts with masks."""

    def adopt(self, features: ImageFeatures[Any], mask: Floats) -> Decoded[Any]:
        """Take given masks ``[B, 1, S, S]`` as the answer."""

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
        """Compress frame and masks ``[B, 1, 4g, 4g]`` into memory."""
