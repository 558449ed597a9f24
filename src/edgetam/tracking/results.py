"""Records to what the user sees: masks at the size of the frame, probabilities instead of logits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from edgetam.structs import FrameResult, ObjectResult
from edgetam.tracking.geometry import Floats, resize_logits
from edgetam.tracking.masks import keep_highest
from edgetam.tracking.records import FrameRecord

__all__ = ["frame_logits", "sigmoid", "to_result"]


def frame_logits(
    records: Mapping[int, FrameRecord], size: tuple[int, int], *, exclusive: bool
) -> Iterable[Floats]:
    """Logits ``[H, W]`` of each object in turn, at the size (width, height) of the frame."""
    width, height = size
    # one at a time: many objects on a large frame would not fit in memory together
    logits = (resize_logits(r.logits, width, height) for r in records.values())
    return keep_highest(np.stack(list(logits))) if exclusive and len(records) > 1 else logits


def to_result(
    frame: int,
    records: Mapping[int, FrameRecord],
    size: tuple[int, int],
    *,
    exclusive: bool = False,
    time: float | None = None,
) -> FrameResult:
    """Everything known about one frame."""
    if not records:
        return FrameResult(frame, {}, time)
    logits = frame_logits(records, size, exclusive=exclusive)
    objects = {
        object_id: ObjectResult(full > 0, record.logits.copy(), sigmoid(record.presence), record.score)
        for (object_id, record), full in zip(records.items(), logits, strict=True)
    }
    return FrameResult(frame, objects, time)


def sigmoid(x: float) -> float:
    """Turn a logit into a probability, also where it is too large for `math.exp`."""
    return 1 / (1 + math.exp(-max(min(x, 60.0), -60.0)))
