"""Graphs for CoreML: ML programs for iOS 18 and macOS 15, which have attention in one operation.

Programs can be made on any machine but only run on Apple's.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import coremltools as ct
import torch
from torch._decomp import get_decompositions

from edgetam.engine.fixed_graph import FixedGraph
from edgetam.engine.quiet import quiet
from edgetam.errors import EngineError

__all__ = ["convert"]

PRECISIONS = {"fp16": ct.precision.FLOAT16, "fp32": ct.precision.FLOAT32}
UNKNOWN_TO_COREML = {
    **get_decompositions([torch.ops.aten.addcmul]),
    torch.ops.aten.alias.default: lambda x: x,
}
"""Operations that it does not translate, in terms of others."""


def convert(graph: FixedGraph, folder: Path, precision: str) -> None:
    """Write ``model.mlpackage``.

    Raises:
        EngineError: the program is not what was asked for.
    """
    exported = torch.export.export(graph.graph.module.eval(), graph.examples(), strict=False)
    with _quiet():
        model = ct.convert(
            exported.run_decompositions(UNKNOWN_TO_COREML),
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS18,
            compute_precision=PRECISIONS[precision],
            outputs=[ct.TensorType(name=port.name) for port in graph.graph.outputs],
        )
    check(graph, model)
    model.save(str(folder / "model.mlpackage"))


def check(graph: FixedGraph, model: ct.models.MLModel) -> None:
    """Compare inputs and outputs with what they should be, which is all that can be checked without a Mac."""
    described = model.get_spec().description
    program = graph.program
    for tensors, found in ((program.inputs, described.input), (program.outputs, described.output)):
        shapes = {each.name: tuple(each.type.multiArrayType.shape) for each in found}
        expected = {tensor.name: tensor.shape for tensor in tensors}
        if shapes != expected:
            raise EngineError(f"CoreML made {shapes} of '{graph.name}', expected {expected}.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without bars for every pass, and without what the converter tells its developers."""
    with redirect_stderr(io.StringIO()), quiet("coremltools"):
        yield
