"""What scoring yields: per frame, per object, per sequence and over all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ObjectScores", "Scores", "SequenceScores", "Tally", "mean_of"]

Curve = npt.NDArray[np.float64]
"""A measure on each scored frame, ``[T]``."""


def mean_of(values: Iterable[float]) -> float:
    """Return the mean; NaN of nothing."""
    given = list(values)
    return float(np.mean(given)) if given else float("nan")


@dataclass(frozen=True)
class ObjectScores:
    """One object of one sequence. Measures are shares of 1 and have the names of their papers."""

    sequence: str
    object: str
    frames: tuple[str, ...]
    """Names of the scored frames, in order."""
    curves: Mapping[str, Curve]
    """``"J"``, ``"F"`` and what else the protocol measures on each frame, ``[T]`` each."""
    scores: Mapping[str, float]
    """Numbers of the whole object: at least ``"J&F"``, ``"J"`` and ``"F"``; NaN where it has no frame."""
    folder: str
    """Where its masks are, below the folders of the ground truth and of the prediction."""
    gt_value: int | None = None
    """Pixel value of its masks in the ground truth; None when every pixel but 0 is it."""
    pred_value: int | None = None
    """Pixel value of its masks in the prediction; None when every pixel but 0 is it."""
    group: str = ""
    """``"seen"`` or ``"unseen"`` where the benchmark tells them apart."""


@dataclass(frozen=True)
class SequenceScores:
    """All objects of a sequence."""

    sequence: str
    objects: tuple[ObjectScores, ...]

    @property
    def scores(self) -> dict[str, float]:
        """J&F, J and F, means over the objects that have them."""
        return {
            name: mean_of(
                value for entry in self.objects if not np.isnan(value := entry.scores.get(name, np.nan))
            )
            for name in ("J&F", "J", "F")
        }


@dataclass(frozen=True)
class Scores:
    """The result of scoring one prediction by one protocol."""

    protocol: str
    gt: Path
    """Folder of the ground truth in which the objects' folders are."""
    pred: Path
    """Folder of the prediction in which the objects' folders are."""
    summary: Mapping[str, float]
    """What the benchmark reports over all objects, the ranking measure first."""
    objects: tuple[ObjectScores, ...]
    missing: tuple[str, ...] = ()
    """What could not be scored and was left out, a sentence each; only where that was allowed."""
    notes: tuple[str, ...] = field(default=())
    """What the protocol did that may surprise, a sentence each."""

    @property
    def sequences(self) -> tuple[SequenceScores, ...]:
        """The objects by sequence, in the order of the benchmark."""
        found: dict[str, list[ObjectScores]] = {}
        for entry in self.objects:
            found.setdefault(entry.sequence, []).append(entry)
        return tuple(SequenceScores(name, tuple(entries)) for name, entries in found.items())


@dataclass
class Tally:
    """Collects the frames of one object while a sequence is read."""

    frames: list[str] = field(default_factory=list)
    curves: dict[str, list[float]] = field(default_factory=lambda: {"J": [], "F": []})

    def add(self, frame: str, measured: Mapping[str, float]) -> None:
        """Add what was measured on a frame."""
        self.frames.append(frame)
        for name, number in measured.items():
            self.curves.setdefault(name, []).append(number)

    def finish(self, sequence: str, item: str, folder: str | None = None, **fields: Any) -> ObjectScores:
        """Return the object with the means of J and F; ``fields`` are further ones of `ObjectScores`."""
        arrays = {name: np.asarray(values, np.float64) for name, values in self.curves.items()}
        j, f = mean_of(self.curves["J"]), mean_of(self.curves["F"])
        scores = {"J&F": (j + f) / 2, "J": j, "F": f}
        place = sequence if folder is None else folder
        return ObjectScores(sequence, item, tuple(self.frames), arrays, scores, place, **fields)
