"""Several sources as one data set: every number is a clip, the same one whenever it is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from edgetam.errors import ConfigError, InputError, MediaError
from edgetam.train.data.clip import Ask, Clip, ClipSource

__all__ = ["Mixture", "one_thread"]

TRIES = 100
_SLOTS = 256
_log = logging.getLogger(__name__)


class Mixture(Dataset[Clip]):
    """Clips from several sources, by weight.

    Clip ``index`` depends on the seed and on ``index`` alone, not on what was drawn before: a run resumes
    exactly, and processes share the work, by asking for the right numbers. A sample that cannot be used is
    logged and counted, and another one is drawn in its place.

    Args:
        sources: where clips come from.
        weights: how often each source is chosen, in relation to the others.
        seed: of everything random.
        ask: the shape of clips, or a function from the index to it.
        length: what ``len`` says; indices beyond it work too.

    Raises:
        ConfigError: there are no sources, or the weights do not fit them.
    """

    def __init__(
        self,
        sources: Sequence[ClipSource],
        weights: Sequence[float],
        seed: int,
        ask: Ask | Callable[[int], Ask],
        length: int = 2**31 - 1,
    ) -> None:
        if not sources or len(sources) != len(weights):
            raise ConfigError(
                f"{len(sources)} sources and {len(weights)} weights were given, expected one weight for each "
                "of at least one source: fix the list."
            )
        total = float(sum(weights))
        if min(weights) < 0 or not 0 < total < float("inf"):
            raise ConfigError(
                f"weights are {list(weights)}, expected numbers from 0, not all 0: change them."
            )
        self.sources = list(sources)
        self.shares = [weight / total for weight in weights]
        self.seed = seed
        self.ask = ask
        self.length = length
        # Shared, with a row for each worker: what a worker counts can be read where the run is reported.
        self._broken = torch.zeros(_SLOTS, len(sources), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Clip]:
        return (self[index] for index in range(self.length))

    def __getitem__(self, index: int) -> Clip:
        """Draw clip ``index``.

        Raises:
            MediaError: 100 samples in a row could not be used.
            ConfigError: a source can never give such a clip.
        """
        ask = self.ask if isinstance(self.ask, Ask) else self.ask(index)
        dice = np.random.default_rng([self.seed, index])
        reasons: list[str] = []
        for _ in range(TRIES):
            which = int(dice.choice(len(self.sources), p=self.shares))
            try:
                return self.sources[which].sample(dice, ask)
            except ConfigError:
                raise
            except InputError as error:
                self._count(which, index, error)
                reasons.append(str(error))
        raise MediaError(
            f"{TRIES} samples in a row could not be used, expected most to be fine; the last one: "
            f"{reasons[-1]}"
        )

    @property
    def broken(self) -> dict[str, int]:
        """How many samples of each source could not be used so far, in all workers of this process."""
        counts = self._broken.sum(0).tolist()
        out: dict[str, int] = {}
        for source, count in zip(self.sources, counts, strict=True):
            out[source.name] = out.get(source.name, 0) + count
        return out

    def _count(self, which: int, index: int, error: InputError) -> None:
        worker = get_worker_info()
        self._broken[0 if worker is None else 1 + worker.id % (_SLOTS - 1), which] += 1
        _log.warning("Clip %d of %s was drawn again: %s", index, self.sources[which].name, error)


def one_thread(worker: int) -> None:
    """Let a data worker use one core: pass it to a ``DataLoader`` as ``worker_init_fn``.

    Start workers afresh (``multiprocessing_context="spawn"``): a process forked beside threads waits for ever
    for locks that they held.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
