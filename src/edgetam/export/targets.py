"""Where bundles can go: each target converts one graph with fixed shapes into files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from edgetam.engine.fixed_graph import FixedGraph
from edgetam.engine.manifest import PRECISIONS
from edgetam.engine.requirements import require
from edgetam.errors import EngineError

__all__ = ["TARGETS", "Target", "check_target"]

Convert = Callable[[FixedGraph, Path, str], None]
"""Writes a graph into a folder, in a precision."""


@dataclass(frozen=True)
class Target:
    """One runtime.

    Attributes:
        name: on the command line, and of the pip extra.
        precisions: it can be exported in; the first is the default.
        needs: modules that conversion imports.
        module: has ``convert(graph, folder, precision)``.
        runs_here: whether bundles run in Python, so that they are compared with PyTorch.
    """

    name: str
    precisions: tuple[str, ...]
    needs: tuple[str, ...]
    module: str
    runs_here: bool = True

    def converter(self) -> Convert:
        """The function that converts.

        Raises:
            EngineError: a library it needs is not installed.
        """
        require(self.needs, f"Exporting to {self.name}", self.name)
        convert: Convert = import_module(self.module).convert
        return convert


TARGETS = {
    target.name: target
    for target in (
        Target(
            "onnx", PRECISIONS["onnx"], ("onnx", "onnxscript", "onnxruntime"), "edgetam.engine.onnx_convert"
        ),
        Target("openvino", PRECISIONS["openvino"], ("openvino",), "edgetam.export.openvino"),
        Target("coreml", PRECISIONS["coreml"], ("coremltools",), "edgetam.export.coreml", runs_here=False),
        Target("executorch", PRECISIONS["executorch"], ("executorch",), "edgetam.export.executorch"),
    )
}


def check_target(name: str, precision: str | None) -> tuple[Target, str]:
    """Settle target and precision.

    Raises:
        EngineError: one is unknown, or they do not go together.
    """
    if name not in TARGETS:
        raise EngineError(f"target is {name!r}; expected one of {', '.join(TARGETS)}.")
    target = TARGETS[name]
    precision = precision or target.precisions[0]
    if precision not in target.precisions:
        raise EngineError(
            f"precision is {precision!r}; a bundle for {name} can be in {', '.join(target.precisions)}."
        )
    return target, precision
