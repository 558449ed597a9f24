"""The verbs in ONNX Runtime: graphs of a bundle, or of weights, which are then converted when first needed.

Conversions are kept on disk (`edgetam.engine.store`). Programs have fixed shapes: attention that was exported
with dynamic axes answers wrongly once lengths change. So objects go one by one, memories are padded to seven,
and a program is made for each larger shape that comes up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from edgetam.engine.requirements import require
from edgetam.engine.source import Source
from edgetam.engine.store import Store
from edgetam.engine.verbs import FRAME_STEPS, GraphEngine, one_by_one, pad
from edgetam.errors import EngineError

__all__ = ["ONNXRunner", "ProgramsOnDemand", "onnx_engine"]

QUIET = 3
"""Errors only: what ONNX Runtime warns of is of no use to people who track things."""
MEMORIES = ("tokens", "ages", "tokens_valid")
FREE_AXES = {
    "attend": (("T", "ages", 1), ("P", "pointers", 1)),
    "answer": (("P", "labels", 1),),
    "remember_exclusive": (("B", "masks", 0),),
}
"""Axes that are not always one: letter, an input that has it, and where."""
TOGETHER = {"remember_exclusive"}
"""Graphs that see all objects at once."""
KEPT = 4
"""Programs of a graph that stay open, the last ones used: each holds weights."""


def onnx_engine(source: Source, precision: str = "fp32", threads: int | None = None) -> GraphEngine:
    """An engine for a network.

    Args:
        source: the network.
        precision: ``fp32``; half precision is for bundles, whose devices may compute in it.
        threads: CPU threads to use; all by default.

    Raises:
        EngineError: another precision.
        WeightsError: the weights are not what was asked for.
    """
    if precision != "fp32":
        raise EngineError(f"precision is {precision!r}; the ONNX engine computes in fp32 on a CPU.")
    store = Store(f"onnxruntime-{ort.__version__}", *source.identity)
    return GraphEngine(source.config, source.facts.constants, ProgramsOnDemand(source, store, threads))


class ONNXRunner:
    """Opens each program when it is first run.

    Args:
        folder_of: gives the folder with ``model.onnx`` of a program.
        precision: what the programs compute in.
        threads: CPU threads to use; all by default.
    """

    name = "onnx"

    def __init__(self, folder_of: Callable[[str], Path], precision: str, threads: int | None) -> None:
        self.folder_of, self.precision = folder_of, precision
        self._options = ort.SessionOptions()
        self._options.log_severity_level = QUIET
        self._options.intra_op_num_threads = threads or 0
        # each program has threads of its own; those of one that is done must not spin in the way of the next
        self._options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._sessions: dict[str, ort.InferenceSession] = {}

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
        """See `Runner.run`."""
        session = self._sessions.get(graph)
        if session is None:
            session = self._sessions[graph] = self._open(graph)
        read = {port.name for port in session.get_inputs()}
        arrays = {name: np.ascontiguousarray(array) for name, array in inputs.items() if name in read}
        outputs: Sequence[Any] = session.run(None, arrays)
        return outputs

    def close(self, graph: str) -> None:
        """Give back what a program holds; it is opened again when it is run."""
        self._sessions.pop(graph, None)

    def _open(self, graph: str) -> ort.InferenceSession:
        path = self.folder_of(graph) / "model.onnx"
        return ort.InferenceSession(path, self._options, providers=["CPUExecutionProvider"])


class ProgramsOnDemand:
    """A `Runner` that makes a program for each set of lengths that comes up; may be shared between threads.

    Args:
        source: of the graphs.
        store: where programs are kept.
        threads: CPU threads to use; all by default.
    """

    name = ONNXRunner.name
    precision = "fp32"

    def __init__(self, source: Source, store: Store, threads: int | None) -> None:
        self._source, self._store = source, store
        self._runner = ONNXRunner(self._folder_of, self.precision, threads)
        self._wanted: dict[str, tuple[str, dict[str, int]]] = {}
        self._open: dict[str, list[str]] = {}  # programs of each graph, the one used last at the end
        self._lock = threading.Lock()

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
        """See `Runner.run`."""
        if graph == "attend":
            inputs = _with_all_memories(inputs)
        with self._lock:
            run = partial(self._run, graph)
            return run(inputs) if graph in TOGETHER else one_by_one(run, inputs)

    def _run(self, graph: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
        lengths = {letter: inputs[name].shape[axis] for letter, name, axis in FREE_AXES.get(graph, ())}
        program = "-".join([graph, *(f"{letter}{length}" for letter, length in lengths.items())])
        self._wanted[program] = graph, {"B": 1, "F": 1, **lengths}
        earlier = [other for other in self._open.get(graph, []) if other != program]
        for old in earlier[: 1 - KEPT]:
            self._runner.close(old)
        self._open[graph] = [*earlier[1 - KEPT :], program]
        return self._runner.run(program, inputs)

    def _folder_of(self, program: str) -> Path:
        return self._store.get(program, lambda folder: self._convert(program, folder))

    def _convert(self, program: str, folder: Path) -> None:
        require(("torch", "onnx", "onnxscript"), "Converting weights for ONNX Runtime", "onnx")
        from edgetam.engine.fixed_graph import FixedGraph
        from edgetam.engine.onnx_convert import convert

        self._store.say_converting(program, "ONNX Runtime")
        graph, lengths = self._wanted[program]
        convert(FixedGraph(program, self._source.graph(graph), lengths), folder, self.precision)


def _with_all_memories(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Memories padded to as many as are usual, so that one program serves a whole video."""
    more = max(FRAME_STEPS[-1] - inputs["ages"].shape[1], 0)
    return {name: pad(array, more) if name in MEMORIES else array for name, array in inputs.items()}
