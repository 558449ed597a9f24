"""vos-benchmark and SA-V: an object counts from the first scored frame on which anybody has seen it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from edgetam.errors import MediaError
from edgetam.eval.metrics.labels import Labels, Pair, Reader, present
from edgetam.eval.metrics.measures import jf
from edgetam.eval.metrics.problems import where
from edgetam.eval.metrics.protocols.base import (
    GroundTruth,
    Plan,
    folder_plans,
    folders_in,
    frames_in,
    in_time,
    inner_frames,
    jf_summary,
)
from edgetam.eval.metrics.scores import ObjectScores, Tally

__all__ = ["SaV", "VosBenchmark"]


@dataclass(frozen=True)
class VosBenchmark:
    """``hkchengrex/vos-benchmark``: one palette PNG a frame, every id but 0 is an object.

    Only objects that the scored ground truth shows are averaged.
    """

    ends: bool = False
    """Whether the first and the last frame are scored."""
    void: int | None = None
    """The pixel value that is background too; published code has none."""
    strict_videos = True

    def masks(self, truth: GroundTruth) -> Path:
        """Return ``Annotations``, or the folder itself."""
        return truth.masks("Annotations/480p", "Annotations")

    def plans(self, truth: GroundTruth) -> list[Plan]:
        """Plan all folders."""
        return folder_plans(self.masks(truth), truth)

    def score(self, plan: Plan, reader: Reader) -> list[ObjectScores]:
        """Score one sequence."""
        tallies: dict[int, Tally] = {}
        annotated: set[int] = set()
        frames = plan.frames if self.ends else inner_frames(reader, plan.frames, plan.sequence)
        for frame in frames:
            pair = reader.pair(plan.sequence, plan.sequence, frame)
            if pair is not None:
                shown = [value for value in present(pair.gt) if value != self.void]
                annotated.update(shown)
                for value in (*shown, *present(pair.pred)):
                    tallies.setdefault(value, Tally())
                for value, tally in tallies.items():
                    tally.add(frame, jf(pair.pred == value, pair.gt == value))
            reader.problems.tick()
        if frames:
            _remark(plan, reader, annotated, set(tallies) - annotated)
        return [
            tally.finish(plan.sequence, str(value), gt_value=value, pred_value=value)
            for value, tally in sorted(tallies.items())
            if value in annotated
        ]

    def summarize(self, objects: Sequence[ObjectScores]) -> dict[str, float]:
        """Return J&F, J and F over all objects."""
        return jf_summary(objects)


def _remark(plan: Plan, reader: Reader, annotated: set[int], extra: set[int]) -> None:
    """Say what was scored but may surprise, and what cannot be scored."""
    if extra:
        ids = ", ".join(str(value) for value in sorted(extra))
        reader.problems.note(
            f"{where(plan.sequence)}: object(s) {ids} of the prediction are not in the scored ground "
            "truth and count for nothing."
        )
    if 255 in annotated:
        reader.problems.note(
            f"{where(plan.sequence)}: the ground truth has pixels of value 255, which this protocol takes "
            "for an object, not for void."
        )
    if not annotated:
        reader.problems.report(
            f"{where(plan.sequence)}: the scored ground truth shows no object, so nothing can be scored."
        )


@dataclass(frozen=True)
class SaV:
    """SA-V: a folder of black-and-white PNGs for each object; every pixel but 0 is it.

    The first and the last *annotated* frame of each object are left out. As published, a video whose folder
    has PNGs only is scored as vos-benchmark does.
    """

    ends: bool = False
    """Whether the first and the last frame are scored."""
    strict_videos = True

    def masks(self, truth: GroundTruth) -> Path:
        """Return ``Annotations_6fps``, maybe in ``sav_SPLIT``, or the folder itself."""
        return truth.masks("Annotations_6fps", f"sav_{truth.split or 'val'}/Annotations_6fps")

    def plans(self, truth: GroundTruth) -> list[Plan]:
        """Plan all folders, each with a folder for each object.

        Raises:
            MediaError: there are none, or a folder of an object has no PNG files.
        """
        root = self.masks(truth)
        folders = [root / name for name in truth.wanted(folders_in(root))]
        plans = [_object_plan(folder) or _flat_plan(folder) for folder in folders]
        if not plans:
            raise MediaError(f"'{root}' has no folders of videos; expected '{root}/VIDEO/OBJECT/FRAME.png'.")
        return plans

    def score(self, plan: Plan, reader: Reader) -> list[ObjectScores]:
        """Score one sequence, one object after the other."""
        if not plan.schedule:
            return VosBenchmark(self.ends).score(plan, reader)
        self._extras(plan, reader)
        entries = [self._object(plan, reader, item, frames) for item, frames in plan.schedule.items()]
        return [entry for entry in entries if entry is not None]

    def _object(self, plan: Plan, reader: Reader, item: str, frames: Sequence[str]) -> ObjectScores | None:
        frames = frames if self.ends else inner_frames(reader, frames, plan.sequence, item)
        if not frames:
            return None
        tally, folder, annotated = Tally(), f"{plan.sequence}/{item}", False
        for frame in frames:
            pair = reader.pair(plan.sequence, folder, frame, item)
            if pair is not None and _single(pair, plan, reader, frame, item):
                pred, gt = pair.pred > 0, pair.gt > 0
                annotated = annotated or bool(gt.any())
                if annotated or tally.frames or pred.any():
                    tally.add(frame, jf(pred, gt))
            reader.problems.tick()
        if not annotated:
            reader.problems.report(
                f"{where(plan.sequence, item=item)}: the ground truth is empty on all {len(frames)} "
                "scored frames, so the object cannot be scored."
            )
            return None
        return tally.finish(plan.sequence, item, folder)

    def summarize(self, objects: Sequence[ObjectScores]) -> dict[str, float]:
        """Return J&F, J and F over all objects."""
        return jf_summary(objects)

    def _extras(self, plan: Plan, reader: Reader) -> None:
        folder = reader.pred / plan.sequence
        extra = sorted(set(folders_in(folder)) - set(plan.schedule)) if folder.is_dir() else []
        if extra:
            reader.problems.note(
                f"{where(plan.sequence)}: object(s) {', '.join(extra)} of the prediction are not in the "
                "ground truth and count for nothing."
            )


def _object_plan(folder: Path) -> Plan | None:
    """Plan a video with a folder for each object; None where there are no such folders."""
    schedule = {item: frames_in(folder / item) for item in folders_in(folder)}
    for item, frames in schedule.items():
        if not frames:
            raise MediaError(
                f"{where(folder.name, item=item)}: '{folder / item}' has no PNG files; expected its masks."
            )
    frames = in_time(chain.from_iterable(schedule.values()))
    return Plan(folder.name, frames, schedule) if schedule else None


def _flat_plan(folder: Path) -> Plan:
    frames = frames_in(folder)
    if not frames:
        raise MediaError(f"{where(folder.name)}: '{folder}' is empty; expected a folder for each object.")
    return Plan(folder.name, frames)


def _single(pair: Pair, plan: Plan, reader: Reader, frame: str, item: str) -> bool:
    """Whether both pictures have at most two pixel values; complain otherwise."""
    for labels, what in ((pair.gt, "ground truth"), (pair.pred, "prediction")):
        values = _values(labels)
        if values > 2:
            reader.problems.report(
                f"{where(plan.sequence, frame, item)}: the {what} has {values} pixel values; expected 0 "
                "and one other, because every object has a folder of its own."
            )
            return False
    return True


def _values(labels: Labels) -> int:
    return len(present(labels)) + bool((labels == 0).any())
