"""Training states on disk; a file is either whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from edgetam.errors import WeightsError

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a training state beside ``path``, then rename."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a training state; nothing in the file is executed.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"{path} cannot be read as a training state ({error}); expected a file the loop saved."
        ) from error
    return state
