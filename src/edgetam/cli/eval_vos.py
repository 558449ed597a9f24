"""``edgetam eval vos``: follow the objects of a benchmark, write predictions, score them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from edgetam.cli.eval_runs import DataChoice, WorkChoice, begin, name_weights, work_through
from edgetam.cli.eval_trackers import TrackerChoice
from edgetam.cli.runs import Run
from edgetam.cli.score import name_gaps, show_scores
from edgetam.cli.screen import Screen
from edgetam.errors import ConfigError
from edgetam.eval.datasets import Dataset
from edgetam.eval.predictions import write_submission
from edgetam.eval.protocols.prompting import PROMPTS
from edgetam.eval.report import Illustrations, compare, write_report, write_scores
from edgetam.eval.report.files import FILES
from edgetam.eval.scoring import Scorer
from edgetam.eval.vos_run import VosJob

__all__ = ["VosChoice", "evaluate_vos"]

PREDICTIONS, REPORT, SUBMISSION = "predictions", "report.html", "submission.zip"
FIRST_ONLY = ("davis2016", "davis2017")
"""Protocols that take the objects from the first annotation."""


@dataclass(frozen=True)
class VosChoice:
    """What to evaluate and how to score it."""

    data: DataChoice
    work: WorkChoice
    tracker: TrackerChoice
    prompt: str = "mask"
    protocol: str | None = None
    meta: Path | None = None
    groups: Path | None = None

    def scorer(self, dataset: Dataset, folder: Path) -> Scorer:
        """How predictions are scored; ``folder`` is that of the results."""
        protocol = self.protocol or dataset.protocol
        links = folder / ".edgetam" / "truth"
        return Scorer(dataset, protocol, links, self.meta, self.groups, self.work.lenient)


def evaluate_vos(choice: VosChoice, screen: Screen) -> None:
    """Track what is not finished yet, then score or pack what is complete.

    Raises:
        EdgeTAMError: anything that cannot be used; finished sequences are kept.
        StoppedError: Ctrl-C.
    """
    if choice.prompt not in PROMPTS:
        raise ConfigError(f"--prompt is '{choice.prompt}'; expected one of {', '.join(PROMPTS)}.")
    choice.tracker.check()
    dataset = _as_scored(choice.data.open(), choice.protocol, screen)
    mine = choice.work.mine(dataset.names)
    about = {
        "dataset": choice.data.about,
        "tracker": choice.tracker.about,
        "prompt": choice.prompt,
        "late objects": dataset.benchmark.late,
    }
    scorer = choice.scorer(dataset, choice.work.output)
    if dataset.has_truth():
        _check(scorer)
    run = begin(choice.work, about, PREDICTIONS, (*FILES, REPORT, SUBMISSION))
    job = VosJob(dataset, choice.tracker.sharing(choice.work.jobs), run.folder / PREDICTIONS, choice.prompt)
    failures = work_through(job, mine, choice.work, dataset.benchmark.title, screen)
    for failure in failures:
        screen.note(f"edgetam: left out: {failure}")
    missing = set(job.pending())
    if len(missing) > len(failures):
        screen.say(
            f"{len(dataset.names) - len(missing)} of {len(dataset.names)} sequences are finished; "
            "scores follow when the other shards are."
        )
        return
    if not missing and choice.data.sequences is None:
        _pack(dataset, run.folder, screen)
    complete = dataset.select(name for name in dataset.names if name not in missing)
    _score(replace(scorer, dataset=complete), run, choice.work.jobs, screen)
    name_weights(choice.tracker, screen)


def _check(scorer: Scorer) -> None:
    """Find out what is missing before anything of an earlier run is removed, and so without its folder."""
    with tempfile.TemporaryDirectory(prefix="edgetam-") as links:
        replace(scorer, work=Path(links)).check()


def _as_scored(dataset: Dataset, protocol: str | None, screen: Screen) -> Dataset:
    """Without late objects where they cannot be scored, which would be refused after all is tracked."""
    protocol = protocol or dataset.protocol
    # all that is not black is one object there, whenever it comes
    one = protocol == "davis2016" and dataset.kind == "foreground"
    if one or protocol not in FIRST_ONLY or not dataset.benchmark.late:
        return dataset
    screen.note(f"{protocol} takes the objects of each first mask; those that come later are not prompted.")
    return replace(dataset, benchmark=replace(dataset.benchmark, late=False))


def _pack(dataset: Dataset, folder: Path, screen: Screen) -> None:
    """Make what the benchmark's server takes, if it has one."""
    if dataset.benchmark.submission is not None:
        form, target = dataset.benchmark.submission, folder / SUBMISSION
        write_submission(folder / PREDICTIONS, dataset.names, form, target)
        screen.say(f"{target.stem:>10}  {target}")


def _score(scorer: Scorer, run: Run, jobs: int, screen: Screen) -> None:
    """Score where the ground truth is here."""
    if not scorer.dataset.has_truth():
        screen.say("There is no ground truth here beyond the prompts, so nothing is scored.")
        return
    with screen.watching("scoring") as progress:
        scores = scorer.score(run.folder / PREDICTIONS, jobs=jobs, progress=progress)
    comparison = compare({run.folder.name: scores})
    name_gaps(comparison, screen)
    write_scores(scores, run.folder)
    write_report(comparison, run.folder / REPORT, Illustrations(scorer.images()))
    if not screen.quiet:
        show_scores(comparison)
    for file in (FILES[0], REPORT):
        screen.say(f"{Path(file).stem:>10}  {run.folder / file}")
