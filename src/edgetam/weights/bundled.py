"""The weights that come with the package."""

from __future__ import annotations

from pathlib import Path

from edgetam.errors import WeightsError

__all__ = ["BUNDLED_LICENCE", "bundled_path"]

BUNDLED_LICENCE = "CC-BY-NC-4.0"
"""Of the weights, for the data they were trained on (docs/model_card.md); the code is Apache-2.0."""


def bundled_path() -> Path:
    """Return the file of the default weights.

    Raises:
        WeightsError: this installation came without them.
    """
    path = Path(__file__).parent / "data" / "default.safetensors"
    if not path.is_file():
        raise WeightsError(
            f"This installation has no default weights ({path} is missing); pass a checkpoint file, or "
            "a name such as edgetam to download the published ones."
        )
    return path
