"""The small records that flow between the parts.

Shapes use one legend: B objects, M mask candidates, P points, N memory tokens,
T remembered frames, H and W rows and columns, g the side of the stride-16 map.
Arrays are NumPy in `tracking`, `io` and at the engine's boundary, and torch tensors
inside `model`: the records do not care.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

__all__ = [
    "Decoded",
    "DecoderPrompt",
    "FrameMemory",
    "FrameResult",
    "ImageFeatures",
    "MemoryContext",
    "ObjectResult",
    "Prompt",
]

A = TypeVar("A")
"""An array: ``numpy.ndarray`` or ``torch.Tensor``."""


@dataclass(frozen=True)
class ImageFeatures(Generic[A]):
    """What `encode` sees in one frame; shared by every object on it."""

    stride4: A  # [B, 32, 4g, 4g]
    stride8: A  # [B, 64, 2g, 2g]
    stride16: A  # [B, 256, g, g]


@dataclass(frozen=True)
class DecoderPrompt(Generic[A]):
    """A prompt in the model's own units.

    ``points`` are in model pixels, x before y. ``labels``: 1 positive, 0 negative, 2 and 3
    the corners of a box, -1 nothing. ``mask`` holds logits of an earlier answer.
    """

    points: A  # [B, P, 2]
    labels: A  # [B, P]
    mask: A | None = None  # [B, 1, 4g, 4g]


@dataclass(frozen=True)
class Decoded(Generic[A]):
    """What `decode` answers for each object.

    Logits are not gated by presence: training needs them as they are, and trackers gate
    what they hand out. ``pointer`` belongs to the candidate ``best`` and is already replaced
    by the learned "no object" pointer where presence is not positive.
    """

    masks: A  # [B, M, 4g, 4g] logits
    scores: A  # [B, M] estimated IoU
    presence: A  # [B, 1] logit
    pointer: A  # [B, 256]
    best: A  # [B] index into M


@dataclass(frozen=True)
class FrameMemory(Generic[A]):
    """The compact memory of one frame."""

    tokens: A  # [B, N, 64]
    pointer: A  # [B, 256]


@dataclass(frozen=True)
class MemoryContext(Generic[A]):
    """The memories one frame is conditioned on, padded to a rectangle over objects.

    ``ages`` is 0 for a prompted frame and k for the frame k steps back. ``distances`` are
    pointer distances in frames divided by the largest one (read by SAM 2.1 only). The masks
    are true where an entry is real; ``None`` means that all are.
    """

    tokens: A  # [B, T, N, 64]
    ages: A  # [B, T] integers 0..6
    pointers: A  # [B, P, 256]
    distances: A  # [B, P]
    tokens_valid: A | None = None  # [B, T]
    pointers_valid: A | None = None  # [B, P]


@dataclass(frozen=True)
class Prompt:
    """What a user points at on one frame, in pixels of that frame.

    Attributes:
        points: ``[[x, y], ...]``.
        labels: one per point, 1 for "this", 0 for "not this"; all 1 when left out.
        box: ``[x0, y0, x1, y1]``.
        mask: ``[H, W]``, true or non-zero where the object is; excludes points and box.
    """

    points: Any = None
    labels: Any = None
    box: Any = None
    mask: Any = None


@dataclass(frozen=True)
class ObjectResult:
    """One object on one frame.

    Attributes:
        mask: bool ``[H, W]`` at the size of the frame.
        logits: float32 ``[4g, 4g]``, positive inside the object, -1024 where it is absent.
        presence: probability that the object is visible, 0..1.
        score: the model's own estimate of the mask's IoU, 0..1.
    """

    mask: Any
    logits: Any
    presence: float
    score: float


@dataclass(frozen=True)
class FrameResult:
    """All objects on one frame; ``time`` is in seconds from the start, when the source knows it."""

    frame: int
    objects: Mapping[int, ObjectResult] = field(default_factory=dict)
    time: float | None = None
