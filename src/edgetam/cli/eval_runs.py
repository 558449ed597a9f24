"""What all evaluations share: which data, which sequences, and going on after an interruption."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from edgetam.cli.errors import StoppedError
from edgetam.cli.eval_trackers import TrackerChoice
from edgetam.cli.runs import Run, open_run
from edgetam.cli.screen import STAND_IN, Screen
from edgetam.errors import ConfigError, EdgeTAMError
from edgetam.eval.datasets import Dataset, Layout, get_benchmark, open_dataset
from edgetam.eval.running import Work, run_sequences, shard

__all__ = ["DataChoice", "WorkChoice", "begin", "name_weights", "percent", "work_through"]


@dataclass(frozen=True)
class DataChoice:
    """Which sequences of which data set, and how they lie on disk where it is not as published."""

    name: str
    root: Path
    split: str | None = None
    sequences: str | None = None
    frames: str | None = None
    masks: str | None = None
    foreground: bool = False

    def open(self) -> Dataset:
        """Find them.

        Raises:
            EdgeTAMError: there is no such data set, split or sequence, or the folder does not hold it.
        """
        benchmark = get_benchmark(self.name)
        if self.frames is not None or self.masks is not None:
            if self.frames is None or self.masks is None:
                raise ConfigError("--frames and --masks belong together; expected both patterns or none.")
            benchmark = replace(benchmark, splits={"all": (Layout(self.frames, self.masks),)})
        if self.foreground:
            benchmark = replace(benchmark, kind="foreground", protocol="davis2016")
        dataset = open_dataset(benchmark, self.root, self.split)
        if self.sequences is None:
            return dataset
        names = [name.strip() for name in self.sequences.split(",") if name.strip()]
        if not names:
            raise ConfigError(f"--sequences is '{self.sequences}'; expected names such as a,b.")
        return dataset.select(names)

    @property
    def about(self) -> list[Any]:
        """All that results depend on; not the sequences, since each has results of its own."""
        return [self.name, str(self.root.absolute()), self.split, self.frames, self.masks, self.foreground]


@dataclass(frozen=True)
class WorkChoice:
    """Where results go and who works on them."""

    output: Path
    jobs: int = 1
    shard: str | None = None
    lenient: bool = False
    overwrite: bool = False

    def mine(self, names: Sequence[str]) -> list[str]:
        """The part of this machine.

        Raises:
            ConfigError: the shard is not such a pair.
        """
        return list(names) if self.shard is None else shard(names, self.shard)


class PendingJob(Protocol):
    """A job that knows what is left of it."""

    def pending(self) -> list[str]:
        """Parts that are not finished yet."""
        ...

    def start(self) -> Work:
        """See `edgetam.eval.running.Job`."""
        ...


def begin(work: WorkChoice, about: dict[str, Any], parts: str, files: Sequence[str]) -> Run:
    """Open the folder of a run; what another one left there is removed where that was asked for.

    Args:
        work: where.
        about: all that results depend on.
        parts: the folder of finished parts.
        files: other files that will be made.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
    """
    run = open_run(work.output, about, (parts, *files), overwrite=work.overwrite)
    if not run.resume:
        shutil.rmtree(run.folder / parts, ignore_errors=True)
        for file in files:
            (run.folder / file).unlink(missing_ok=True)
    run.note()
    return run


def work_through(
    job: PendingJob, mine: Sequence[str], work: WorkChoice, title: str, screen: Screen
) -> list[str]:
    """Do what is not done yet of this machine's part; returns what went wrong, a sentence each.

    Raises:
        EdgeTAMError: the first thing that goes wrong, unless that is to be passed over and something is left.
        StoppedError: Ctrl-C.
    """
    pending = [name for name in job.pending() if name in set(mine)]
    if len(pending) < len(mine):
        screen.note(f"{len(mine) - len(pending)} of {len(mine)} parts are finished already.")
    failures: list[EdgeTAMError] = []
    done = 0
    try:
        with screen.counting(title, len(pending)) as count:
            for _, error in run_sequences(job, pending, work.jobs):
                if error is not None and not work.lenient:
                    raise error
                failures += [] if error is None else [error]
                done += error is None
                count()
    except KeyboardInterrupt as error:
        screen.note(
            f"edgetam: stopped after {done} of {len(pending)} parts; the same command goes on from there."
        )
        raise StoppedError from error
    if failures and len(failures) == len(mine):
        raise failures[0]
    return [str(failure) for failure in failures]


def name_weights(tracker: TrackerChoice, screen: Screen) -> None:
    """Say so where the weights are no more than a stand-in."""
    if tracker.name == "edgetam" and tracker.model.stand_in:
        screen.note(STAND_IN)


def percent(value: float) -> str:
    """A share of 1 as people print it."""
    return f"{100 * value:5.1f}"
