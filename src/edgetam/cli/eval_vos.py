"""``edgetam eval vos``: follow the objects of a benchmark, write predictions, score them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgetam.cli.eval_runs import DataChoice, WorkChoice, begin, name_weights, percent, work_through
from edgetam.cli.eval_trackers import TrackerChoice
from edgetam.cli.runs import Run
from edgetam.cli.screen import Screen
from edgetam.errors import ConfigError
from edgetam.eval.datasets import Dataset
from edgetam.eval.metrics import Scores
from edgetam.eval.predictions import write_submission
from edgetam.eval.protocols.prompting import PROMPTS
from edgetam.eval.report import compare, write_report
from edgetam.eval.scoring import Scorer
from edgetam.eval.vos_run import VosJob
from edgetam.io import atomic_write

__all__ = ["VosChoice", "evaluate_vos"]

PREDICTIONS, SCORES, REPORT, SUBMISSION = "predictions", "scores.json", "report.html", "submission.zip"


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
    dataset = choice.data.open()
    mine = choice.work.mine(dataset.names)
    about = {"dataset": choice.data.about, "tracker": choice.tracker.about, "prompt": choice.prompt}
    run = begin(choice.work, about, PREDICTIONS, (SCORES, REPORT, SUBMISSION))
    scorer = choice.scorer(dataset, run.folder)
    if dataset.has_truth():
        scorer.check()
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


def _pack(dataset: Dataset, folder: Path, screen: Screen) -> None:
    """Make what the benchmark's server takes, if it has one."""
    if dataset.benchmark.submission is not None:
        form, target = dataset.benchmark.submission, folder / SUBMISSION
        write_submission(folder / PREDICTIONS, dataset.names, form, target)
        screen.say(f"submission  {target}")


def _score(scorer: Scorer, run: Run, jobs: int, screen: Screen) -> None:
    """Score where the ground truth is here."""
    if not scorer.dataset.has_truth():
        screen.say("There is no ground truth here beyond the prompts, so nothing is scored.")
        return
    scores = scorer.score(run.folder / PREDICTIONS, jobs=jobs)
    atomic_write(run.folder / SCORES, json.dumps(_table(scores, run), indent=1).encode())
    for line in _lines(scores):
        screen.say(line)
    for sentence in (*scores.notes, *scores.missing):
        screen.note(f"edgetam: {sentence}")
    write_report(compare({run.folder.name: scores}), run.folder / REPORT)
    screen.say(f"scores  {run.folder / SCORES}")
    screen.say(f"report  {run.folder / REPORT}")


def _table(scores: Scores, run: Run) -> dict[str, Any]:
    """All scores as JSON."""
    return {
        "about": run.about,
        "protocol": scores.protocol,
        "global": dict(scores.summary),
        "sequences": {each.sequence: each.scores for each in scores.sequences},
        "objects": {
            each.sequence: {entry.object: dict(entry.scores) for entry in each.objects}
            for each in scores.sequences
        },
        "missing": list(scores.missing),
        "notes": list(scores.notes),
    }


def _lines(scores: Scores) -> list[str]:
    """One line per sequence, worst first, and what the benchmark reports."""
    rows = sorted(((each.sequence, each.scores) for each in scores.sequences), key=lambda row: row[1]["J&F"])
    width = max(len("sequence"), *(len(name) for name, _ in rows))
    out = [f"{'sequence':{width}}   J&F     J     F"]
    out += [f"{name:{width}} {' '.join(percent(row[m]) for m in ('J&F', 'J', 'F'))}" for name, row in rows]
    summary = ", ".join(f"{name} {percent(value).strip()}" for name, value in scores.summary.items())
    return [*out, f"{scores.protocol}: {summary}"]
