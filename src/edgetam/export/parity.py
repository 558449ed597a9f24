"""Does a bundle answer as PyTorch does? The same prompts on the same frames through both, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.engine.base import Engine
from edgetam.engine.manifest import Limits
from edgetam.structs import FrameResult
from edgetam.tracking import TrackerOptions, VideoTracker

__all__ = ["Agreement", "compare", "drawn_clip", "rehearse"]

FRAMES, WIDTH, HEIGHT = 6, 320, 240
CORRECTED = 3
"""The frame that is corrected after it was tracked."""


@dataclass(frozen=True)
class Agreement:
    """One object on one frame, in a bundle and in PyTorch.

    Attributes:
        frame: index.
        object_id: of the object.
        logits: the largest difference of mask logits.
        iou: of the masks; 1 where both are empty.
        presence: the difference of probabilities.
    """

    frame: int
    object_id: int
    logits: float
    iou: float
    presence: float


def drawn_clip() -> NDArray[np.uint8]:
    """Three shapes that move over a background: uint8 ``[T, H, W, 3]``."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ground = np.stack([x % 61 + y % 47 + 40, (x + y) % 83 + 30, y % 71 + 60], axis=-1)
    frames = np.repeat(ground[None].astype(np.uint8), FRAMES, axis=0)
    for t, frame in enumerate(frames):
        frame[(x - 80 - 6 * t) ** 2 + (y - 90) ** 2 < 45**2] = (210, 60, 50)
        frame[120 - 3 * t : 200 - 3 * t, 190:270] = (40, 180, 90)
        frame[(abs(x - 160) + abs(y - 50 - 4 * t)) < 28] = (60, 80, 230)
    return frames


def rehearse(engine: Engine, limits: Limits) -> list[FrameResult]:
    """Track up to three objects (a click, a box, a mask) and correct the first one on the way."""
    objects, options = limits.objects, TrackerOptions(store="fp32", max_prompted=limits.prompted)
    clip = drawn_clip()
    with VideoTracker(engine, options).open(clip) as session:
        session.prompt(0, 1, points=[[80, 90]])
        if objects > 1:
            session.prompt(1, 2, box=[188, 115, 272, 200])
        if objects > 2:
            mask = (clip[1] == (60, 80, 230)).all(axis=-1)
            session.prompt(1, 3, mask=mask)
        results = list(session.propagate(frames=CORRECTED + 1))
        results.append(session.prompt(CORRECTED, 1, points=[[100, 90], [20, 20]], labels=[1, 0]))
        return results + list(session.propagate(start=CORRECTED + 1))


def compare(got: Sequence[FrameResult], expected: Sequence[FrameResult]) -> list[Agreement]:
    """Every object on every frame; both sides must have seen the same ones."""
    return [
        _agreement(mine.frame, object_id, mine.objects[object_id], theirs)
        for mine, wanted in zip(got, expected, strict=True)
        for object_id, theirs in wanted.objects.items()
    ]


def _agreement(frame: int, object_id: int, got: Any, expected: Any) -> Agreement:
    union = np.count_nonzero(got.mask | expected.mask)
    shared = np.count_nonzero(got.mask & expected.mask)
    return Agreement(
        frame,
        object_id,
        float(np.abs(got.logits - expected.logits).max()),
        float(shared / union) if union else 1.0,
        float(abs(got.presence - expected.presence)),
    )
