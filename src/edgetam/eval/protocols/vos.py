"""Semi-supervised video object segmentation: objects are shown once, then followed to the end.

Source: Pont-Tuset et al., "The 2017 DAVIS Challenge" (arXiv 1704.00675); objects that appear later as in
YouTube-VOS (arXiv 1809.03327); clicks and boxes as in SAM 2 (arXiv 2408.00714), section 6.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from edgetam.errors import EdgeTAMError
from edgetam.eval.datasets.video import EvalVideo
from edgetam.eval.protocols.prompting import prompt_object
from edgetam.eval.trackers import FrameScores, Tracker

__all__ = ["follow"]


def follow(
    tracker: Tracker, video: EvalVideo, *, prompt: str = "mask", late: bool = True
) -> Iterator[FrameScores]:
    """Prompt each object where it first shows and track it to the end.

    Args:
        tracker: what to measure.
        video: frames and at least the ground truth that is prompted.
        prompt: one of `edgetam.eval.protocols.prompting.PROMPTS`.
        late: also prompt objects that appear after the first annotated frame.

    Yields:
        Every frame of the video from the first on; objects appear from the frame of their prompt on.

    Raises:
        MediaError: a frame or mask cannot be read.
        PromptError: the tracker does not take such a prompt; the message names sequence, frame and object.
    """
    first = video.first_frames(late=late)
    with video.open() as frames, closing(tracker.open(frames)) as tracked:
        for object_id, frame in first.items():
            truth = video.masks(frame)[object_id]
            video.check_size(frame, truth, (frames.width, frames.height))
            try:
                prompt_object(tracked, frame, object_id, truth, prompt)
            except EdgeTAMError as error:
                raise type(error)(f"{video.where(frame, object_id)}: {error}") from error
        start = min(first.values())
        yield from (FrameScores(frame, {}) for frame in range(start))
        yield from tracked.propagate(start)
