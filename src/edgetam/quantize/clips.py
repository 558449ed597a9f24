"""Frames to calibrate on, and what to follow through them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from edgetam.engine.base import Engine
from edgetam.errors import MediaError
from edgetam.io import open_frames
from edgetam.structs import FrameResult
from edgetam.tracking import VideoTracker

__all__ = ["Clip", "bundled_clip"]


@dataclass(frozen=True)
class Clip:
    """A video and a click in it.

    Attributes:
        source: a video or a folder of images.
        point: ``(x, y)`` in pixels of an object in the first frame; the centre by default.
    """

    source: str
    point: tuple[float, float] | None = None

    def follow(self, engine: Engine, frames: int) -> Iterator[FrameResult]:
        """Track the object.

        Raises:
            MediaError: the video cannot be read.
        """
        with closing(open_frames(self.source)) as video:
            point = self.point or (video.width / 2, video.height / 2)
            with VideoTracker(engine).open(video) as session:
                session.prompt(0, 1, points=[point])
                yield from session.propagate(frames=frames)


def bundled_clip() -> Clip:
    """The clip that comes with the package.

    Raises:
        MediaError: this installation came without it.
    """
    folder = Path(str(resources.files("edgetam") / "data"))
    try:
        prompt: dict[str, Any] = json.loads((folder / "demo.json").read_text())["prompts"][0]
    except OSError as error:
        raise MediaError("This installation has no demo clip; pass frames of your own.") from error
    x, y = prompt["points"][0]
    return Clip(str(folder / "demo.mp4"), (float(x), float(y)))
