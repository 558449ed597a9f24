"""What a tracker must be able to do to be measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edgetam.io import FrameSource
from edgetam.structs import Prompt

__all__ = ["FrameScores", "Scores", "TrackedVideo", "Tracker"]

Scores = NDArray[np.float32]
"""``[H, W]`` at the size of the frame, positive inside the object. Where objects overlap the highest wins."""


class FrameScores(NamedTuple):
    """What was found on one frame, by object id; objects that were not looked for are left out."""

    frame: int
    objects: Mapping[int, Scores]


class TrackedVideo(Protocol):
    """One video being tracked."""

    def prompt(self, frame: int, object_id: int, prompt: Prompt) -> Scores:
        """Point at an object, in pixels of the frame; the answer on that frame.

        Points add up over calls on one frame; on a frame that was tracked they correct what was found.
        """
        ...

    def propagate(self, start: int) -> Iterator[FrameScores]:
        """Track everything prompted so far from frame ``start`` to the end, frame by frame.

        No object is tracked before its first prompt. The caller may stop at any frame, prompt there, and
        go on with another call from the next frame.
        """
        ...

    def close(self) -> None:
        """Let go of the video."""
        ...


class Tracker(Protocol):
    """Opens videos; keeps nothing of one video for the next."""

    def open(self, frames: FrameSource) -> TrackedVideo:
        """Begin with a video; the caller closes ``frames`` after the tracked video."""
        ...
