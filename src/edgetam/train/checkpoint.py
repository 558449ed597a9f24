"""Training states on disk; a file is either whole or not there."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from edgetam.atomic import atomic_open, output_error
from edgetam.errors import OutputError, WeightsError

__all__ = ["is_checkpoint", "load_checkpoint", "save_checkpoint"]

FORMAT = 1
PARTS = ("format", "recipe", "model", "average", "guides", "optimizer", "progress")


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a training state beside ``path`` and rename it when it is whole.

    Raises:
        OutputError: the disk is full or the folder cannot be written; an earlier file is still there.
    """
    try:
        with atomic_open(path) as file:
            torch.save({"format": FORMAT, **state}, file)
    except RuntimeError as error:  # PyTorch's words about a failed write are about its own archive
        if isinstance(error.__context__, OSError):
            raise output_error(path, error.__context__) from error
        reason = str(error).partition("\n")[0]
        raise OutputError(
            f"{path} cannot be written ({reason}); free some space or use another folder."
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a training state; nothing in the file is executed.

    Raises:
        WeightsError: the file is missing, damaged, or something else.
    """
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # any kind, from a damaged file
        reason = str(error).partition("\n")[0][:200]
        raise WeightsError(
            f"{path} cannot be read as a training state ({reason}); expected a last.pt of a run."
        ) from error
    if not isinstance(state, dict) or any(part not in state for part in PARTS):
        raise WeightsError(f"{path} is no training state; expected a last.pt of a run.")
    if state["format"] != FORMAT:
        raise WeightsError(f"{path} has format {state['format']}, expected {FORMAT}; start the run anew.")
    return state


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a training state rather than weights; damaged files are neither."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # whatever is wrong with it, the reader of weights says it better
        return False
    return isinstance(state, dict) and all(part in state for part in PARTS)
