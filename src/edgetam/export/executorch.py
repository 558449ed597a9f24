"""Graphs for ExecuTorch with XNNPACK, the runtime of phones and other small machines."""

from __future__ import annotations

from pathlib import Path

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower

from edgetam.engine.fixed_graph import FixedGraph

__all__ = ["convert"]


def convert(graph: FixedGraph, folder: Path, precision: str) -> None:
    """Write ``model.pte``: what XNNPACK knows goes there, the rest to ExecuTorch's own kernels."""
    exported = torch.export.export(graph.graph.module.eval(), graph.examples(), strict=False)
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    (folder / "model.pte").write_bytes(lowered.to_executorch().buffer)
