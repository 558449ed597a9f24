"""Anything with the methods of SAM 2's video predictor: the published code, its forks, our `compat`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from edgetam.errors import PromptError
from edgetam.eval.trackers.base import FrameScores, Scores
from edgetam.io import FrameSource
from edgetam.structs import Prompt

__all__ = ["SAM2Tracker"]

_JPEG = {".jpg", ".jpeg"}
_Key = tuple[int, int | None]
"""The frame on which the objects of a state begin, and the object unless states are shared."""


class SAM2Tracker:
    """What ``build_sam2_video_predictor`` returns.

    Such a predictor looks for all objects of a state on every frame from the first prompt on, and the
    published EdgeTAM cannot track several. So every object gets a state of its own, as in the published
    script for objects that appear later: none is tracked before its first prompt.

    Args:
        predictor: has ``init_state``, ``add_new_points_or_box``, ``add_new_mask`` and ``propagate_in_video``.
        autocast: run under ``torch.autocast`` with bfloat16 on this device type, as published numbers are
            (our `compat` runs in its own ``precision`` instead).
        share_states: one state for all objects that begin on the same frame. SAM 2 then holds and encodes
            frames once for all of them, in less memory and time; the published EdgeTAM raises an error.
    """

    def __init__(self, predictor: Any, *, autocast: str | None = None, share_states: bool = False) -> None:
        self.predictor = predictor
        self.autocast = autocast
        self.share_states = share_states

    def open(self, frames: FrameSource) -> _PredictorVideo:
        """See `Tracker`."""
        return _PredictorVideo(self.predictor, frames, self.autocast, self.share_states)


class _PredictorVideo:
    def __init__(self, predictor: Any, frames: FrameSource, autocast: str | None, share_states: bool) -> None:
        self._predictor = predictor
        self._autocast = autocast
        self._length = len(frames)
        self._stack = ExitStack()
        self._source = _as_published(frames, self._stack)
        self._share_states = share_states
        self._begins: dict[int, int] = {}  # object id to the frame it begins on
        self._states: dict[_Key, Any] = {}

    def prompt(self, frame: int, object_id: int, prompt: Prompt) -> Scores:
        begin = self._begins.setdefault(object_id, frame)
        if frame < begin:
            raise PromptError(
                f"Object {object_id} begins on frame {begin}; prompt it there or later, not on {frame}."
            )
        key = begin, None if self._share_states else object_id
        with _inference(self._autocast):
            if key not in self._states:
                self._states[key] = self._predictor.init_state(self._source)
            _, ids, logits = self._add(self._states[key], frame, object_id, prompt)
        return _plane(logits[list(ids).index(object_id)])

    def propagate(self, start: int) -> Iterator[FrameScores]:
        runs: dict[_Key, Iterator[Any]] = {}
        for frame in range(start, self._length):
            objects: dict[int, Scores] = {}
            for key, state in self._states.items():
                if key[0] > frame:
                    continue
                if key not in runs:
                    runs[key] = self._predictor.propagate_in_video(state, start_frame_idx=frame)
                with _inference(self._autocast):
                    _, ids, logits = next(runs[key])
                objects |= {int(i): _plane(each) for i, each in zip(ids, logits, strict=True)}
            yield FrameScores(frame, dict(sorted(objects.items())))

    def close(self) -> None:
        self._states.clear()
        self._stack.close()

    def _add(self, state: Any, frame: int, object_id: int, prompt: Prompt) -> Any:
        if prompt.mask is not None:
            return self._predictor.add_new_mask(state, frame, object_id, np.asarray(prompt.mask, bool))
        points = None if prompt.points is None else np.asarray(prompt.points, np.float32)
        labels = prompt.labels
        if points is not None and labels is None:
            labels = np.ones(len(points), np.int32)
        return self._predictor.add_new_points_or_box(
            inference_state=state,
            frame_idx=frame,
            obj_id=object_id,
            points=points,
            labels=None if labels is None else np.asarray(labels, np.int32),
            box=prompt.box,
            # a box has to come first, on a clean frame; points add up
            clear_old_points=prompt.box is not None,
        )


def _as_published(frames: FrameSource, stack: ExitStack) -> Any:
    """The published predictor reads a folder of numbered JPEG files; links to the frames make one."""
    paths: Sequence[Path] = getattr(frames, "paths", ())
    if not paths or any(path.suffix.lower() not in _JPEG for path in paths):
        return frames  # ours takes anything; others say what they miss
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgetam-")))
    for number, path in enumerate(paths):
        (folder / f"{number:05d}.jpg").symlink_to(path.resolve())
    return str(folder)


def _inference(autocast: str | None) -> Any:
    import torch

    stack = ExitStack()
    stack.enter_context(torch.inference_mode())
    stack.enter_context(torch.autocast(autocast, torch.bfloat16) if autocast else nullcontext())
    return stack


def _plane(logits: Any) -> Scores:
    """Logits ``[1, H, W]`` of a tensor anywhere as an array ``[H, W]``."""
    plane: Scores = logits.float().cpu().numpy().reshape(logits.shape[-2:])
    return plane
