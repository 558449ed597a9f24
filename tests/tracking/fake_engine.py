"""The four verbs in a few lines of NumPy, so that the logic of tracking is tested without a network.

A frame is its brightness and an object one number. What the engine answers depends on everything it is given,
so that sessions can be compared exactly, and every call is written down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.config import ModelConfig, get_config
from edgetam.structs import Decoded, DecoderPrompt, FrameMemory, ImageFeatures, MemoryContext

SIZE = 256
SIDE = SIZE // 4
RAMP = np.linspace(0.5, 1, 512 * 64, dtype=np.float32).reshape(1, 512, 64)
PLANE = np.linspace(-3, 3, SIDE)[None, :] + np.linspace(-2, 2, SIDE)[:, None]


@dataclass
class FakeEngine:
    """Counts and records what it is asked."""

    config: ModelConfig = field(default_factory=lambda: get_config("edgetam", SIZE))
    encoded: int = 0
    attended: list[int] = field(default_factory=list)
    """Number of objects of each call with memories."""
    contexts: list[MemoryContext[Any]] = field(default_factory=list)
    prompts: list[tuple[DecoderPrompt[Any], str]] = field(default_factory=list)
    remembered: list[dict[str, Any]] = field(default_factory=list)
    absent: bool = False
    unsure: bool = False
    moody: bool = False
    """Unsure of every third answer or so."""
    fail: str = ""
    """Name of a verb that breaks."""

    weights_id: str = "fake"
    precision: str = "fp32"

    @property
    def absent_pointer(self) -> NDArray[np.float32]:
        return np.full(256, -7, np.float32)

    def encode(self, image: NDArray[np.float32]) -> ImageFeatures[Any]:
        self._break("encode")
        assert image.shape == (1, 3, SIZE, SIZE)
        assert image.dtype == np.float32
        self.encoded += 1
        light = float(image.mean())
        return ImageFeatures(light, light, light)

    def attend(self, features: ImageFeatures[Any], context: MemoryContext[Any] | None) -> Any:
        """One number per object: the frame's light and the mean of what may be read, weighted by age."""
        self._break("attend")
        if context is None:
            return np.array([features.stride16])
        self.attended.append(len(context.tokens))
        self.contexts.append(context)
        return np.array([features.stride16 + _read(context, b) for b in range(len(context.tokens))])

    def decode(self, fused: Any, features: Any, prompt: DecoderPrompt[Any], mode: str) -> Decoded[Any]:
        self._break("decode")
        self.prompts.append((prompt, mode))
        batch = len(prompt.points)
        count = 3 if mode in ("several", "best") else 1
        seed = np.broadcast_to(fused, (batch,)) + [_pointed(prompt, b) for b in range(batch)]
        answer = _answer(seed, count, absent=self.absent, gone=self.absent_pointer)
        if self.unsure or self.moody:
            doubtful = self.unsure | (np.sin(np.asarray(seed) * 9) > 0.5)[:, None]
            answer = replace(answer, scores=np.where(doubtful, answer.scores / 3, answer.scores))
        return _best_alone(answer) if mode == "best" else answer

    def adopt(self, features: ImageFeatures[Any], mask: NDArray[np.float32]) -> Decoded[Any]:
        self._break("adopt")
        assert mask.shape[1:] == (1, SIZE, SIZE)
        assert set(np.unique(mask)) <= {0.0, 1.0}
        decoded = _answer(mask.mean((1, 2, 3)), 1, absent=False, gone=self.absent_pointer)
        small = mask.reshape(len(mask), 1, SIDE, 4, SIDE, 4).mean((3, 5)) * 20 - 10
        return Decoded(
            small.astype(np.float32), decoded.scores, decoded.presence, decoded.pointer, decoded.best
        )

    def remember(
        self,
        features: ImageFeatures[Any],
        masks: NDArray[np.float32],
        presence: NDArray[np.float32],
        pointer: NDArray[np.float32],
        *,
        binarize: bool,
        exclusive: bool,
    ) -> FrameMemory[Any]:
        self._break("remember")
        batch = len(masks)
        assert masks.shape == (batch, 1, SIDE, SIDE)
        assert masks.dtype == np.float32
        assert presence.shape == (batch, 1)
        assert pointer.shape == (batch, 256)
        self.remembered.append({"batch": batch, "binarize": binarize, "exclusive": exclusive})
        value = ((masks > 0) if binarize else np.tanh(masks)).mean((1, 2, 3)) + features.stride16
        if exclusive:
            value = value + 100 * np.arange(batch)
        return FrameMemory(value.astype(np.float32)[:, None, None] * RAMP, pointer)

    def _break(self, verb: str) -> None:
        if self.fail == verb:
            raise RuntimeError(f"{verb} is broken")


def _read(context: MemoryContext[Any], b: int) -> float:
    """Depends on every valid token, age, pointer and distance, and not on their order."""
    frames = np.ones(context.tokens.shape[1], bool)
    points = np.ones(context.pointers.shape[1], bool)
    if context.tokens_valid is not None and context.pointers_valid is not None:
        frames, points = context.tokens_valid[b], context.pointers_valid[b]
    tokens = context.tokens[b, frames][:, ::37, ::7].astype(np.float64).mean((1, 2))  # some will do
    total = float(np.sum(tokens / (1 + context.ages[b, frames])))
    pointers = context.pointers[b, points].astype(np.float64).mean(1)
    return total / 3 + float(np.sum(pointers / (2 + context.distances[b, points]))) / 50


def _pointed(prompt: DecoderPrompt[Any], b: int) -> float:
    real = prompt.labels[b] >= 0
    value = float((prompt.points[b][real] * (1 + prompt.labels[b][real, None])).sum()) / SIZE
    return value if prompt.mask is None else value + float(np.tanh(prompt.mask[b]).mean())


def _answer(seed: NDArray[Any], count: int, *, absent: bool, gone: NDArray[np.float32]) -> Decoded[Any]:
    """Masks are tilted planes whose height follows the seed; the second of three has the highest score."""
    batch = len(seed)
    height = np.sin(np.asarray(seed, np.float64) * 5) * 4
    masks = height[:, None, None, None] + PLANE[None, None] + np.arange(count)[None, :, None, None]
    pointer = np.cos(np.asarray(seed)[:, None] * np.arange(1, 257)[None] / 40)
    return Decoded(
        masks.astype(np.float32),
        np.broadcast_to([0.5, 0.8, 0.6][:count], (batch, count)).astype(np.float32),
        np.full((batch, 1), -3 if absent else 3, np.float32),
        np.broadcast_to(gone, (batch, 256)).copy() if absent else pointer.astype(np.float32),
        np.full(batch, 1 if count == 3 else 0),
    )


def _best_alone(several: Decoded[Any]) -> Decoded[Any]:
    at = several.best[0]
    masks, scores = several.masks[:, at : at + 1], several.scores[:, at : at + 1]
    return Decoded(masks, scores, several.presence, several.pointer, np.zeros_like(several.best))


class Clip:
    """A video made up frame by frame, each with a light of its own. Writes down what is decoded."""

    def __init__(self, length: int, width: int = 40, height: int = 30) -> None:
        self.length, self.width, self.height = length, width, height
        self.read: list[int] = []
        self.closed = False

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        self.read.append(index)
        return self.image(index)

    def image(self, index: int) -> NDArray[np.uint8]:
        """One frame, without counting."""
        return np.full((self.height, self.width, 3), 40 + index * 37 % 160, np.uint8)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self.image(i) for i in range(self.length))

    def time(self, index: int) -> float | None:
        return index / 10

    def close(self) -> None:
        self.closed = True
