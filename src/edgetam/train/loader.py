"""Batches in a fixed order, made ahead by worker processes.

The clips of a step follow from the number of its first clip alone, so a run can go on anywhere, and what
several processes see together is what one process with larger batches would see.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from edgetam.errors import EdgeTAMError, InputError
from edgetam.train.batches import Batch, make_batch
from edgetam.train.data import Clip
from edgetam.train.plan import Plan, draw_plan
from edgetam.train.ranks import rank, world
from edgetam.train.recipe import DataRecipe, Stage

__all__ = ["Clips", "Order", "open_loader"]


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
        start = self.clip + (index * self.world + self.rank) * self.stage.clips
        return range(start, start + self.stage.clips)

    def plan(self, number: int) -> Plan:
        """Of the step that clip ``number`` is for."""
        step = self.step + (number - self.clip) // self.clips_per_step
        return draw_plan(self.stage, self.seed, step)

    def objects(self, number: int) -> int:
        """Most objects of clip ``number``."""
        images = self.stage.images
        return images.objects if images and self.plan(number).images else self.stage.objects

    @property
    def clips_per_step(self) -> int:
        """Clips that all processes see in a step."""
        return self.stage.clips * self.stage.accumulate * self.world


class _Batches(Dataset[Batch | EdgeTAMError]):
    """Batches by the number of their forward pass."""

    def __init__(self, clips: Clips, order: Order) -> None:
        self.clips = clips
        self.order = order

    def __getitem__(self, index: int) -> Batch | EdgeTAMError:
        """Make a batch. Errors are handed over as they are: a worker would wrap them into a traceback."""
        numbers = self.order.numbers(index)
        try:
            return make_batch([self.clips[n] for n in numbers], numbers, self.order.objects(numbers[0]))
        except EdgeTAMError as error:
            return error


def open_loader(clips: Clips, order: Order, data: DataRecipe, device: torch.device) -> Iterator[Batch]:
    """Yield this process's batches of a stage, without end.

    Args:
        clips: of the stage.
        order: where to begin.
        data: workers and prefetching.
        device: what batches will be copied to.

    Raises:
        InputError: a batch cannot be made, or a worker process died.
    """
    _one_cv_thread()
    loader: DataLoader[Batch | EdgeTAMError] = DataLoader(
        _Batches(clips, order),
        batch_size=None,
        sampler=itertools.count(),
        num_workers=data.workers,
        prefetch_factor=data.prefetch if data.workers else None,
        pin_memory=device.type == "cuda",
        worker_init_fn=_start_worker,
    )
    try:
        for batch in loader:
            if isinstance(batch, EdgeTAMError):
                raise batch
            yield batch
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"A process that makes batches died ({reason}), perhaps for lack of memory; lower data.workers "
            "or data.prefetch."
        ) from error


def _start_worker(_: int) -> None:
    """Workers leave Ctrl-C to the training, which stops them, and each keeps to one core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    _one_cv_thread()


def _one_cv_thread() -> None:
    """OpenCV must have no threads when workers are forked: they would wait for these for ever."""
    if cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)
