"""Frames to calibrate on, and what to follow through them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from edgetam.engine.base import Engine
from edgetam.io import open_frames
from edgetam.io.bundled import demo_clip
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

    def check(self) -> None:
        """Open it once, so that a wrong path is found before anything is computed.

        Raises:
            MediaError: the video cannot be read.
        """
        open_frames(self.source).close()

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
    clip, prompts = demo_clip()
    prompt: dict[str, Any] = json.loads(prompts.read_text())["prompts"][0]
    x, y = prompt["points"][0]
    return Clip(str(clip), (float(x), float(y)))
