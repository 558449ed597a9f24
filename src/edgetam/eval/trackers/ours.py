"""This package's tracker, as one of those that are measured."""

from __future__ import annotations

from collections.abc import Iterator

from edgetam.eval.trackers.base import FrameScores, Scores
from edgetam.io import FrameSource
from edgetam.structs import FrameResult, ObjectResult, Prompt
from edgetam.tracking import TrackingSession, VideoTracker
from edgetam.tracking.geometry import resize_logits

__all__ = ["EdgeTAMTracker"]


class EdgeTAMTracker:
    """A `VideoTracker`, with whatever engine and options it has."""

    def __init__(self, tracker: VideoTracker) -> None:
        self.tracker = tracker

    def open(self, frames: FrameSource) -> _Session:
        """See `Tracker`."""
        return _Session(self.tracker.open(frames))


class _Session:
    def __init__(self, session: TrackingSession) -> None:
        self._session = session

    def prompt(self, frame: int, object_id: int, prompt: Prompt) -> Scores:
        given = prompt.points, prompt.labels, prompt.box, prompt.mask
        return self._scores(self._session.prompt(frame, object_id, *given).objects[object_id])

    def propagate(self, start: int) -> Iterator[FrameScores]:
        for result in self._session.propagate(start):
            yield self._frame(result)

    def close(self) -> None:
        self._session.close()

    def _frame(self, result: FrameResult) -> FrameScores:
        return FrameScores(result.frame, {i: self._scores(found) for i, found in result.objects.items()})

    def _scores(self, found: ObjectResult) -> Scores:
        return resize_logits(found.logits, *self._session.size)
