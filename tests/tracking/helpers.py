"""Sessions on the fake engine, and ways to compare them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from edgetam.structs import FrameResult
from edgetam.tracking import TrackerOptions, TrackingSession
from edgetam.tracking.records import FrameRecord, ObjectTrack
from tests.tracking.fake_engine import Clip, FakeEngine

Summary = dict[int, tuple[Any, ...]]


def open_session(length: int = 20, **options: Any) -> TrackingSession:
    """A session on a made-up clip."""
    engine = FakeEngine(moody=options.get("memory_selection") == "confident")
    return TrackingSession(engine, Clip(length), TrackerOptions(**options))


def fake(session: TrackingSession) -> FakeEngine:
    """The engine of a session, with its records."""
    assert isinstance(session.engine, FakeEngine)
    return session.engine


def clip(session: TrackingSession) -> Clip:
    """The video of a session, with its records."""
    assert isinstance(session.frames, Clip)
    return session.frames


def summary(result: FrameResult) -> Summary:
    """Everything about a frame, comparable."""
    return {
        i: (each.mask.tobytes(), each.logits.tobytes(), each.presence, each.score)
        for i, each in result.objects.items()
    }


def summaries(results: Iterable[FrameResult]) -> dict[int, Summary]:
    """By frame."""
    return {result.frame: summary(result) for result in results}


def _record(record: FrameRecord) -> tuple[Any, ...]:
    memory = None if record.memory is None else record.memory.tobytes()
    return record.logits.tobytes(), record.presence, record.score, record.pointer.tobytes(), memory


def _track(track: ObjectTrack) -> dict[str, Any]:
    return {
        "prompts": {
            t: (c.points.tolist(), c.labels.tolist(), None if c.mask is None else c.mask.tobytes())
            for t, c in track.prompts.items()
        },
        "prompted": {t: _record(r) for t, r in track.prompted.items()},
        "pending": {t: (_record(r), c) for t, (r, c) in track.pending.items()},
        "tracked": {t: _record(r) for t, r in track.tracked.items()},
        "corrected": set(track.corrected),
    }


def state(tracks: dict[int, ObjectTrack]) -> dict[int, Any]:
    """All that is known about all objects, comparable."""
    return {i: _track(track) for i, track in tracks.items()}


def rectangle(width: int = 40, height: int = 30) -> np.ndarray:
    """A mask prompt for a clip."""
    mask = np.zeros((height, width), bool)
    mask[5:20, 10:30] = True
    return mask
