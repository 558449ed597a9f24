"""Graphs in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

__all__ = ["ONNXRunner"]

QUIET = 3
"""Errors only: what ONNX Runtime warns of is of no use to people who track things."""


class ONNXRunner:
    """Opens each graph when it is first run.

    Args:
        folder_of: gives the folder with ``model.onnx`` of a graph.
        precision: what the graphs compute in.
        threads: CPU threads to use; all by default.
    """

    name = "onnx"

    def __init__(self, folder_of: Callable[[str], Path], precision: str, threads: int | None) -> None:
        self.folder_of, self.precision = folder_of, precision
        self._options = ort.SessionOptions()
        self._options.log_severity_level = QUIET
        self._options.intra_op_num_threads = threads or 0
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

    def _open(self, graph: str) -> ort.InferenceSession:
        path = self.folder_of(graph) / "model.onnx"
        return ort.InferenceSession(path, self._options, providers=["CPUExecutionProvider"])
