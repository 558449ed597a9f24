"""Graphs with lengths for all their axes, for runtimes that want fixed shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from edgetam.engine.graphs import Graph, Port
from edgetam.engine.manifest import Program, TensorSpec

__all__ = ["FixedGraph"]

AXES = {"B": "objects", "F": "objects", "T": "memories", "P": "points"}


class FixedGraph(NamedTuple):
    """A graph and a length for each of its lettered axes."""

    name: str
    graph: Graph
    lengths: Mapping[str, int]

    @property
    def program(self) -> Program:
        """What the manifest says of it."""
        graph = self.graph
        inputs, outputs = (
            tuple(self._tensor_spec(port) for port in ports) for ports in (graph.inputs, graph.outputs)
        )
        return Program(self.name, graph.name, inputs, outputs)

    def examples(self) -> tuple[Tensor, ...]:
        """Inputs to trace with."""
        return tuple(
            torch.ones(self._shape(port), dtype=getattr(torch, port.dtype)) for port in self.graph.inputs
        )

    def _shape(self, port: Port) -> tuple[int, ...]:
        return tuple(self.lengths[a] if isinstance(a, str) else a for a in port.shape)

    def _tensor_spec(self, port: Port) -> TensorSpec:
        axes = [AXES[a] if isinstance(a, str) else None for a in port.shape]
        if self.graph.name == "attend":
            axes = ["pointers" if axis == "points" else axis for axis in axes]
        return TensorSpec(port.name, self._shape(port), tuple(axes), port.dtype)
