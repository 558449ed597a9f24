"""Scoring a folder of predictions against a folder of ground truth."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

from edgetam.errors import InputError, MediaError
from edgetam.eval.metrics.labels import Reader
from edgetam.eval.metrics.problems import Problems, where
from edgetam.eval.metrics.protocols import GroundTruth, Plan, Protocol, find_protocol
from edgetam.eval.metrics.scores import ObjectScores, Scores
from edgetam.eval.pool import spawned

__all__ = ["Progress", "score_folder"]

Progress = Callable[[int, int], None]
"""Called with the frames done and the frames in all."""


class _Part(NamedTuple):
    """What came of one sequence."""

    objects: list[ObjectScores]
    missing: list[str]
    notes: list[str]


def score_folder(
    protocol: str,
    gt: str | os.PathLike[str],
    pred: str | os.PathLike[str],
    *,
    split: str | None = None,
    meta: str | os.PathLike[str] | None = None,
    groups: str | os.PathLike[str] | None = None,
    sequences: Sequence[str] = (),
    lenient: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Scores:
    """Score predicted masks by the conventions of a benchmark.

    Frames are read one after the other, so memory does not grow with the length of a video.

    Args:
        protocol: a name in `edgetam.eval.metrics.PROTOCOLS`.
        gt: the benchmark's root, or the folder that has a folder for each sequence.
        pred: the folder that has a folder for each sequence.
        split: which list of sequences, where the benchmark has several.
        meta: the benchmark's description of its videos, when it is not in ``gt``.
        groups: which categories (YouTube-VOS) or videos (LVOS) are unseen, when it is not in ``gt``.
        sequences: only these; all when empty.
        lenient: score what is there and list what is not, instead of stopping at the first gap.
        jobs: processes; each takes one sequence after the other.
        progress: called as frames are done; with several processes, as sequences are done.

    Raises:
        ConfigError: there is no such protocol.
        InputError: something is missing, damaged or of the wrong size and ``lenient`` is not set, or
            nothing at all can be scored. The sentence names the sequence, the frame and the object.
        EngineError: a process died.
    """
    rules = find_protocol(protocol)
    truth = GroundTruth(
        Path(gt),
        split,
        Path(meta) if meta is not None else None,
        Path(groups) if groups is not None else None,
        tuple(sequences),
    )
    plans = rules.plans(truth)
    root = _predictions(Path(pred), plans)
    problems = Problems(lenient)
    present = _check_videos(plans, root, rules, problems, whole=not sequences)
    parts = _score_all(rules, present, (rules.masks(truth), root), lenient, jobs, progress)
    objects = tuple(entry for part in parts for entry in part.objects)
    missing = (*problems.missing, *(line for part in parts for line in part.missing))
    if not objects:
        raise InputError(f"Nothing in '{root}' could be scored: {missing[0] if missing else 'no objects.'}")
    notes = (*problems.notes, *(line for part in parts for line in part.notes))
    return Scores(
        protocol, rules.masks(truth), root, rules.summarize(objects), objects, tuple(missing), tuple(notes)
    )


def _predictions(pred: Path, plans: Sequence[Plan]) -> Path:
    """Return the folder of the prediction that has the sequences: itself, or the usual ones in it.

    Raises:
        MediaError: there is no such folder.
    """
    if not pred.is_dir():
        raise MediaError(f"There is no folder '{pred}'; check the path to the prediction.")
    places = [pred, pred / "Annotations", pred / "Annotations" / "480p"]
    inside = [path for path in pred.iterdir() if path.is_dir() and not path.name.startswith(".")]
    if len(inside) == 1:
        places.append(inside[0])
    for place in places:
        if any((place / plan.sequence).is_dir() for plan in plans):
            return place
    found = ", ".join(f"'{path.name}'" for path in sorted(inside)[:3]) or "no folders"
    raise MediaError(
        f"'{pred}' has no folder for any of the {len(plans)} sequences; expected '{plans[0].sequence}' "
        f"and so on, found {found}."
    )


def _check_videos(
    plans: Sequence[Plan], root: Path, rules: Protocol, problems: Problems, *, whole: bool
) -> list[Plan]:
    """Return the sequences that the prediction has; complain about the others."""
    for plan in plans:
        if not (root / plan.sequence).is_dir():
            problems.report(f"{where(plan.sequence)}: the prediction has no folder '{root / plan.sequence}'.")
    known = {plan.sequence for plan in plans}
    extra = sorted(
        path.name
        for path in root.iterdir()
        if path.is_dir() and path.name not in known and not path.name.startswith(".")
    )
    if extra and whole and rules.strict_videos:
        problems.report(
            f"{where(extra[0])} is in the prediction, but not in the ground truth (as are "
            f"{len(extra) - 1} others); this protocol wants the same sequences in both."
        )
    return [plan for plan in plans if (root / plan.sequence).is_dir()]


def _score_all(
    rules: Protocol,
    plans: Sequence[Plan],
    roots: tuple[Path, Path],
    lenient: bool,
    jobs: int,
    progress: Progress | None,
) -> list[_Part]:
    """Score all sequences, in one process or several, and return them in their order."""
    meter = _Meter(progress or (lambda done, total: None), sum(len(plan.frames) for plan in plans))
    meter.add(0)
    parts: dict[int, _Part] = {}
    if min(jobs, len(plans)) <= 1:
        for place, plan in enumerate(plans):
            parts[place] = _score_one(rules, plan, roots, lenient, meter.within(plan))
            meter.add(len(plan.frames))
    else:
        for place, part in _in_processes(rules, plans, roots, lenient, min(jobs, len(plans))):
            parts[place] = part
            meter.add(len(plans[place].frames))
    return [parts[place] for place in range(len(plans))]


@dataclass
class _Meter:
    """Counts frames for whoever watches; where objects have files of their own, a frame counts once."""

    tell: Progress
    total: int
    done: int = 0

    def add(self, frames: int) -> None:
        """Count the frames of a sequence that is done."""
        self.done += frames
        self.tell(self.done, self.total)

    def within(self, plan: Plan) -> Callable[[], None]:
        """Return what is to be called for each frame of a sequence while it is being scored."""
        steps = count(1)
        return lambda: self.tell(self.done + min(next(steps), len(plan.frames)), self.total)


def _in_processes(
    rules: Protocol, plans: Sequence[Plan], roots: tuple[Path, Path], lenient: bool, jobs: int
) -> Iterator[tuple[int, _Part]]:
    """Score sequences as processes get free, the longest first so that none is left over at the end."""
    order = sorted(range(len(plans)), key=lambda place: -len(plans[place].frames))
    died = "A scoring process died, probably for lack of memory; use fewer --jobs."
    with spawned(jobs, _ignore_interrupts, died=died) as pool:
        futures = {pool.submit(_score_one, rules, plans[place], roots, lenient): place for place in order}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _ignore_interrupts() -> None:
    """Ctrl-C reaches all processes; the first one decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _score_one(
    rules: Protocol,
    plan: Plan,
    roots: tuple[Path, Path],
    lenient: bool,
    tick: Callable[[], None] = lambda: None,
) -> _Part:
    problems = Problems(lenient, tick=tick)
    objects = rules.score(plan, Reader(*roots, problems))
    return _Part(objects, problems.missing, problems.notes)
