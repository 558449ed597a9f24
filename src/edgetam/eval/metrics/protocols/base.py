"""What a protocol is: which frames and objects count, what is measured, and how it is averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Protocol as Interface

from edgetam.errors import InputError, MediaError
from edgetam.eval.metrics.labels import Pair, Reader
from edgetam.eval.metrics.measures import Measure
from edgetam.eval.metrics.problems import where
from edgetam.eval.metrics.scores import ObjectScores, Tally, mean_of
from edgetam.io.images import natural_key

__all__ = [
    "GroundTruth",
    "Plan",
    "Protocol",
    "folder_plans",
    "folders_in",
    "frames_in",
    "in_time",
    "inner_frames",
    "jf_summary",
    "object_means",
    "score_scheduled",
    "scored_objects",
]


@dataclass(frozen=True)
class GroundTruth:
    """Where the ground truth is and which of it counts."""

    root: Path
    split: str | None = None
    """Which list of sequences, where the benchmark has several."""
    meta: Path | None = None
    """The benchmark's description of its videos, where it is not beside the masks."""
    groups: Path | None = None
    """Which categories or videos are unseen, where it is not beside the masks."""
    sequences: tuple[str, ...] = ()
    """Only these; all when empty."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """The root, and the folders in it that the split (``val`` when not told) may have."""
        split = self.split or "val"
        names = ("valid", "val", "valid_all_frames") if split.startswith("val") else (split,)
        return (self.root, *(self.root / name for name in names))

    def masks(self, *places: str) -> Path:
        """Return the folder of sequences: the first of these places that is there, else the root itself.

        They may lie in a folder of the split.

        Raises:
            MediaError: there is no such folder.
        """
        if not self.root.is_dir():
            raise MediaError(f"There is no folder '{self.root}'; check the path to the ground truth.")
        found = (folder / place for folder in self.folders for place in places)
        return next((place for place in found if place.is_dir()), self.root)

    def wanted(self, names: Sequence[str]) -> list[str]:
        """Return the names that count.

        Raises:
            InputError: a sequence that was asked for does not exist.
        """
        unknown = [name for name in self.sequences if name not in names]
        if unknown:
            raise InputError(f"There is no sequence '{unknown[0]}' in '{self.root}'; it has {_some(names)}.")
        return [name for name in names if not self.sequences or name in self.sequences]


@dataclass(frozen=True)
class Plan:
    """A sequence to be scored."""

    sequence: str
    frames: tuple[str, ...]
    """Annotated frames, in order."""
    schedule: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Frames on which each object is scored, where the benchmark lists its objects beforehand."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """``"seen"`` or ``"unseen"`` for each object, where the benchmark tells them apart."""


class Protocol(Interface):
    """How one benchmark scores."""

    @property
    def strict_videos(self) -> bool:
        """Whether the prediction may hold no videos that the ground truth lacks."""

    def masks(self, truth: GroundTruth) -> Path:
        """Return the folder that holds the sequences of the ground truth."""

    def plans(self, truth: GroundTruth) -> list[Plan]:
        """Return the sequences to be scored, in the order of the benchmark."""

    def score(self, plan: Plan, reader: Reader) -> list[ObjectScores]:
        """Score one sequence, reading one frame after the other."""

    def summarize(self, objects: Sequence[ObjectScores]) -> dict[str, float]:
        """Return what the benchmark reports, its ranking measure first."""


def frames_in(folder: Path) -> tuple[str, ...]:
    """Return the names of the PNG files in a folder, without suffix, in the order trackers take them in."""
    return in_time(path.stem for path in folder.glob("*.png") if not path.name.startswith("."))


def folders_in(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, in natural order."""
    names = (path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(names, key=natural_key)


def in_time(frames: Iterable[str]) -> tuple[str, ...]:
    """Return names of frames in the order of time, each once.

    Published evaluators sort names as text. With leading zeros, as all benchmarks have them, that is the
    same; without, other frames than the tracker's first and last would be left out.
    """
    return tuple(sorted(set(frames), key=natural_key))


def folder_plans(root: Path, truth: GroundTruth, names: Sequence[str] | None = None) -> list[Plan]:
    """Plan every sequence that has a folder of PNG files, or those named.

    Raises:
        MediaError: there is none, or a named one is missing or has no frames.
    """
    plans = []
    for name in truth.wanted(folders_in(root) if names is None else names):
        frames = frames_in(root / name)
        if not frames:
            raise MediaError(f"{where(name)}: '{root / name}' has no PNG files; expected the annotations.")
        plans.append(Plan(name, frames))
    if not plans:
        raise MediaError(f"'{root}' has no folders of sequences; expected '{root}/SEQUENCE/FRAME.png'.")
    return plans


def inner_frames(
    reader: Reader, frames: Sequence[str], sequence: str, item: str | None = None
) -> tuple[str, ...]:
    """Return all frames but the first and the last; none, with a complaint, where nothing is left."""
    if len(frames) < 3:
        reader.problems.report(
            f"{where(sequence, item=item)} has {len(frames)} annotated frame(s); the first and the last are "
            "not scored, so nothing is left of it."
        )
    return tuple(frames[1:-1])


def score_scheduled(
    plan: Plan,
    reader: Reader,
    measure: Measure,
    inspect: Callable[[str, Pair], None] = lambda frame, pair: None,
) -> dict[str, Tally]:
    """Measure the objects of a plan on the frames it lists for them; unreadable frames are left out.

    ``inspect`` sees each frame before it is scored, and may complain.
    """
    tallies = {item: Tally() for item in plan.schedule}
    listed = {item: frozenset(frames) for item, frames in plan.schedule.items()}
    for frame in in_time(chain.from_iterable(listed.values())):
        pair = reader.pair(plan.sequence, plan.sequence, frame)
        if pair is not None:
            inspect(frame, pair)
            for item, tally in tallies.items():
                if frame in listed[item]:
                    value = int(item)
                    tally.add(frame, measure(pair.pred == value, pair.gt == value))
        reader.problems.tick()
    return tallies


def scored_objects(plan: Plan, reader: Reader, tallies: Mapping[str, Tally]) -> list[ObjectScores]:
    """Return the objects that have a frame to be scored on, and note those that have none."""
    found = []
    for item, tally in tallies.items():
        if tally.frames:
            value = int(item)
            group = plan.groups.get(item, "")
            found.append(tally.finish(plan.sequence, item, gt_value=value, pred_value=value, group=group))
        elif not plan.schedule[item]:
            reader.problems.note(f"{where(plan.sequence, item=item)} has no frame to be scored on.")
    return found


def object_means(objects: Sequence[ObjectScores], *names: str) -> dict[str, float]:
    """Return the means over all objects, each of the same weight."""
    return {name: mean_of(entry.scores[name] for entry in objects) for name in names}


def jf_summary(objects: Sequence[ObjectScores]) -> dict[str, float]:
    """Return J&F, J and F over all objects."""
    means = object_means(objects, "J", "F")
    return {"J&F": (means["J"] + means["F"]) / 2, **means}


def _some(names: Sequence[str]) -> str:
    listed = ", ".join(f"'{name}'" for name in names[:5])
    return f"{listed} and {len(names) - 5} more" if len(names) > 5 else listed or "none"
