"""Training states and weights on disk; a file is either whole or not there."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from edgetam.errors import WeightsError
from edgetam.model import EdgeTAM

__all__ = ["export_weights", "load_checkpoint", "save_checkpoint"]


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


def export_weights(model: EdgeTAM, path: Path, **notes: str) -> None:
    """Write weights as safetensors in half precision, under the names of ``state_dict``.

    Vectors (biases, norms and their statistics) stay in float32: they are small and variances may be tiny.
    ``notes`` join the configuration in the file's metadata.
    """
    tensors = {
        name: (value.half() if value.is_floating_point() and value.ndim >= 2 else value).contiguous().clone()
        for name, value in model.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata={"config": json.dumps(asdict(model.config)), **notes})
    part.replace(path)
