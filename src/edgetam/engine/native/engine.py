"""The verbs in kernels of our own.

What has none is OpenVINO's: prompted frames, memories of objects that exclude each other, and some parts of
networks other than EdgeTAM's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from ctypes import CDLL
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.config import ModelConfig
from edgetam.engine.base import Floats
from edgetam.engine.int8 import quantised_graphs
from edgetam.engine.native import attention, decoder, encoder, memory
from edgetam.engine.native.attention import MemoryAttention
from edgetam.engine.native.decoder import MaskDecoder
from edgetam.engine.native.encoder import ImageEncoder
from edgetam.engine.native.frames import Frames
from edgetam.engine.native.kernel import Pool
from edgetam.engine.native.library import default_threads, library
from edgetam.engine.native.memory import MemoryEncoder
from edgetam.engine.openvino import OpenVINORunner, graph_store, openvino_engine
from edgetam.engine.source import Source
from edgetam.engine.store import Store
from edgetam.engine.verbs import GraphEngine
from edgetam.errors import EngineError

__all__ = ["NativeEngine", "NativeRunner", "known_graphs", "native_engine"]

SAVE = {
    "encode": encoder.save_encoder,
    "attend": attention.save_attention,
    "track": decoder.save_decoder,
    "remember": memory.save_memory,
}
"""How weights of each graph that has a kernel are written down."""


def native_engine(source: Source, precision: str = "bf16", threads: int | None = None) -> GraphEngine:
    """An engine for a network.

    Args:
        source: the network.
        precision: ``bf16``; ``fp32``, in which each number is the sum of two in bfloat16 where it is
            multiplied, good to 16 bits; or ``int8``: parts that `edgetam.quantize` made run in OpenVINO, and
            the others in ``bf16``.
        threads: CPU threads to use; all cores by default.

    Raises:
        EngineError: kernels cannot be used here, or the precision is another.
        WeightsError: the weights are not what was asked for.
    """
    if precision not in ("fp32", "bf16", "int8"):
        raise EngineError(
            f"precision is {precision!r}; the native engine computes in bf16 or fp32, so use one of these or "
            "engine='openvino'."
        )
    kernels = library("fp32" if precision == "fp32" else "bf16")
    elsewhere = quantised_graphs(graph_store(source)) if precision == "int8" else {}
    formats = encoder.FORMAT, attention.FORMAT, decoder.FORMAT, memory.FORMAT
    store = Store("native-weights", *formats, *source.identity)

    def folder_of(graph: str) -> Path:
        return store.get(graph, lambda folder: SAVE[graph](source.network, folder))

    others = openvino_engine(source, precision, threads)
    assert isinstance(others.runner, OpenVINORunner)
    known = known_graphs(source.config) - elsewhere.keys()
    runner = NativeRunner(kernels, others.runner, folder_of, source.config, known, threads)
    return NativeEngine(source.config, others.constants, runner)


def known_graphs(config: ModelConfig) -> set[str]:
    """The graphs of a model that have kernels."""
    known = {"attend", "track"}
    if encoder.is_known(config):
        known.add("encode")
    if memory.is_known(config):
        known.add("remember")
    return known


class NativeEngine(GraphEngine):
    """The engine that `native_engine` makes."""

    runner: NativeRunner

    def prepare_frame(self, rgb: NDArray[np.uint8], table: Floats) -> Floats | None:
        """See `edgetam.tracking.geometry.prepare_frame`."""
        return self.runner.prepare_frame(rgb, table)


class NativeRunner:
    """Runs some graphs in kernels and leaves the rest to OpenVINO; may be shared between threads.

    Args:
        kernels: see `edgetam.engine.native.library`.
        others: runs the other graphs.
        folder_of: gives the folder with the weights for a graph, when they are first needed.
        config: of the model.
        known: the graphs to run here.
        threads: CPU threads to use; all cores by default.
    """

    name = "native"

    def __init__(
        self,
        kernels: CDLL,
        others: OpenVINORunner,
        folder_of: Callable[[str], Path],
        config: ModelConfig,
        known: Collection[str],
        threads: int | None = None,
    ) -> None:
        self._library, self.others, self.precision = kernels, others, others.precision
        self._folder_of, self._config, self._threads = folder_of, config, threads or default_threads()
        self._known = frozenset(known)
        self._pool: Pool | None = None
        self._frames: Frames | None = None
        self._kernels: dict[str, Callable[[Mapping[str, Any]], Sequence[Any]]] = {}
        self._lock = threading.Lock()

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
        """See `Runner.run`."""
        if graph not in self._known:
            return self.others.run(graph, inputs)
        with self._lock:
            pool = self._threads_here()
            if graph not in self._kernels:
                self._kernels[graph] = self._make(graph, pool)
            return self._kernels[graph](inputs)

    def _make(self, graph: str, pool: Pool) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
        """A graph's kernel, as something that takes its inputs and gives its outputs."""
        kernels, folder = self._library, self._folder_of(graph)
        if graph == "encode":
            encode = ImageEncoder(kernels, pool, folder, self._config)
            return lambda inputs: encode(inputs["image"])
        if graph == "attend":
            attend = MemoryAttention(kernels, pool, folder, self._config)
            return lambda inputs: [attend(inputs)]
        if graph == "track":
            return MaskDecoder(kernels, pool, folder, self._config)
        remember = MemoryEncoder(kernels, pool, folder, self._config)
        return lambda inputs: [remember(inputs)]

    def prepare_frame(self, rgb: NDArray[np.uint8], table: Floats) -> Floats | None:
        """See `Frames.prepare`; ``table`` is always the same."""
        with self._lock:
            pool = self._threads_here()
            if self._frames is None:
                self._frames = Frames(self._library, pool, self._config.image_size, table)
            return self._frames.prepare(rgb)

    def _threads_here(self) -> Pool:
        """Threads of this process: those of another did not come along with a fork."""
        if self._pool is None or not self._pool.is_here:
            self._pool = Pool(self._library, self._threads)
            self._frames, self._kernels = None, {}
        return self._pool
