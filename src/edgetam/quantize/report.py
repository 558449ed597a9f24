"""What int8 costs and gains: size, speed, and masks beside those of fp32."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.engine.openvino import OpenVINORunner
from edgetam.engine.verbs import GraphEngine
from edgetam.eval.datasets import Dataset
from edgetam.eval.datasets.video import EvalVideo
from edgetam.eval.metrics import frame_scores, region_similarity
from edgetam.eval.predictions import exclusive
from edgetam.eval.protocols.vos import follow
from edgetam.eval.trackers.ours import EdgeTAMTracker
from edgetam.quantize.clips import Clip
from edgetam.quantize.observer import Observer, observed
from edgetam.tracking import VideoTracker

__all__ = ["Case", "Report", "check_truth", "measure"]

Masks = dict[tuple[str, int, int], NDArray[np.bool_]]
"""By video, frame and object."""
REFERENCE = "fp32"
TRACKED = ("encode", "attend", "track", "remember")
WARM = 8
"""Frames until memories are full; they are not timed."""


@dataclass(frozen=True)
class Case:
    """One precision.

    Attributes:
        megabytes: on disk, of each part.
        ms: median time of each part; None where no frame came after memories were full.
        ms_per_frame: median time from frame to mask, with reading and resizing; None likewise.
        mean_iou: of masks with those of fp32, over tracked frames in which either sees the object.
        least_iou: the smallest of these; None like the mean where there is no such frame.
        jf: mean of J and F in percent where there is ground truth.
    """

    megabytes: dict[str, float]
    ms: dict[str, float | None]
    ms_per_frame: float | None
    mean_iou: float | None
    least_iou: float | None
    jf: float | None


@dataclass(frozen=True)
class Report:
    """All precisions at one input size, over so many tracked frames."""

    image_size: int
    frames: int
    calibrated: int = 0
    """How many frames at the start of each clip int8 was calibrated on."""
    cases: dict[str, Case] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


@dataclass
class _Run:
    masks: Masks = field(default_factory=dict)
    frame_seconds: list[float] = field(default_factory=list)
    part_seconds: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in TRACKED})
    jf: list[float] = field(default_factory=list)


def check_truth(dataset: Dataset) -> list[str]:
    """Read what `measure` will read after a long calibration; it is fast beside tracking it.

    Returns:
        Videos that have nothing to score by, and get no J&F.

    Raises:
        MediaError: frames or masks are missing, damaged or do not fit.
    """
    without = []
    for name in dataset.names:
        video = dataset.video(name)
        first = min(video.first_frames(late=dataset.benchmark.late).values())
        with video.open() as frames:
            size = frames.width, frames.height
            for frame in range(first, len(frames)):
                _ = frames[frame]
        for frame in video.annotated:
            for mask in video.masks(frame).values():
                video.check_size(frame, mask, size)
        if not any(frame > first for frame in _scored(video)):
            without.append(name)
    return without


def measure(
    engines: Mapping[str, GraphEngine],
    clips: Sequence[Clip],
    dataset: Dataset | None = None,
    *,
    frames: int = 24,
    calibrated: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Compare precisions of one network; they take turns clip by clip.

    Args:
        engines: OpenVINO engines by precision; ``fp32``, to which the others are compared, among them.
        clips: to track where there is no data set.
        dataset: with ground truth, to track instead.
        frames: of each clip; videos of a data set are tracked to their end.
        calibrated: frames at the start of each clip that int8 was calibrated on, for the report.
        say: told what happens.
    """
    listened = {name: observed(engine) for name, engine in engines.items()}
    runs = {name: _Run() for name in engines}
    for place, video in enumerate(dataset.names if dataset else [clip.source for clip in clips]):
        for name, (engine, observer) in listened.items():
            say(f"Tracking {video} in {name}.")
            if dataset:
                _score(engine, dataset, video, runs[name])
            else:
                _follow(engine, clips[place], f"{place} {video}", frames, runs[name])
            for part, seconds in runs[name].part_seconds.items():
                seconds += observer.seconds.pop(part, [])[WARM:]
    truth = runs[REFERENCE].masks
    config = engines[REFERENCE].config
    cases = {name: _case(observer, runs[name], truth) for name, (_, observer) in listened.items()}
    return Report(config.image_size, len({key[:2] for key in truth}), calibrated, cases)


def _follow(engine: GraphEngine, clip: Clip, name: str, frames: int, run: _Run) -> None:
    results = clip.follow(engine, frames)
    for result in _timed(results, run):
        if result.frame > 0:
            for object_id, found in result.objects.items():
                run.masks[name, result.frame, object_id] = found.mask


def _score(engine: GraphEngine, dataset: Dataset, name: str, run: _Run) -> None:
    video = dataset.video(name)
    late = dataset.benchmark.late
    first = video.first_frames(late=late)
    scored = _scored(video)
    for frame, scores in _timed(follow(EdgeTAMTracker(VideoTracker(engine)), video, late=late), run):
        truth = video.masks(frame) if frame in scored else {}
        for object_id, mask in exclusive(scores).items():
            if frame <= first[object_id]:
                continue
            run.masks[name, frame, object_id] = mask
            if truth:
                expected = truth.get(object_id, np.zeros_like(mask))
                run.jf.append(statistics.mean(frame_scores(mask, expected)))


def _scored(video: EvalVideo) -> tuple[int, ...]:
    """Frames with ground truth; not the last one, as in DAVIS."""
    return video.annotated[:-1]


def _timed(results: Iterable[Any], run: _Run) -> Iterable[Any]:
    """Pass results on; only the time spent waiting for them counts."""
    iterator = iter(results)
    for index in itertools.count():
        began = time.perf_counter()
        result = next(iterator, None)
        if result is None:
            return
        if index >= WARM:
            run.frame_seconds.append(time.perf_counter() - began)
        yield result


def _case(observer: Observer, run: _Run, reference: Masks) -> Case:
    runner = observer.runner
    assert isinstance(runner, OpenVINORunner)
    seen = [key for key in reference if reference[key].any() or run.masks[key].any()]
    overlaps = [region_similarity(run.masks[key], reference[key]) for key in seen]
    return Case(
        {part: _megabytes(runner.folder_of(part)) for part in TRACKED},
        {part: _median_ms(seconds) for part, seconds in run.part_seconds.items()},
        _median_ms(run.frame_seconds),
        round(statistics.mean(overlaps), 4) if overlaps else None,
        round(min(overlaps), 4) if overlaps else None,
        round(100 * statistics.mean(run.jf), 2) if run.jf else None,
    )


def _median_ms(seconds: Sequence[float]) -> float | None:
    return round(1000 * statistics.median(seconds), 1) if seconds else None


def _megabytes(folder: Path) -> float:
    return round(sum(file.stat().st_size for file in folder.iterdir()) / 1e6, 2)
