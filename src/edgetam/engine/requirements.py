"""Optional libraries: said by name, with the pip extra that brings them."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Sequence

from edgetam.errors import EngineError

__all__ = ["missing", "missing_compiler", "require", "require_torch"]


def missing(modules: Sequence[str]) -> list[str]:
    """Those that are not installed."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def require(modules: Sequence[str], purpose: str, extra: str) -> None:
    """Check before importing.

    Args:
        modules: what is needed.
        purpose: begins the sentence of the error, such as "Exporting to onnx".
        extra: of pip, that brings them all.

    Raises:
        EngineError: some are not installed.
    """
    absent = missing(modules)
    if absent:
        verb = "is" if len(absent) == 1 else "are"
        raise EngineError(
            f"{purpose} needs {' and '.join(absent)}, which {verb} not installed; run: "
            f"pip install 'edgetam[{extra}]'"
        )


def require_torch(purpose: str) -> None:
    """`require` for PyTorch, which environments that only run exported bundles lack.

    Raises:
        EngineError: it is not installed.
    """
    if missing(["torch"]):
        raise EngineError(f"{purpose} needs PyTorch, which is not installed; run: pip install torch")


def missing_compiler(device: str) -> str | None:
    """What `torch.compile` turns programs into code with, if it is not there: Triton, or a C++ compiler."""
    if device.startswith("cuda"):
        return "Triton" if missing(["triton"]) else None
    known = (os.environ.get("CXX"), "g++", "clang++", "cl")
    return None if any(name and shutil.which(name) for name in known) else "a C++ compiler"
