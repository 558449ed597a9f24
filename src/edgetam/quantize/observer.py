"""Listening to what passes between tracker and runtime."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.engine.verbs import GraphEngine, Runner

__all__ = ["Inputs", "Observer", "observed"]

Inputs = dict[str, NDArray[Any]]


class Observer:
    """A runner that notes how long graphs take, and what they are given.

    Args:
        runner: does the work.
        wanted: graphs whose inputs are kept.
    """

    def __init__(self, runner: Runner, wanted: Sequence[str] = ()) -> None:
        self.name, self.precision = runner.name, runner.precision
        self.runner, self.wanted = runner, frozenset(wanted)
        self.seen: dict[str, list[Inputs]] = defaultdict(list)
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
        """See `Runner.run`."""
        if graph in self.wanted:
            self.seen[graph].append({name: np.array(value, order="C") for name, value in inputs.items()})
        began = time.perf_counter()
        outputs = self.runner.run(graph, inputs)
        self.seconds[graph].append(time.perf_counter() - began)
        return outputs


def observed(engine: GraphEngine, wanted: Sequence[str] = ()) -> tuple[GraphEngine, Observer]:
    """The same engine, listened to."""
    observer = Observer(engine.runner, wanted)
    return GraphEngine(engine.config, engine.constants, observer), observer
