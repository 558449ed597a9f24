"""The weights that come with the package."""

from __future__ import annotations

from pathlib import Path

from edgetam.errors import WeightsError

__all__ = ["bundled_path"]


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
