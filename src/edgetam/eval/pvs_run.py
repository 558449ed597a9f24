"""A run of the interactive protocol over a data set, one sequence after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from edgetam.eval.datasets import Dataset
from edgetam.eval.protocols.pvs import Annotator, annotation_seconds, offline, online
from edgetam.eval.results import ResultFolder
from edgetam.eval.running import Work
from edgetam.eval.trackers import Tracker

__all__ = ["CurvePoint", "PvsJob", "mean_curve"]

Mode = Literal["offline", "online"]


class CurvePoint(NamedTuple):
    """The mean over all objects after ``frames`` frames could be prompted."""

    frames: int
    jf: float
    region: float
    boundary: float
    prompted: float
    seconds: float


@dataclass(frozen=True)
class PvsJob:
    """What to annotate and where to write the results; see `edgetam.eval.running.Job`.

    Attributes:
        dataset: frames and ground truth.
        make_tracker: called once per process; must pickle.
        folder: gets one JSON file per sequence.
        mode: see `edgetam.eval.protocols.pvs`.
        annotator: how many frames and clicks.
    """

    dataset: Dataset
    make_tracker: Callable[[], Tracker]
    folder: Path
    mode: Mode
    annotator: Annotator = field(default_factory=Annotator)

    @property
    def results(self) -> ResultFolder:
        """What is written."""
        return ResultFolder(self.folder)

    def pending(self) -> list[str]:
        """Sequences that are not finished yet."""
        done = self.results
        return [name for name in self.dataset.names if name not in done]

    def start(self) -> Work:
        """Make the tracker."""
        tracker = self.make_tracker()
        return lambda name: self._annotate(tracker, name)

    def _annotate(self, tracker: Tracker, name: str) -> None:
        video = self.dataset.video(name)
        run = offline if self.mode == "offline" else online
        objects = {
            number: [
                {
                    "prompted": [video.frame_names[i] for i in each.prompted],
                    "J": each.region,
                    "F": each.boundary,
                }
                for each in run(tracker, video, number, begin, self.annotator)
            ]
            for number, begin in video.first_frames(late=self.dataset.benchmark.late).items()
        }
        self.results.write(name, {"frames": len(video.frame_names), "objects": objects})


def mean_curve(results: Mapping[str, Any], mode: Mode, clicks: int) -> list[CurvePoint]:
    """The mean over all objects of all sequences, by how many frames could be prompted.

    Args:
        results: what `PvsJob` wrote, by sequence.
        mode: how it was annotated.
        clicks: clicks per prompted frame.
    """
    objects = [
        (each["frames"], outcomes) for each in results.values() for outcomes in each["objects"].values()
    ]
    points = []
    for n in range(len(objects[0][1])):
        rows = [
            (
                outcomes[n]["J"],
                outcomes[n]["F"],
                len(outcomes[n]["prompted"]),
                annotation_seconds(mode, length, len(outcomes[n]["prompted"]), clicks),
            )
            for length, outcomes in objects
        ]
        region, boundary, prompted, seconds = np.mean(rows, axis=0).tolist()
        points.append(CurvePoint(n + 1, (region + boundary) / 2, region, boundary, prompted, seconds))
    return points
