"""The verbs in OpenVINO: the fastest engine on a CPU.

Graphs are converted once and kept on disk (`edgetam.engine.store`). What is kept does not depend on the CPU:
compiling a graph for it takes a tenth of a second, as long as reading compiled code. Axes are dynamic:
one graph serves any number of objects and memories. Where memories are full, as they stay once they are, it
is compiled again for the shapes at hand.
"""

from __future__ import annotations

import errno
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetam.engine.int8 import quantised_graphs
from edgetam.engine.openvino_attention import LEVELS, ignore_padding, unfuse_attention
from edgetam.engine.openvino_decoder import softmax_across, unfuse_tokens
from edgetam.engine.quiet import unreported
from edgetam.engine.silent_openvino import op, ov
from edgetam.engine.source import Source
from edgetam.engine.store import Store
from edgetam.engine.verbs import GraphEngine, one_by_one
from edgetam.errors import EngineError

if TYPE_CHECKING:
    from edgetam.engine.graphs import Graph, Port

__all__ = [
    "OpenVINORunner",
    "capabilities",
    "check_int8",
    "convert",
    "graph_store",
    "int8_overflows",
    "openvino_engine",
    "save",
    "settings",
]

HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
EXAMPLE_LENGTHS = {"B": 2, "T": 2, "P": 3, "F": 1}
"""Lengths of dynamic axes while tracing."""
ONE_BY_ONE = {"remember"}
"""Graphs whose maps of one object fill the cache: faster with fixed shapes, one object after the other."""
REAL = ("tokens_valid", "pointers_valid")
"""Inputs that mark what is not padding."""
FIXED = 4
"""So many numbers of objects have graphs of their own where memories are full; any others share one."""
Shapes = tuple[tuple[str, tuple[int, ...]], ...]
_making_core = threading.Lock()


def openvino_engine(source: Source, precision: str = "fp32", threads: int | None = None) -> GraphEngine:
    """An engine for a network.

    Args:
        source: the network.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``: graphs that `edgetam.quantize` made, beside
            others in bf16 where the CPU has it.
        threads: CPU threads to use; all by default.

    Raises:
        EngineError: this CPU does not know the precision, or nothing was calibrated for int8.
        WeightsError: the weights are not what was asked for.
    """
    store = graph_store(source)
    quantised = quantised_graphs(store) if precision == "int8" else {}

    def convert_into(graph: str, folder: Path) -> None:
        store.say_converting(graph, "OpenVINO")
        save(convert(source.graph(graph)), folder)

    def folder_of(graph: str) -> Path:
        if graph in quantised:
            return quantised[graph]()
        return store.get(graph, partial(convert_into, graph))

    return GraphEngine(source.config, source.facts.constants, OpenVINORunner(folder_of, precision, threads))


def graph_store(source: Source) -> Store:
    """Where the converted graphs of a network are kept."""
    return Store(f"openvino-{ov.__version__}", *source.identity)


def core() -> ov.Core:
    """The one of this process, with its CPU plugin loaded.

    Each plugin gives the thread a stack for signals and puts back the one before at its end. Two of them that
    end in the order in which they began leave one that is no longer there, and Ctrl-C crashes.
    """
    with _making_core:  # a cache alone lets two threads make one each
        return _core()


@cache
def _core() -> ov.Core:
    made = ov.Core()
    made.get_property("CPU", "FULL_DEVICE_NAME")
    return made


def capabilities() -> list[str]:
    """What OpenVINO says this CPU computes in, such as FP32, BF16 and INT8."""
    return list(core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def check_int8() -> None:
    """Make sure that int8 can be used here.

    Raises:
        EngineError: this CPU's products overflow.
    """
    if int8_overflows():
        raise EngineError(
            f"This CPU has no exact int8 products (VNNI or AMX), so masks would be wrong; use {_others()}."
        )


@cache
def int8_overflows() -> bool:
    """Whether this CPU's products of int8 overflow: without VNNI or AMX, pairs are added up in 16 bits.

    OpenVINO says of them, too, that they compute in int8; so it is tried.
    """
    ends = [op.constant(np.float32(end)) for end in (-1, 1 - 2 / LEVELS)]
    sides = [op.parameter([1, rows, 64], np.float32) for rows in (32, 32)]
    rounded = [op.fake_quantize(side, *ends, *ends, LEVELS) for side in sides]
    model = ov.Model([op.relu(op.matmul(*rounded, False, True))], sides)
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    ones = np.ones((1, 32, 64), np.float32)
    return bool(np.abs(compiled([ones, ones])[0] - 64 * (1 - 2 / LEVELS) ** 2).max() > 1)


def _others() -> str:
    """Precisions that work here, as advice."""
    return " or ".join(f"precision='{name}'" for name in HINTS if _computes_in(name))


def _computes_in(precision: str) -> bool:
    return precision == "fp32" or precision.upper() in capabilities()


class OpenVINORunner:
    """Compiles each graph when it is first run; may be shared between threads, which then take turns.

    Args:
        folder_of: gives the folder with ``model.xml`` of a graph.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``, which is up to the graphs themselves.
        threads: CPU threads to use; all by default.
    """

    name = "openvino"

    def __init__(self, folder_of: Callable[[str], Path], precision: str, threads: int | None) -> None:
        self.folder_of, self.precision = folder_of, precision
        self._settings = settings(precision, threads)
        self._requests: dict[tuple[str, Shapes | None], ov.InferRequest] = {}
        self._lock = threading.Lock()

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
        """See `Runner.run`."""
        with self._lock:
            arrays = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
            infer = partial(_infer, self._request(graph, arrays))
            return one_by_one(infer, arrays) if graph in ONE_BY_ONE else infer(arrays)

    def _request(self, graph: str, arrays: Mapping[str, Any]) -> ov.InferRequest:
        """The graph for such inputs, compiled when it is first needed."""
        key = graph, self._fixed(arrays)
        if key not in self._requests:
            self._requests[key] = self._compile(*key)
        return self._requests[key]

    def _fixed(self, arrays: Mapping[str, Any]) -> Shapes | None:
        """The shapes of full memories, unless too many others have graphs already."""
        if not all(name in arrays and np.all(arrays[name]) for name in REAL):
            return None
        shapes = tuple((name, array.shape) for name, array in arrays.items())
        others = {known for _, known in self._requests} - {None, shapes}
        return shapes if len(others) < FIXED else None

    def _compile(self, graph: str, full: Shapes | None = None) -> ov.InferRequest:
        """Prepare a graph, or what is left of it for ``full`` memories: none is padding, shapes are known.

        Then OpenVINO puts the weights of one block of queries where those of the one before were.
        """
        model = core().read_model(self.folder_of(graph) / "model.xml")
        if graph in ONE_BY_ONE and model.is_dynamic():
            model.reshape({p.any_name: ov.PartialShape([1, *p.partial_shape[1:]]) for p in model.inputs})
        if full is not None:
            model.reshape({name: ov.PartialShape(shape) for name, shape in full})
        unfuse_tokens(model)
        softmax_across(model)
        unfuse_attention(model)
        if full is not None:
            ignore_padding(model)
        return core().compile_model(model, "CPU", self._settings).create_infer_request()


def save(model: ov.Model, folder: Path, *, halve: bool = False) -> None:
    """Write ``model.xml`` and ``model.bin``.

    Args:
        model: to write.
        folder: that is there.
        halve: write weights in half precision.

    Raises:
        OSError: they cannot be written; OpenVINO does not say why.
    """
    try:
        ov.save_model(model, folder / "model.xml", compress_to_fp16=halve)
    except RuntimeError as error:
        raise OSError(
            errno.EIO, "OpenVINO cannot write its model, perhaps because the disk is full", str(folder)
        ) from error


def settings(precision: str, threads: int | None) -> dict[str, Any]:
    """What graphs are compiled with.

    Raises:
        EngineError: this CPU does not know the precision.
    """
    if precision not in (*HINTS, "int8"):
        raise EngineError(f"precision is {precision!r}; the OpenVINO engine knows {', '.join(HINTS)}, int8.")
    if not _computes_in(precision):
        raise EngineError(f"This CPU does not compute in {precision}; use {_others()}.")
    if precision == "int8":  # what is not quantised
        check_int8()
        precision = "bf16" if "BF16" in capabilities() else "fp32"
    chosen = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": HINTS[precision]}
    return chosen if threads is None else chosen | {"INFERENCE_NUM_THREADS": threads}


def _infer(request: ov.InferRequest, inputs: Mapping[str, Any]) -> list[Any]:
    outputs = _fresh_outputs(request)
    results = request.infer(inputs, share_inputs=True, share_outputs=True)
    return [results[i].copy() if out is None else out for i, out in enumerate(outputs)]


def _fresh_outputs(request: ov.InferRequest) -> list[Any]:
    """New memory for each output of known shape, so that nothing is copied; None for the others."""
    outputs: list[Any] = []
    for index, port in enumerate(request.model_outputs):
        outputs.append(None)
        if port.partial_shape.is_static:
            outputs[-1] = np.empty(tuple(port.shape), np.float32)
            request.set_output_tensor(index, ov.Tensor(outputs[-1], shared_memory=True))
    return outputs


def convert(graph: Graph, lengths: Mapping[str, int] | None = None) -> ov.Model:
    """Trace a graph into OpenVINO's own form, with named inputs and outputs.

    Args:
        graph: the graph.
        lengths: of its axes; any by default.
    """
    import torch

    from edgetam.model.inference import in_full_precision

    examples = tuple(
        torch.zeros(_lengths(port, lengths or EXAMPLE_LENGTHS), dtype=getattr(torch, port.dtype))
        for port in graph.inputs
    )
    with torch.inference_mode(), in_full_precision(), warnings.catch_warnings():
        # what the tracer warns of is constant for one graph, and OpenVINO reads traces best
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(graph.module, examples, check_trace=False)
        kept = lengths or dict.fromkeys(EXAMPLE_LENGTHS, -1)
        shapes = [ov.PartialShape(_lengths(port, kept)) for port in graph.inputs]
        with unreported():
            model = ov.convert_model(traced, input=shapes)
    for port, found in zip((*graph.inputs, *graph.outputs), (*model.inputs, *model.outputs), strict=True):
        found.get_tensor().set_names({port.name})
    return model


def _lengths(port: Port, named: Mapping[str, int]) -> list[int]:
    return [named[axis] if isinstance(axis, str) else axis for axis in port.shape]
