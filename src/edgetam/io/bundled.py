"""The clip that comes with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from edgetam.errors import MediaError

__all__ = ["demo_clip"]


def demo_clip() -> tuple[Path, Path]:
    """Return the bundled clip and its prompts.

    Raises:
        MediaError: this installation came without them.
    """
    folder = Path(str(resources.files("edgetam") / "data"))
    clip, prompts = folder / "demo.mp4", folder / "demo.json"
    if not clip.is_file() or not prompts.is_file():
        raise MediaError(f"This installation has no demo clip ({clip} is missing); pass a video of yours.")
    return clip, prompts
