"""MOSEv2, after ``henghuiding/MOSE-api``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from edgetam.errors import InputError
from edgetam.eval.metrics.labels import Reader
from edgetam.eval.metrics.measures import mosev2
from edgetam.eval.metrics.problems import where
from edgetam.eval.metrics.protocols.base import (
    GroundTruth,
    Plan,
    folder_plans,
    inner_frames,
    object_means,
    score_scheduled,
    scored_objects,
)
from edgetam.eval.metrics.protocols.meta import describing, videos
from edgetam.eval.metrics.scores import ObjectScores, mean_of

__all__ = ["MoseV2"]


@dataclass(frozen=True)
class MoseV2:
    """The objects of ``meta.json``, without the first and the last frame.

    J is smoothed by one pixel. F-dot is F with a tolerance that follows the size of the object. Stretches
    on which an object has disappeared or come back are also averaged on their own.
    """

    strict_videos = False

    def masks(self, truth: GroundTruth) -> Path:
        """Return ``Annotations``, or the folder itself."""
        return truth.masks("Annotations/480p", "Annotations")

    def plans(self, truth: GroundTruth) -> list[Plan]:
        """Plan the videos that have a folder.

        Raises:
            InputError: a video is not described, or not as long as described.
        """
        described = videos(truth)
        plans = []
        for plan in folder_plans(self.masks(truth), truth):
            entry = described.get(plan.sequence)
            if entry is None:
                raise InputError(f"{where(plan.sequence)} is not described in the benchmark's meta file.")
            with describing(plan.sequence):
                length, items = int(entry["length"]), [str(item) for item in entry["objects"]]
            if length != len(plan.frames):
                raise InputError(
                    f"{where(plan.sequence)} has {len(plan.frames)} annotations, but its meta file says "
                    f"{length}; some are missing or too many."
                )
            plans.append(replace(plan, schedule=dict.fromkeys(items, plan.frames[1:-1])))
        return plans

    def score(self, plan: Plan, reader: Reader) -> list[ObjectScores]:
        """Score one video."""
        if not inner_frames(reader, plan.frames, plan.sequence):
            return []
        found = scored_objects(plan, reader, score_scheduled(plan, reader, mosev2))
        return [_with_stretches(entry) for entry in found]

    def summarize(self, objects: Sequence[ObjectScores]) -> dict[str, float]:
        """Return the means over all objects; those of stretches over the objects that have any."""
        means = object_means(objects, "J", "F-dot", "F")
        parts = {
            f"{part}-{name}": mean_of(
                entry.scores[f"{part}-{name}"] for entry in objects if f"{part}-{name}" in entry.scores
            )
            for part in ("disappear", "reappear")
            for name in ("J", "F-dot")
        }
        return {
            "J&F-dot": (means["J"] + means["F-dot"]) / 2,
            **means,
            "J&F": (means["J"] + means["F"]) / 2,
            "disappear-J&F-dot": (parts["disappear-J"] + parts["disappear-F-dot"]) / 2,
            "reappear-J&F-dot": (parts["reappear-J"] + parts["reappear-F-dot"]) / 2,
        }


def _with_stretches(entry: ObjectScores) -> ObjectScores:
    """Add F-dot and the means over the stretches on which the object is gone or is back."""
    absent = entry.curves["absent"] > 0  # [T]
    gone, back = stretches(absent)
    dot = float(entry.curves["F-dot"].mean())
    scores = {**entry.scores, "F-dot": dot, "J&F-dot": (entry.scores["J"] + dot) / 2}
    for part, spans in (("disappear", gone), ("reappear", back)):
        for name in ("J", "F-dot") if spans else ():
            curve = entry.curves[name]
            scores[f"{part}-{name}"] = mean_of(float(curve[a:b].mean()) for a, b in spans)
    return replace(entry, scores=scores)


def stretches(
    absent: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the half-open stretches on which an object has gone, and those on which it has come back.

    An absence from the start has not been seen to begin and is no stretch. What comes after it is one.
    """
    edges = np.flatnonzero(absent[1:] != absent[:-1]) + 1  # [E]
    spans = list(pairwise([*edges.tolist(), len(absent)]))
    return [span for span in spans if absent[span[0]]], [span for span in spans if not absent[span[0]]]
