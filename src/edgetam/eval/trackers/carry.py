"""Baselines without a network: masks are carried from frame to frame by a rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.errors import PromptError
from edgetam.eval.trackers.base import FrameScores, Scores
from edgetam.io import FrameSource
from edgetam.structs import Prompt

__all__ = ["CopyTracker", "FlowTracker"]

Soft = NDArray[np.float32]
"""How much of a pixel belongs to the object, 0..1, ``[H, W]``."""

INSIDE = 0.5

LEAST_SIDE = 16
"""What OpenCV's flow needs of both sides, in pixels: below, it raises or takes the process down."""


class Carry(Protocol):
    """How masks get from one frame to the next."""

    def __call__(self, frame: int, masks: dict[int, Soft]) -> dict[int, Soft]:
        """Masks on ``frame``, from those on the frame before it."""
        ...


class CopyTracker:
    """Leaves the prompted mask where it is: what every tracker must beat."""

    def open(self, frames: FrameSource) -> _CarriedVideo:
        """See `Tracker`."""
        return _CarriedVideo(frames, lambda frame, masks: masks)


class FlowTracker:
    """Warps soft masks along the dense optical flow between neighbouring frames (DIS, arXiv 1603.03590).

    The flow goes from each frame back to the one before it, at the size of the video, so that every pixel
    asks where it came from. Masks stay soft on the way and are cut at one half only when handed out.
    """

    def open(self, frames: FrameSource) -> _CarriedVideo:
        """See `Tracker`."""
        return _CarriedVideo(frames, _FlowWarp(frames))


class _CarriedVideo:
    def __init__(self, frames: FrameSource, carry: Carry) -> None:
        self._frames = frames
        self._carry = carry
        self._given: dict[int, dict[int, Soft]] = {}

    def prompt(self, frame: int, object_id: int, prompt: Prompt) -> Scores:
        if prompt.mask is None:
            raise PromptError("This tracker only follows masks, not clicks or boxes; prompt it with a mask.")
        mask = np.asarray(prompt.mask, bool).astype(np.float32)
        self._given.setdefault(frame, {})[object_id] = mask
        return mask - np.float32(INSIDE)

    def propagate(self, start: int) -> Iterator[FrameScores]:
        masks: dict[int, Soft] = {}
        # from the first prompt, even where that was long before: nothing is kept between two calls
        for frame in range(min([start, *self._given]), len(self._frames)):
            masks = self._carry(frame, masks) if masks else masks
            masks = {**masks, **self._given.get(frame, {})}
            if frame >= start:
                yield FrameScores(frame, {i: soft - np.float32(INSIDE) for i, soft in masks.items()})

    def close(self) -> None:
        self._given.clear()


class _FlowWarp:
    def __init__(self, frames: FrameSource) -> None:
        self._frames = frames
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        x, y = np.meshgrid(np.arange(frames.width), np.arange(frames.height))
        self._grid = np.stack([x, y], -1).astype(np.float32)  # [H, W, 2]
        self._last: tuple[int, Any] = (-1, None)

    def __call__(self, frame: int, masks: dict[int, Soft]) -> dict[int, Soft]:
        before = self._grey(frame - 1)
        height, width = self._grid.shape[:2]
        flow = self._flow.calc(self._grey(frame), before, None)[:height, :width]
        source = self._grid + flow  # [H, W, 2]
        return {i: self._warp(soft, source) for i, soft in masks.items()}

    def _warp(self, soft: Soft, source: NDArray[np.float32]) -> Soft:
        warped: Any = cv2.remap(
            soft, source[..., 0], source[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )
        return warped

    def _grey(self, frame: int) -> Any:
        if self._last[0] != frame:
            self._last = frame, _large_enough(cv2.cvtColor(self._frames[frame], cv2.COLOR_RGB2GRAY))
        return self._last[1]


def _large_enough(grey: Any) -> Any:
    """Repeat the last row and column of a picture that is too small."""
    missing = [max(0, LEAST_SIDE - side) for side in grey.shape]
    if not any(missing):
        return grey
    return cv2.copyMakeBorder(grey, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
