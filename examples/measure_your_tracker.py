"""A tracker of one's own, measured like all others.

From the root of this repository:

edgetam eval vos --dataset generic --root DATA --tracker examples.measure_your_tracker:make -o out
"""

from collections.abc import Iterator

import cv2
import numpy as np

from edgetam.eval.trackers import FrameScores, Scores
from edgetam.io import FrameSource
from edgetam.structs import Prompt


class ShiftVideo:
    """Moves each mask as a whole to where the picture around it went."""

    def __init__(self, frames: FrameSource) -> None:
        self.frames = frames
        self.begins: dict[int, tuple[int, Scores]] = {}

    def prompt(self, frame: int, object_id: int, prompt: Prompt) -> Scores:
        """Begin with an object; this tracker takes masks only."""
        scores = np.where(prompt.mask, np.float32(1), np.float32(-1))
        self.begins[object_id] = frame, scores
        return scores

    def propagate(self, start: int) -> Iterator[FrameScores]:
        """Follow all objects to the end."""
        objects: dict[int, Scores] = {}
        for frame in range(start, len(self.frames)):
            objects = {i: self.moved(scores, frame) for i, scores in objects.items()}
            objects |= {i: scores for i, (begin, scores) in self.begins.items() if begin == frame}
            yield FrameScores(frame, dict(objects))

    def moved(self, scores: Scores, frame: int) -> Scores:
        """One mask, a frame later."""
        before, after = (cv2.cvtColor(self.frames[t], cv2.COLOR_RGB2GRAY) for t in (frame - 1, frame))
        window = cv2.GaussianBlur((scores > 0).astype(np.float32), (0, 0), 9)
        (dx, dy), _ = cv2.phaseCorrelate(before.astype(np.float32), after.astype(np.float32), window)
        height, width = scores.shape
        return cv2.warpAffine(scores, np.float32([[1, 0, dx], [0, 1, dy]]), (width, height), borderValue=-1)

    def close(self) -> None:
        """Nothing is held open."""


class ShiftTracker:
    """See `edgetam.eval.trackers.Tracker`."""

    def open(self, frames: FrameSource) -> ShiftVideo:
        """Begin with a video."""
        return ShiftVideo(frames)


def make() -> ShiftTracker:
    """What ``--tracker examples.measure_your_tracker:make`` calls."""
    return ShiftTracker()
