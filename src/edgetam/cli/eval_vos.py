"""``edgetam eval vos``: follow the objects of a benchmark, write predictions, score them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgetam.cli.errors import StoppedError
from edgetam.cli.eval_trackers import TrackerChoice
from edgetam.cli.runs import Run, open_run
from edgetam.cli.screen import STAND_IN, Screen
from edgetam.errors import ConfigError
from edgetam.eval.datasets import Dataset, get_benchmark, open_dataset
from edgetam.eval.predictions import write_submission
from edgetam.eval.protocols.prompting import PROMPTS
from edgetam.eval.running import run_sequences, shard
from edgetam.eval.scoring import score_predictions, score_table
from edgetam.eval.vos_run import VosJob
from edgetam.io import atomic_write

__all__ = ["DataChoice", "VosChoice", "evaluate_vos"]

_PLACES = ("predictions", "scores.json", "submission.zip")


@dataclass(frozen=True)
class DataChoice:
    """Which sequences of which data set."""

    name: str
    root: Path
    split: str | None = None
    sequences: str | None = None

    def open(self) -> Dataset:
        """Find them.

        Raises:
            EdgeTAMError: there is no such data set, split or sequence, or the folder does not hold it.
        """
        dataset = open_dataset(get_benchmark(self.name), self.root, self.split)
        if self.sequences is None:
            return dataset
        return dataset.select(name.strip() for name in self.sequences.split(",") if name.strip())

    @property
    def about(self) -> list[Any]:
        """All that results depend on; not the sequences, since each has results of its own."""
        return [self.name, str(self.root.absolute()), self.split]


@dataclass(frozen=True)
class VosChoice:
    """What to evaluate and where to put it."""

    data: DataChoice
    output: Path
    tracker: TrackerChoice
    prompt: str = "mask"
    jobs: int = 1
    shard: str | None = None
    overwrite: bool = False


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
    mine = list(dataset.names) if choice.shard is None else shard(dataset.names, choice.shard)
    about = {"dataset": choice.data.about, "tracker": choice.tracker.about, "prompt": choice.prompt}
    run = open_run(choice.output, about, _PLACES, overwrite=choice.overwrite)
    if not run.resume:
        shutil.rmtree(run.folder / "predictions", ignore_errors=True)
    run.note()
    job = VosJob(dataset, choice.tracker.sharing(choice.jobs), run.folder / "predictions", choice.prompt)
    _track(job, mine, choice.jobs, screen)
    if missing := job.pending():
        screen.say(
            f"{len(dataset.names) - len(missing)} of {len(dataset.names)} sequences are finished; "
            "scores follow when the other shards are."
        )
        return
    _conclude(dataset, run, choice, screen)
    if choice.tracker.name == "edgetam" and choice.tracker.model.stand_in:
        screen.note(STAND_IN)


def _track(job: VosJob, names: list[str], processes: int, screen: Screen) -> None:
    pending = [name for name in job.pending() if name in names]
    if len(pending) < len(names):
        screen.note(f"{len(names) - len(pending)} sequences are finished already.")
    done = 0
    try:
        with screen.counting(job.dataset.benchmark.title, len(pending)) as count:
            for _, error in run_sequences(job, pending, processes):
                if error is not None:
                    raise error
                done += 1
                count()
    except KeyboardInterrupt as error:
        screen.note(
            f"edgetam: stopped after {done} of {len(pending)} sequences; the same command goes on from there."
        )
        raise StoppedError from error


def _conclude(dataset: Dataset, run: Run, choice: VosChoice, screen: Screen) -> None:
    """Scores where the ground truth is here, a zip where a server has it."""
    predictions = run.folder / "predictions"
    if dataset.benchmark.submission is not None and choice.data.sequences is None:
        target = run.folder / "submission.zip"
        write_submission(predictions, dataset.names, dataset.benchmark.submission, target)
        screen.say(f"submission  {target}")
    if not dataset.layout.truth:
        screen.say(
            f"The ground truth of {dataset.benchmark.title} is on its server; upload the submission there."
        )
        return
    table = score_table(score_predictions(dataset, predictions))
    atomic_write(run.folder / "scores.json", json.dumps({"about": run.about, **table}, indent=1).encode())
    for line in _lines(table):
        screen.say(line)
    screen.say(f"scores  {run.folder / 'scores.json'}")


def _lines(table: dict[str, Any]) -> list[str]:
    """One line per sequence, worst first, and the mean over objects."""
    rows = sorted(table["sequences"].items(), key=lambda row: row[1]["J&F"])
    width = max(len(name) for name, _ in rows)
    out = [f"{'sequence':{width}}   J&F     J     F"]
    for name, row in [*rows, ("all objects", table["global"])]:
        out.append(
            f"{name:{width}} {100 * row['J&F']:5.1f} {100 * row['J-mean']:5.1f} {100 * row['F-mean']:5.1f}"
        )
    return out
