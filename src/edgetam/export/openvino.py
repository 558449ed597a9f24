"""Graphs for OpenVINO: its own form, attention in one operation."""

from __future__ import annotations

from pathlib import Path

from edgetam.engine import openvino
from edgetam.engine.fixed_graph import FixedGraph

__all__ = ["convert"]


def convert(graph: FixedGraph, folder: Path, precision: str) -> None:
    """Write ``model.xml`` and ``model.bin``; weights have half the size in fp16; bf16 is up to runtimes."""
    model = openvino.convert(graph.graph, graph.lengths)
    openvino.save(model, folder, halve=precision == "fp16")
