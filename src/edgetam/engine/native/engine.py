"""The verbs in OpenVINO, but for memory attention, which runs in a kernel of our own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgetam.engine.native.attention import FORMAT, MemoryAttention, save_attention
from edgetam.engine.native.library import default_threads, library
from edgetam.engine.openvino import OpenVINORunner, openvino_engine
from edgetam.engine.source import Source
from edgetam.engine.store import Store
from edgetam.engine.verbs import GraphEngine
from edgetam.errors import EngineError

__all__ = ["NativeRunner", "native_engine"]


def native_engine(source: Source, precision: str = "bf16", threads: int | None = None) -> GraphEngine:
    """An engine for a network.

    Args:
        source: the network.
        precision: ``bf16``.
        threads: CPU threads to use; all cores by default.

    Raises:
        EngineError: kernels cannot be used here, or the precision is another.
        WeightsError: the weights are not what was asked for.
    """
    if precision != "bf16":
        raise EngineError(
            f"precision is {precision!r}; the native engine computes in bf16, so use engine='openvino'."
        )
    library()
    store = Store("native-weights", FORMAT, *source.identity)

    def folder_of() -> Path:
        return store.get("attention", lambda folder: save_attention(source.network, folder))

    others = openvino_engine(source, precision, threads)
    assert isinstance(others.runner, OpenVINORunner)
    return GraphEngine(source.config, others.constants, NativeRunner(others.runner, folder_of, threads))


class NativeRunner:
    """Runs ``attend`` itself and leaves the rest to OpenVINO; may be shared between threads.

    Args:
        others: runs the other graphs.
        folder_of: gives the folder with the weights of memory attention, when it is first needed.
        threads: CPU threads to use; all cores by default.
    """

    name = "native"

    def __init__(
        self, others: OpenVINORunner, folder_of: Callable[[], Path], threads: int | None = None
    ) -> None:
        self.others, self.precision = others, others.precision
        self._folder_of, self._threads = folder_of, threads or default_threads()
        self._attention: MemoryAttention | None = None
        self._lock = threading.Lock()

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
        """See `Runner.run`."""
        if graph != "attend":
            return self.others.run(graph, inputs)
        with self._lock:
            return [self._here()(inputs)]

    def _here(self) -> MemoryAttention:
        """Memory attention with threads of this process: those of another did not come along with a fork."""
        if self._attention is None or self._attention.process != os.getpid():
            self._attention = MemoryAttention(library(), self._folder_of(), self._threads)
        return self._attention
