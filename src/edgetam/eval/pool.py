"""Processes that work beside this one, and end when nobody waits for them any more."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from edgetam.errors import EngineError

__all__ = ["spawned"]


@contextmanager
def spawned(
    processes: int, begin: Callable[..., None], *given: Any, died: str
) -> Iterator[ProcessPoolExecutor]:
    """Start processes; they end with the block, at once where it is left early or by an error.

    Args:
        processes: how many.
        begin: called in each of them, with what is ``given``; must pickle.
        died: what to say when one of them dies.

    Raises:
        EngineError: one did.
    """
    others = set(multiprocessing.active_children())
    # Not forked: engines and a caller's threads (PyTorch, OpenCV) would leave locks held by nobody.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=begin, initargs=given)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise EngineError(died) from error
    except BaseException:  # also when nobody wants more: what was begun is not worth waiting for
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
