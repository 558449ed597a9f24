"""Working through sequences: in one process or several, on one machine or several."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from typing import Protocol

from edgetam.errors import ConfigError, EdgeTAMError
from edgetam.eval.pool import spawned

__all__ = ["Job", "Outcome", "Work", "run_sequences", "shard"]

Work = Callable[[str], None]
"""Does everything about the sequence of that name."""
Outcome = EdgeTAMError | None
"""What went wrong, if anything did."""


class Job(Protocol):
    """What is to be done; travels to other processes, so it must pickle."""

    def start(self) -> Work:
        """Load what is heavy, once per process."""
        ...


def shard(names: Sequence[str], which: str) -> list[str]:
    """The part of ``names`` that machine ``which`` takes: ``"2/4"`` is the second of four.

    Raises:
        ConfigError: it is not such a pair.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", which)
    part, parts = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= part <= parts:
        raise ConfigError(f"The shard is '{which}'; expected i/n with i from 1 to n, such as 1/4.")
    return list(names[part - 1 :: parts])


def run_sequences(job: Job, names: Sequence[str], processes: int = 1) -> Iterator[tuple[str, Outcome]]:
    """Work through sequences; yields each one when it is done, with what went wrong if anything did.

    Leaving the loop early stops the work: sequences that were begun are not finished.

    Raises:
        EngineError: a process died.
    """
    if not names:
        return
    if processes > 1 and len(names) > 1:
        yield from _run_in_pool(job, names, min(processes, len(names)))
        return
    work = job.start()
    for name in names:
        yield name, _attempt(work, name)


def _run_in_pool(job: Job, names: Sequence[str], processes: int) -> Iterator[tuple[str, Outcome]]:
    died = "A worker process died, probably for lack of memory; use fewer (finished sequences are kept)."
    with spawned(processes, _begin, job, died=died) as pool:
        futures: dict[Future[Outcome], str] = {pool.submit(_go_on, name): name for name in names}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _attempt(work: Work, name: str) -> Outcome:
    try:
        work(name)
    except EdgeTAMError as error:
        return error
    return None


class _Worker:
    """What a worker process holds."""

    work: Work
    stopped = False


def _begin(job: Job) -> None:
    # Ctrl-C reaches the whole group of processes; the parent decides, and says so with SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    _Worker.work = job.start()


def _go_on(name: str) -> Outcome:
    return None if _Worker.stopped else _attempt(_Worker.work, name)


def _stop(number: int, stack: object) -> None:
    """Leave through the files being written, so that they are removed."""
    _Worker.stopped = True
    raise SystemExit
