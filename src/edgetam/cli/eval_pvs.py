"""``edgetam eval pvs``: a simulated annotator clicks on the frames that went wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from edgetam.atomic import atomic_write
from edgetam.cli.eval_runs import DataChoice, WorkChoice, begin, name_weights, percent, work_through
from edgetam.cli.eval_trackers import TrackerChoice
from edgetam.cli.screen import Screen
from edgetam.errors import ConfigError
from edgetam.eval.curve import line_chart
from edgetam.eval.protocols.pvs import Annotator
from edgetam.eval.pvs_run import CurvePoint, PvsJob, mean_curve

__all__ = ["PvsChoice", "evaluate_pvs"]

SEQUENCES, SCORES, CURVE = "sequences", "scores.json", "curve.svg"
MODES = ("offline", "online")


@dataclass(frozen=True)
class PvsChoice:
    """What to evaluate and how the annotator works."""

    data: DataChoice
    work: WorkChoice
    tracker: TrackerChoice
    mode: str
    annotator: Annotator


def evaluate_pvs(choice: PvsChoice, screen: Screen) -> None:
    """Annotate what is not finished yet, then draw the curve.

    Raises:
        EdgeTAMError: anything that cannot be used; finished sequences are kept.
        StoppedError: Ctrl-C.
    """
    if choice.mode not in MODES:
        raise ConfigError(f"--mode is '{choice.mode}'; expected one of {', '.join(MODES)}.")
    mode = cast(Literal["offline", "online"], choice.mode)
    choice.tracker.check_clicks()
    dataset = choice.data.open()
    mine = choice.work.mine(dataset.names)
    about = {
        "dataset": choice.data.about,
        "tracker": choice.tracker.about,
        "mode": mode,
        "annotator": [choice.annotator.frames, choice.annotator.clicks, choice.annotator.threshold],
    }
    run = begin(choice.work, about, SEQUENCES, (SCORES, CURVE))
    tracker = choice.tracker.sharing(choice.work.jobs)
    job = PvsJob(dataset, tracker, run.folder / SEQUENCES, mode, choice.annotator)
    failures = work_through(job, mine, choice.work, dataset.benchmark.title, screen)
    for failure in failures:
        screen.note(f"edgetam: left out: {failure}")
    missing = job.pending()
    if len(missing) > len(failures):
        finished = len(dataset.names) - len(missing)
        screen.say(
            f"{finished} of {len(dataset.names)} sequences are finished; the curve follows when all are."
        )
        return
    results = {name: job.results.read(name) for name in dataset.names if name not in missing}
    points = mean_curve(results, mode, choice.annotator.clicks)
    _write(run.folder, {"about": about, "missing": failures}, points, f"{mode} on {dataset.benchmark.title}")
    for line in _lines(points):
        screen.say(line)
    screen.say(f"scores  {run.folder / SCORES}\ncurve   {run.folder / CURVE}")
    name_weights(choice.tracker, screen)


def _write(folder: Path, about: dict[str, Any], points: list[CurvePoint], title: str) -> None:
    mean = sum(point.jf for point in points) / len(points)
    table = {**about, "mean J&F": mean, "curve": [point._asdict() for point in points]}
    atomic_write(folder / SCORES, json.dumps(table, indent=1).encode())
    lines = {
        "F": [100 * point.boundary for point in points],
        "J&F": [100 * point.jf for point in points],
        "J": [100 * point.region for point in points],
    }
    chart = line_chart(title, "prompted frames", "%", [point.frames for point in points], lines)
    atomic_write(folder / CURVE, chart.encode())


def _lines(points: list[CurvePoint]) -> list[str]:
    """One line per number of prompted frames, and the mean."""
    out = ["frames   J&F     J     F  annotator"]
    for point in points:
        scores = " ".join(percent(value) for value in (point.jf, point.region, point.boundary))
        out.append(f"{point.frames:6d} {scores} {point.seconds:8.0f} s")
    return [*out, f"{'mean':>6} {percent(sum(point.jf for point in points) / len(points))}"]
