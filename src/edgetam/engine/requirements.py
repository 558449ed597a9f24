"""Optional libraries: said by name, with the pip extra that brings them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from edgetam.errors import EngineError

__all__ = ["missing", "require", "require_torch"]


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
