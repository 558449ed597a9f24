"""LVOS, after ``LingyiHongfd/lvos-evaluation``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from edgetam.errors import InputError
from edgetam.eval.metrics.labels import Reader
from edgetam.eval.metrics.measures import Measure, jf, lvos_jf
from edgetam.eval.metrics.problems import where
from edgetam.eval.metrics.protocols.base import GroundTruth, Plan, in_time, score_scheduled, scored_objects
from edgetam.eval.metrics.protocols.meta import describing, find, videos
from edgetam.eval.metrics.scores import ObjectScores, mean_of

__all__ = ["Lvos"]

STEP = 5
"""Every fifth frame is annotated."""


@dataclass(frozen=True)
class Lvos:
    """Each object on its own range of frames, every fifth, without the first and the last; seen and unseen
    alike.

    The evaluator has two boundary operators, and its numbers depend on whether it has been compiled.
    """

    compiled: bool = False
    """Whether the boundary is that of the compiled operator."""
    strict_videos = False

    def masks(self, truth: GroundTruth) -> Path:
        """Return ``Annotations``, or the folder itself."""
        return truth.masks("Annotations")

    def plans(self, truth: GroundTruth) -> list[Plan]:
        """Plan the videos of the meta file."""
        unseen = find(truth, truth.groups, ("unseen_videos.txt",), "--groups").read_text().split()
        plans = []
        for name, entry in sorted(videos(truth).items()):
            with describing(name):
                ranges = {item: about["frame_range"] for item, about in entry["objects"].items()}
                schedule = {item: _inner(name, item, span) for item, span in ranges.items()}
            frames = in_time(chain.from_iterable(schedule.values()))
            group = "unseen" if name in unseen else "seen"
            plans.append(Plan(name, frames, schedule, dict.fromkeys(schedule, group)))
        return plans

    def score(self, plan: Plan, reader: Reader) -> list[ObjectScores]:
        """Score one video."""
        measure: Measure = lvos_jf if self.compiled else jf
        found = scored_objects(plan, reader, score_scheduled(plan, reader, measure))
        return [_with_variation(entry) for entry in found]

    def summarize(self, objects: Sequence[ObjectScores]) -> dict[str, float]:
        """Return the means of the seen and of the unseen objects, and the means of both."""
        parts = {
            f"{name}-{group}": mean_of(entry.scores[name] for entry in objects if entry.group == group)
            for name in ("J", "F", "V")
            for group in ("seen", "unseen")
        }
        means = {name: (parts[f"{name}-seen"] + parts[f"{name}-unseen"]) / 2 for name in ("J", "F", "V")}
        return {"J&F": (means["J"] + means["F"]) / 2, **means, **parts}


def _inner(video: str, item: str, span: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of an object's scored frames; the ``end`` of its range is not among them.

    Raises:
        InputError: the range is not as long as it says; the official tool would count zeros for the
            difference.
    """
    numbers = range(int(span["start"]), int(span["end"]), STEP)
    if len(numbers) + 1 != int(span["frame_nums"]):
        raise InputError(
            f"{where(video, item=item)}: its range has {len(numbers) + 1} frames, but the meta file says "
            f"{span['frame_nums']}; correct the meta file."
        )
    return tuple(f"{number:08d}" for number in numbers[1:])


def _with_variation(entry: ObjectScores) -> ObjectScores:
    """Add V, the spread of J&F over the frames."""
    both = (entry.curves["J"] + entry.curves["F"]) / 2  # [T]
    # as published: the variance is rounded to four digits before the root is taken.
    return replace(entry, scores={**entry.scores, "V": math.sqrt(round(float(both.var()), 4))})
