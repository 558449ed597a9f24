"""Programs in ExecuTorch, through its Python runtime.

The runtime is that of phones, but its Python binding hands over PyTorch tensors: of what runs bundles, this
one module needs PyTorch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from executorch.runtime import Method, Program, Runtime

__all__ = ["ExecuTorchRunner"]


class ExecuTorchRunner:
    """Loads each program when it is first run; may be shared between threads, which then take turns.

    Args:
        folder_of: gives the folder with ``model.pte`` of a program.
        precision: what the programs compute in.
    """

    name = "executorch"

    def __init__(self, folder_of: Callable[[str], Path], precision: str) -> None:
        self.folder_of, self.precision = folder_of, precision
        self._lock = threading.Lock()
        self._loaded: dict[str, tuple[Program, Method]] = {}  # methods live as long as their programs

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
        """See `Runner.run`; inputs are taken in the order they are given in."""
        tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in inputs.values()]
        with self._lock:
            if graph not in self._loaded:
                program = Runtime.get().load_program(self.folder_of(graph) / "model.pte")
                self._loaded[graph] = program, program.load_method("forward")
            outputs = self._loaded[graph][1].execute(tensors)
            return [out.numpy().copy() for out in outputs]  # outputs lie in memory that is used again
