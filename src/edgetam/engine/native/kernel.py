"""What kernels share: threads, weights where C finds them, and an end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from ctypes import CDLL, Structure, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from edgetam.engine.base import Floats

__all__ = ["Kernel", "Linear", "Pool", "read_arrays"]


class Linear(Structure):
    """Weight and bias of a linear map, a norm or taps: ``Linear`` of `linear.h`."""

    _fields_ = (("weight", c_void_p), ("bias", c_void_p))

    @classmethod
    def of(cls, weights: Mapping[str, Floats], name: str) -> Linear:
        """Those of that name, which must outlive it."""
        return cls(weights[f"{name}.weight"].ctypes.data, weights[f"{name}.bias"].ctypes.data)


def read_arrays(path: Path) -> dict[str, Floats]:
    """Arrays of a file, as C reads them."""
    with np.load(path) as saved:
        return {name: np.ascontiguousarray(x, np.float32) for name, x in saved.items()}


class _Owner:
    """Has something of C's, and frees it in the process that made it: a fork has memory and no threads."""

    kernels: CDLL
    address: int | None = None

    def _take(self, kernels: CDLL, kind: str, make: Callable[[Any], int | None]) -> None:
        new, self._free = getattr(kernels, f"{kind}_new"), getattr(kernels, f"{kind}_free")
        new.restype, self._free.restype, self._free.argtypes = c_void_p, None, [c_void_p]
        self.kernels, self._process = kernels, os.getpid()
        self.address = make(new)
        if not self.address:
            raise MemoryError(f"There is not enough memory for the native engine's {kind}.")

    @property
    def is_here(self) -> bool:
        """Whether this process made it."""
        return self._process == os.getpid()

    def __del__(self) -> None:
        if self.address and self.is_here:
            self._free(self.address)


class Pool(_Owner):
    """Threads that kernels share; one kernel at a time.

    Args:
        kernels: see `edgetam.engine.native.library`.
        threads: how many, with the one that calls.

    Raises:
        MemoryError: there is not enough memory.
    """

    def __init__(self, kernels: CDLL, threads: int) -> None:
        self.threads = threads
        self._take(kernels, "pool", lambda new: new(threads))


class Kernel(_Owner):
    """One network's kernel, which ends before its threads do.

    Args:
        kernels: see `edgetam.engine.native.library`.
        kind: the beginning of its functions' names.
        pool: its threads.
        make: calls the function that makes it.

    Raises:
        MemoryError: there is not enough memory.
    """

    def __init__(self, kernels: CDLL, kind: str, pool: Pool, make: Callable[[Any], int | None]) -> None:
        self._pool = pool
        self._take(kernels, kind, make)
