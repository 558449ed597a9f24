"""Small data sets on disk, and a tracker that does as it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgetam.eval.trackers import FrameScores, Scores
from edgetam.io import FrameSource
from edgetam.io.masks import palette_png
from edgetam.structs import Prompt

WIDTH, HEIGHT = 32, 24
Mask = NDArray[np.bool_]


def square(x: int, y: int, side: int = 6) -> Mask:
    """A square with its left upper corner at x, y."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[max(y, 0) : y + side, max(x, 0) : x + side] = True
    return mask


def save_frame(path: Path, number: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """A picture of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save(path)


def save_ids(path: Path, masks: Mapping[int, Mask], size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """A palette PNG of object ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(palette_png(masks, size[1], size[0]))


def moving(frames: int, start: int = 4) -> list[Mask]:
    """A square that moves to the right by a pixel per frame."""
    return [square(start + t, 8) for t in range(frames)]


def make_video(
    root: Path,
    name: str,
    truth: Mapping[int, Mapping[int, Mask]],
    frames: int,
    *,
    images: str = "JPEGImages",
    masks: str = "Annotations",
) -> None:
    """One sequence with masks on some of its frames: ``truth[frame][object]``."""
    for t in range(frames):
        save_frame(root / images / name / f"{t:05d}.jpg", t)
    for t, objects in truth.items():
        save_ids(root / masks / name / f"{t:05d}.png", objects)


def make_dataset(root: Path, names: tuple[str, ...] = ("a", "b"), frames: int = 5) -> Path:
    """Sequences of one moving square in the generic layout."""
    for name in names:
        make_video(root, name, {t: {1: mask} for t, mask in enumerate(moving(frames))}, frames)
    return root


Answer = Callable[[int, int, list[Prompt]], Mask]
"""Frame, object and all its prompts so far to what is found."""


class FakeTracker:
    """Answers by a rule, and writes down what it is asked.

    Args:
        answer: the rule.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []
        self.opened = 0
        self.closed = 0

    def open(self, frames: FrameSource) -> FakeVideo:
        self.opened += 1
        self.calls.append(("open", getattr(frames, "name", "")))
        return FakeVideo(self, frames)

    def asked(self, what: str) -> list[tuple[Any, ...]]:
        """The calls of one kind, without their name."""
        return [call[1:] for call in self.calls if call[0] == what]


class FakeVideo:
    def __init__(self, tracker: FakeTracker, frames: FrameSource) -> None:
        self.tracker = tracker
        self.frames = frames
        self.prompts: dict[int, list[Prompt]] = {}
        self.begins: dict[int, int] = {}

    def prompt(self, frame: int, object_id: int, prompt: Prompt) -> Scores:
        self.tracker.calls.append(("prompt", frame, object_id, prompt))
        self.begins.setdefault(object_id, frame)
        self.prompts.setdefault(object_id, []).append(prompt)
        return self._scores(frame, object_id)

    def propagate(self, start: int) -> Iterator[FrameScores]:
        self.tracker.calls.append(("propagate", start))
        for frame in range(start, len(self.frames)):
            shown = [i for i, begin in self.begins.items() if begin <= frame]
            yield FrameScores(frame, {i: self._scores(frame, i) for i in shown})

    def close(self) -> None:
        self.tracker.closed += 1

    def _scores(self, frame: int, object_id: int) -> Scores:
        found = self.tracker.answer(frame, object_id, self.prompts[object_id])
        return np.where(found, np.float32(1), np.float32(-1))
