"""J and F of predictions against the ground truth of a data set, by the rules of DAVIS 2017.

The first and last frames are left out; frames are averaged first, then all objects of all sequences alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgetam.errors import MediaError
from edgetam.eval.datasets import Dataset, EvalVideo
from edgetam.eval.datasets.labels import Mask, read_foreground, read_ids
from edgetam.eval.metrics import Statistics, frame_scores, statistics

__all__ = ["ObjectScores", "score_predictions", "score_table"]


@dataclass(frozen=True)
class ObjectScores:
    """One object of one sequence."""

    region: Statistics
    boundary: Statistics

    @property
    def mean(self) -> float:
        """J&F."""
        return (self.region.mean + self.boundary.mean) / 2


def score_predictions(dataset: Dataset, folder: Path) -> dict[str, dict[int, ObjectScores]]:
    """Score all sequences; by sequence and object.

    Raises:
        MediaError: a prediction is missing, damaged or of another size.
    """
    return {name: _score_video(dataset.video(name), folder / name, dataset) for name in dataset.names}


def score_table(scores: Mapping[str, Mapping[int, ObjectScores]]) -> dict[str, Any]:
    """All scores as JSON: the mean over objects, then sequences, then objects."""
    everything = [each for objects in scores.values() for each in objects.values()]
    return {
        "global": _summary(everything),
        "sequences": {name: _summary(list(objects.values())) for name, objects in scores.items()},
        "objects": {
            name: {str(number): _summary([each]) for number, each in objects.items()}
            for name, objects in scores.items()
        },
    }


def _summary(objects: list[ObjectScores]) -> dict[str, float]:
    region, boundary = (
        np.mean([getattr(each, which) for each in objects], axis=0) for which in ("region", "boundary")
    )
    out = {"J&F": float(region[0] + boundary[0]) / 2}
    for letter, values in (("J", region), ("F", boundary)):
        out |= {f"{letter}-{part}": float(x) for part, x in zip(Statistics._fields, values, strict=True)}
    return out


def _score_video(video: EvalVideo, folder: Path, dataset: Dataset) -> dict[int, ObjectScores]:
    objects = video.first_frames(late=dataset.benchmark.late)
    found: dict[int, list[tuple[float, float]]] = {number: [] for number in objects}
    for frame in video.annotated[1:-1]:
        truth = video.masks(frame)
        for number in objects:
            predicted = _read(video, folder, frame, number, per_object=dataset.per_object)
            nothing = np.zeros_like(predicted)
            found[number].append(frame_scores(predicted, truth.get(number, nothing)))
    return {
        number: ObjectScores(*(statistics(values) for values in zip(*pairs, strict=True)))
        for number, pairs in found.items()
    }


def _read(video: EvalVideo, folder: Path, frame: int, number: int, *, per_object: bool) -> Mask:
    file = f"{video.frame_names[frame]}.png"
    try:
        if per_object:
            return read_foreground(folder / video.object_names()[number] / file)
        return read_ids(folder / file) == number
    except MediaError as error:
        raise MediaError(f"{video.where(frame, number)}: {error}") from error
