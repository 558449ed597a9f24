"""Simulated users of the evaluation: from ground truth to a mask, a box or clicks.

Source: SAM 2 (arXiv 2408.00714), section 6.1 and appendix. Where clicks fall is decided by
`edgetam.train.clicks.centre_click_from_error`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgetam.errors import ConfigError
from edgetam.eval.trackers import Scores, TrackedVideo
from edgetam.io.masks import Mask
from edgetam.structs import Prompt
from edgetam.train.clicks import Click, box_from_mask, centre_click_from_error

__all__ = ["PROMPTS", "ask", "click_away_errors", "prompt_object", "tight_box"]

PROMPTS = ("mask", "box", "1click", "3click", "5click")


def prompt_object(video: TrackedVideo, frame: int, object_id: int, truth: Mask, how: str) -> None:
    """Prompt an object on one frame.

    Args:
        video: the video being tracked.
        frame: index of the frame.
        object_id: id of the object.
        truth: where it is, ``[H, W]``, not empty.
        how: one of `PROMPTS`.

    Raises:
        ConfigError: another way to prompt.
        PromptError: the tracker does not take such prompts.
    """
    if how not in PROMPTS:
        raise ConfigError(f"The prompt is '{how}'; expected one of {', '.join(PROMPTS)}.")
    if how == "mask":
        video.prompt(frame, object_id, Prompt(mask=truth))
    elif how == "box":
        video.prompt(frame, object_id, Prompt(box=tight_box(truth)))
    else:
        answer = ask(video, frame, object_id)
        click_away_errors(answer, truth, np.zeros_like(truth), int(how[0]))


def click_away_errors(answer: Callable[[Click], Scores], truth: Mask, found: Mask, clicks: int) -> Mask:
    """Click ``clicks`` times, each time in the middle of the deepest error; the last answer, ``[H, W]``.

    Where nothing is found yet, that is the middle of the object.
    """
    for _ in range(clicks):
        found = answer(centre_click_from_error(found, truth)) > 0
    return found


def ask(video: TrackedVideo, frame: int, object_id: int) -> Callable[[Click], Scores]:
    """Click on an object on one frame and get the answer."""
    return lambda click: video.prompt(
        frame, object_id, Prompt(points=[[click.x, click.y]], labels=[click.label])
    )


def tight_box(mask: Mask) -> NDArray[np.float32]:
    """The box ``[x0, y0, x1, y1]`` around a mask; objects as thin as one pixel get a box of one pixel."""
    box = box_from_mask(mask)
    box[2:] = np.maximum(box[2:], box[:2] + 1)
    return box
