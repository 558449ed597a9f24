"""The verbs in OpenVINO, but for the image encoder and memory attention, which run in kernels of our own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgetam.config import ModelConfig
from edgetam.engine.base import Floats
from edgetam.engine.native import attention, encoder
from edgetam.engine.native.attention import MemoryAttention
from edgetam.engine.native.encoder import ImageEncoder, is_known
from edgetam.engine.native.kernel import Pool
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
    store = Store("native-weights", attention.FORMAT, encoder.FORMAT, *source.identity)

    def folder_of(graph: str) -> Path:
        save = encoder.save_encoder if graph == "encode" else attention.save_attention
        return store.get(graph, lambda folder: save(source.network, folder))

    others = openvino_engine(source, precision, threads)
    assert isinstance(others.runner, OpenVINORunner)
    runner = NativeRunner(others.runner, folder_of, source.config, threads)
    return GraphEngine(source.config, others.constants, runner)


class NativeRunner:
    """Runs ``encode`` and ``attend`` itself and leaves the rest to OpenVINO; may be shared between threads.

    Args:
        others: runs the other graphs.
        folder_of: gives the folder with the weights for a graph, when they are first needed.
        config: of the model; a trunk that no kernel knows is left to OpenVINO, too.
        threads: CPU threads to use; all cores by default.
    """

    name = "native"

    def __init__(
        self,
        others: OpenVINORunner,
        folder_of: Callable[[str], Path],
        config: ModelConfig,
        threads: int | None = None,
    ) -> None:
        self.others, self.precision = others, others.precision
        self._folder_of, self._config, self._threads = folder_of, config, threads or default_threads()
        self._pool: Pool | None = None
        self._encoder: ImageEncoder | None = None
        self._attention: MemoryAttention | None = None
        self._lock = threading.Lock()

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
        """See `Runner.run`."""
        if graph == "encode" and is_known(self._config):
            with self._lock:
                return self._encode(inputs["image"])
        if graph == "attend":
            with self._lock:
                return [self._attend(inputs)]
        return self.others.run(graph, inputs)

    def _encode(self, image: Floats) -> list[Floats]:
        pool = self._threads_here()
        if self._encoder is None:
            self._encoder = ImageEncoder(library(), pool, self._folder_of("encode"), self._config)
        return self._encoder(image)

    def _attend(self, context: Mapping[str, Any]) -> Floats:
        pool = self._threads_here()
        if self._attention is None:
            self._attention = MemoryAttention(library(), pool, self._folder_of("attend"))
        return self._attention(context)

    def _threads_here(self) -> Pool:
        """Threads of this process: those of another did not come along with a fork."""
        if self._pool is None or not self._pool.is_here:
            self._pool = Pool(library(), self._threads)
            self._encoder = self._attention = None
        return self._pool
