"""Batches in a fixed order, made ahead by worker processes.

The clips of a step follow from the number of its first clip alone, so a run can go on anywhere, and what
several processes see together is what one process with larger batches would see.
"""

from __future__ import annotations

import atexit
import itertools
import signal
import weakref
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from typing import Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from edgetam.errors import EdgeTAMError, InputError
from edgetam.train.batches import Batch, make_batch
from edgetam.train.data import Clip, one_thread
from edgetam.train.plan import draw_plan
from edgetam.train.ranks import rank, world
from edgetam.train.recipe import DataRecipe
from edgetam.train.stage import Stage

__all__ = ["Clips", "Order", "dead_workers_named", "open_loader"]


class Clips(Protocol):
    """Clips by number: the same one whenever it is asked for. `edgetam.train.data.Mixture` is one."""

    @property
    def broken(self) -> Mapping[str, int]:
        """How many samples of each source could not be used."""

    def __getitem__(self, index: int, /) -> Clip:
        """Draw clip ``index``."""


@dataclass(frozen=True)
class Order:
    """Which clips a stage sees, in which order.

    Attributes:
        stage: says how batches look.
        seed: of the run.
        clip: number of the next clip, over all processes.
        step: number of the next step of the run.
        rank, world: this process, and how many there are.
    """

    stage: Stage
    seed: int
    clip: int = 0
    step: int = 0
    rank: int = field(default_factory=rank)
    world: int = field(default_factory=world)

    def numbers(self, index: int) -> range:
        """Clips of this process in its forward pass ``index`` from here on."""
        start = self.clip + (index * self.world + self.rank) * self._room
        return range(start, start + self.at(index // self.stage.accumulate).clips)

    def frames(self, number: int) -> int:
        """How long clip ``number`` is."""
        return draw_plan(self.stage, self.seed, self.step + self._step_of(number)).length

    def kind(self, number: int) -> Stage:
        """The stage as it is at the step of clip ``number``."""
        return self.at(self._step_of(number))

    def at(self, steps: int) -> Stage:
        """The stage as it is ``steps`` steps from here."""
        return self.stage.kind_at(self.seed, self.step + steps)

    def clips_at(self, steps: int) -> int:
        """Clips that all processes see in a step, ``steps`` steps from here."""
        return self.at(steps).clips * self.stage.accumulate * self.world

    @property
    def numbers_per_step(self) -> int:
        """Numbers set aside for each step: enough for any turn, so that a number tells its step."""
        return self._room * self.stage.accumulate * self.world

    @property
    def _room(self) -> int:
        return max(kind.clips for kind in self.stage.kinds)

    def _step_of(self, number: int) -> int:
        return (number - self.clip) // self.numbers_per_step


class _Batches(Dataset[Batch | EdgeTAMError]):
    """Batches by the number of their forward pass."""

    def __init__(self, clips: Clips, order: Order) -> None:
        self.clips = clips
        self.order = order

    def __getitem__(self, index: int) -> Batch | EdgeTAMError:
        """Make a batch. Errors are handed over as they are: a worker would wrap them into a traceback."""
        numbers = self.order.numbers(index)
        try:
            most = self.order.kind(numbers[0]).objects
            return make_batch([self.clips[n] for n in numbers], numbers, most)
        except EdgeTAMError as error:
            return error


def open_loader(
    clips: Clips, order: Order, data: DataRecipe, device: torch.device
) -> Generator[Batch, None, None]:
    """Yield this process's batches of a stage, without end.

    Whoever does not close it when done leaves its workers running until the process ends. Workers are started
    afresh: scripts that train keep what they do under ``if __name__ == "__main__":``.

    Args:
        clips: of the stage; must pickle where there are workers.
        order: where to begin.
        data: workers and prefetching.
        device: what batches will be copied to.

    Raises:
        InputError: a batch cannot be made.
    """
    batches = _batches(clips, order, data, device)
    # Workers do not heed the SIGTERM that Python would send them at its end, and it would wait for ever.
    atexit.register(_close, weakref.ref(batches))
    return batches


def _close(batches: weakref.ref[Generator[Batch, None, None]]) -> None:
    left = batches()
    if left is not None:
        left.close()


def _batches(
    clips: Clips, order: Order, data: DataRecipe, device: torch.device
) -> Generator[Batch, None, None]:
    loader: DataLoader[Batch | EdgeTAMError] = DataLoader(
        _Batches(clips, order),
        batch_size=None,
        sampler=itertools.count(),
        num_workers=data.workers,
        prefetch_factor=data.prefetch if data.workers else None,
        pin_memory=device.type == "cuda",
        worker_init_fn=_start_worker,
        # Not forked: locks that other threads hold (engines, PyTorch, OpenCV) would be held by nobody.
        multiprocessing_context="spawn" if data.workers else None,
    )
    with _unheard():
        batches = iter(loader)
    try:
        for batch in batches:
            if isinstance(batch, EdgeTAMError):
                raise batch
            yield batch
    finally:
        # PyTorch does this once nobody refers to the iterator, as tracebacks do. Until then it raises the
        # death of a worker again, wherever the process happens to be, whenever any child of it ends
        if data.workers:
            batches._shutdown_workers()  # type: ignore[attr-defined]


@contextmanager
def dead_workers_named() -> Iterator[None]:
    """Say in one sentence that a worker process died: PyTorch raises that wherever the process happens to be.

    Raises:
        InputError: one did.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"A process that makes batches died ({reason}), perhaps for lack of memory; lower data.workers "
            "or data.prefetch."
        ) from error


_STOPS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def _unheard() -> Iterator[None]:
    """Let processes that are started here hear no Ctrl-C while they import; this one hears it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # starting it clears the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(worker: int) -> None:
    """Workers leave Ctrl-C and SIGTERM to the training, which stops them, and each keeps to one core.

    Terminals and schedulers send these signals to all processes at once.
    """
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    one_thread(worker)
