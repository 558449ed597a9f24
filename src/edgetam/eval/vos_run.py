"""A run of the semi-supervised protocol over a data set, one sequence after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgetam.eval.datasets import Dataset
from edgetam.eval.predictions import Predictions
from edgetam.eval.protocols.vos import follow
from edgetam.eval.running import Work
from edgetam.eval.trackers import Tracker

__all__ = ["VosJob"]


@dataclass(frozen=True)
class VosJob:
    """What to track and where to write it; see `edgetam.eval.running.Job`.

    Attributes:
        dataset: frames and prompts.
        make_tracker: called once per process; must pickle.
        folder: where predictions go.
        prompt: see `edgetam.eval.protocols.vos.follow`.
    """

    dataset: Dataset
    make_tracker: Callable[[], Tracker]
    folder: Path
    prompt: str = "mask"

    @property
    def predictions(self) -> Predictions:
        """What is written."""
        return Predictions(self.folder, per_object=self.dataset.per_object)

    def pending(self) -> list[str]:
        """Sequences that are not finished yet."""
        done = self.predictions
        return [name for name in self.dataset.names if name not in done]

    def start(self) -> Work:
        """Make the tracker."""
        tracker = self.make_tracker()
        return lambda name: self._track(tracker, name)

    def _track(self, tracker: Tracker, name: str) -> None:
        video = self.dataset.video(name)
        late = self.dataset.benchmark.late
        objects = video.first_frames(late=late)
        with video.open() as frames:
            size = frames.width, frames.height
        with self.predictions.sequence(video, objects) as writer:
            for frame, scores in follow(tracker, video, prompt=self.prompt, late=late):
                writer.write(frame, scores, size)
