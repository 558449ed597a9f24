"""DAVIS 2016 and 2017, after ``fperazzi/davis`` and ``davisvideochallenge/davis2017-evaluation``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgetam.errors import MediaError
from edgetam.eval.metrics.labels import Pair, Reader, present, read_labels
from edgetam.eval.metrics.measures import jf
from edgetam.eval.metrics.problems import where
from edgetam.eval.metrics.protocols.base import (
    GroundTruth,
    Plan,
    folder_plans,
    inner_frames,
    jf_summary,
    object_means,
    score_scheduled,
    scored_objects,
)
from edgetam.eval.metrics.scores import ObjectScores, Tally
from edgetam.eval.metrics.statistics import statistics
from edgetam.io.lists import listed_videos

__all__ = ["Davis2016", "Davis2017", "davis_plans", "davis_summary", "with_statistics"]

VOID = 255
"""Pixel value of what is neither object nor background."""


def davis_plans(root: Path, truth: GroundTruth, year: str) -> list[Plan]:
    """Plan the sequences of a split, or all folders where the root has no lists of sequences."""
    lists = truth.root / "ImageSets"
    if not lists.is_dir():
        return folder_plans(root, truth)
    split = truth.split or "val"
    for folder in (lists / year, lists / "480p", lists):
        if (folder / f"{split}.txt").is_file():
            return folder_plans(root, truth, listed_videos((folder / f"{split}.txt").read_text()))
    known = sorted({str(path.relative_to(lists)) for path in lists.rglob("*.txt")})
    raise MediaError(
        f"There is no list '{lists / year / split}.txt'; the lists there are "
        f"{', '.join(known) or 'none'}: choose one with --split."
    )


def with_statistics(entry: ObjectScores) -> ObjectScores:
    """Add recall and decay of J and F."""
    extra = {}
    for name in ("J", "F"):
        _, extra[f"{name}-recall"], extra[f"{name}-decay"] = statistics(entry.curves[name])
    return replace(entry, scores={**entry.scores, **extra})


def davis_summary(objects: Sequence[ObjectScores]) -> dict[str, float]:
    """Return J&F and the means of J and F, their recalls and decays over all objects."""
    names = ("J", "J-recall", "J-decay", "F", "F-recall", "F-decay")
    means = object_means(objects, *names)
    return {"J&F": jf_summary(objects)["J&F"], **means}


@dataclass(frozen=True)
class Davis2016:
    """One object a sequence: every pixel but 0, without the first and the last frame."""

    strict_videos = False

    def masks(self, truth: GroundTruth) -> Path:
        """Return ``Annotations/480p`` of a DAVIS root, or the folder itself."""
        return truth.masks("Annotations/480p", "Annotations/1080p", "Annotations")

    def plans(self, truth: GroundTruth) -> list[Plan]:
        """Plan the sequences of the split (``val`` when not told)."""
        return davis_plans(self.masks(truth), truth, "2016")

    def score(self, plan: Plan, reader: Reader) -> list[ObjectScores]:
        """Score one sequence."""
        tally = Tally()
        for frame in inner_frames(reader, plan.frames, plan.sequence):
            pair = reader.pair(plan.sequence, plan.sequence, frame)
            if pair is not None:
                tally.add(frame, jf(pair.pred > 0, pair.gt > 0))
            reader.problems.tick()
        return [with_statistics(tally.finish(plan.sequence, "1"))] if tally.frames else []

    def summarize(self, objects: Sequence[ObjectScores]) -> dict[str, float]:
        """Return the means over all sequences."""
        return davis_summary(objects)


@dataclass(frozen=True)
class Davis2017:
    """Semi-supervised: objects ``1..n`` of the first annotation, without the first and the last frame.

    As published, ids that do not occur count as objects that are rightly absent, and void pixels (255) as
    background. A prediction with an id above ``n`` is refused; the official tool ends there without a result.
    """

    strict_videos = False

    def masks(self, truth: GroundTruth) -> Path:
        """Return ``Annotations/480p`` of a DAVIS root, or the folder itself."""
        return truth.masks("Annotations/480p", "Annotations/Full-Resolution", "Annotations")

    def plans(self, truth: GroundTruth) -> list[Plan]:
        """Plan the sequences of the split (``val`` when not told)."""
        return davis_plans(self.masks(truth), truth, "2017")

    def score(self, plan: Plan, reader: Reader) -> list[ObjectScores]:
        """Score one sequence."""
        objects = first_objects(plan, reader)
        inner = inner_frames(reader, plan.frames, plan.sequence)
        if not (objects and inner):
            return []
        plan = replace(plan, schedule={str(value): inner for value in range(1, objects + 1)})
        tallies = score_scheduled(plan, reader, jf, extra_ids(plan, reader, objects))
        found = scored_objects(plan, reader, tallies)
        return [with_statistics(entry) for entry in found]

    def summarize(self, objects: Sequence[ObjectScores]) -> dict[str, float]:
        """Return the means over all objects."""
        return davis_summary(objects)


def first_objects(plan: Plan, reader: Reader) -> int:
    """Return the largest id of the first annotation; 0 where there is none and that is allowed."""
    try:
        labels = read_labels(reader.gt / plan.sequence / f"{plan.frames[0]}.png")
    except MediaError as error:
        reader.problems.report(f"{where(plan.sequence, plan.frames[0])}: no ground truth: {error}.")
        return 0
    shown = set(present(labels)) - {VOID}
    count = max(shown, default=0)
    if gaps := set(range(1, count)) - shown:
        reader.problems.note(
            f"{where(plan.sequence)}: object(s) {_listing(gaps)} are not in the first annotation; this "
            "protocol scores such ids as objects that are rightly absent."
        )
    if not count:
        reader.problems.report(
            f"{where(plan.sequence, plan.frames[0])}: the ground truth shows no object; this protocol "
            "takes the objects from the first annotation, so the sequence cannot be scored."
        )
    return count


def extra_ids(plan: Plan, reader: Reader, objects: int) -> Callable[[str, Pair], None]:
    """Return what complains about ids only the prediction has, and notes those only later frames have."""
    known = set(range(objects + 1))
    late = {*known, VOID}

    def inspect(frame: str, pair: Pair) -> None:
        if pair.gt.max() > objects:
            for value in set(present(pair.gt)) - late:
                late.add(value)
                reader.problems.note(
                    f"{where(plan.sequence, frame, value)}: this object of the ground truth is not in the "
                    "first annotation, so this protocol does not score it."
                )
        if pair.pred.max() > objects:
            for value in set(present(pair.pred)) - known:
                known.add(value)
                reader.problems.report(
                    f"{where(plan.sequence, frame, value)}: the prediction has this id, but the objects "
                    f"of the sequence are 1 to {objects}; remove it, or renumber the objects."
                )

    return inspect


def _listing(values: Iterable[int]) -> str:
    return ", ".join(str(value) for value in sorted(values))
