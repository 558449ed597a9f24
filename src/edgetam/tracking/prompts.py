"""Checking what the user points at, before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.errors import PromptError
from edgetam.structs import Prompt
from edgetam.tracking.geometry import Floats

__all__ = [
    "LARGEST",
    "Clicks",
    "check_number",
    "check_prompt",
    "mask_array",
    "read_mask",
    "read_prompt",
]

BOX_LABELS = (2, 3)
LARGEST = 2**63 - 1
"""Of object ids and frame numbers: files hold them in 64 bits."""


@dataclass(frozen=True)
class Clicks:
    """A checked prompt: a box is its two corners, ahead of the points, with labels 2 and 3."""

    points: Floats = field(default_factory=lambda: np.zeros((0, 2), np.float32))  # [P, 2] pixels
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # [P]
    mask: NDArray[np.bool_] | None = None  # [H, W]

    def followed_by(self, other: Clicks) -> Clicks:
        """These and then the other's points; a mask replaces everything, and points replace a mask."""
        if other.mask is not None or self.mask is not None:
            return other
        if BOX_LABELS[0] in other.labels and len(self.points):
            raise PromptError(
                "A box was given after points or another box on the same frame; expected one box, and that "
                "first: pass replace=True to start over with it."
            )
        return Clicks(
            np.concatenate([self.points, other.points]), np.concatenate([self.labels, other.labels])
        )


def check_number(name: str, value: Any) -> int:
    """``value`` as an int of at least 0.

    Raises:
        PromptError: it is negative, beyond `LARGEST`, or not a whole number.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 0:
        raise PromptError(f"{name} is {value!r}; expected a whole number of at least 0.")
    if value > LARGEST:
        raise PromptError(f"{name} is {value!r}; expected at most {LARGEST}.")
    return int(value)


def check_prompt(prompt: Any) -> Prompt:
    """Refuse what is no `Prompt`.

    Raises:
        PromptError: says what it is.
    """
    if not isinstance(prompt, Prompt):
        raise PromptError(
            f"The prompt is a {type(prompt).__name__}; expected Prompt(points=...) or the like."
        )
    return prompt


def read_prompt(prompt: Prompt, width: int, height: int) -> Clicks:
    """Check a prompt against a frame of ``width`` x ``height`` pixels.

    Raises:
        PromptError: not a `Prompt`; nothing given; a mask together with points or a box; wrong shapes,
            labels or numbers; anything outside the frame; an empty box or mask.
    """
    check_prompt(prompt)
    given = [name for name in ("points", "box", "mask") if getattr(prompt, name) is not None]
    if not given:
        raise PromptError("The prompt is empty; give points, a box or a mask.")
    if prompt.mask is not None:
        if len(given) > 1:
            raise PromptError(f"A mask was given together with {given[0]}; give one or the other.")
        return Clicks(mask=read_mask(prompt.mask, width, height))
    if prompt.labels is not None and prompt.points is None:
        raise PromptError("Labels were given without points; expected one label per point.")
    clicks = Clicks() if prompt.box is None else _read_box(prompt.box, width, height)
    if prompt.points is not None:
        clicks = clicks.followed_by(_read_points(prompt.points, prompt.labels, width, height))
    return clicks


def _numbers(value: Any, what: str) -> Floats:
    try:
        with np.errstate(over="ignore"):  # too large a number becomes infinity, which is caught below
            # a copy, since the caller may reuse theirs; tensors cannot be asked for one by np.array
            array = np.asarray(value, dtype=np.float32).copy()
    # the last are tensors' words for memory elsewhere, gradients and types that NumPy lacks
    except (ValueError, OverflowError, TypeError, RuntimeError) as error:
        raise PromptError(f"{what} is {value!r}; expected numbers.") from error
    if not np.isfinite(array).all():
        raise PromptError(f"{what} is {value!r}, which holds NaN or infinity; expected pixel coordinates.")
    return array


def _inside(points: Floats, what: str, width: int, height: int) -> None:
    for x, y in points.reshape(-1, 2):
        if not (0 <= x <= width and 0 <= y <= height):
            raise PromptError(
                f"{what} ({x:g}, {y:g}) is outside the frame of {width} x {height} pixels; "
                "give pixel coordinates x,y from the top left."
            )


def _read_points(points: Any, labels: Any, width: int, height: int) -> Clicks:
    array = _numbers(points, "points")
    if array.ndim == 1 and array.shape == (2,):
        array = array[None]
    if array.ndim != 2 or array.shape[1] != 2 or not len(array):
        raise PromptError(f"points have shape {array.shape}; expected [[x, y], ...].")
    _inside(array, "Point", width, height)
    marks = _numbers(np.ones(len(array)) if labels is None else labels, "labels").reshape(-1)
    if len(marks) != len(array):
        raise PromptError(f"{len(marks)} labels were given for {len(array)} points; expected one per point.")
    if not np.isin(marks, (0, 1)).all():
        raise PromptError(f"labels are {marks.tolist()}; expected 1 for the object and 0 for anything else.")
    return Clicks(array, marks.astype(np.int64))


def _read_box(box: Any, width: int, height: int) -> Clicks:
    corners = _numbers(box, "box").reshape(-1)
    if corners.shape != (4,):
        raise PromptError(f"box has {corners.size} numbers; expected x0, y0, x1, y1.")
    x0, y0, x1, y1 = corners.tolist()
    if x1 <= x0 or y1 <= y0:
        raise PromptError(
            f"box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) has no area; expected x0 < x1 and y0 < y1 "
            "(corners, not width and height)."
        )
    _inside(corners, "Box corner", width, height)
    return Clicks(corners.reshape(2, 2), np.array(BOX_LABELS, np.int64))


def mask_array(mask: Any) -> NDArray[Any]:
    """``mask`` as an array of any kind.

    Raises:
        PromptError: it cannot be one.
    """
    try:
        return np.asarray(mask)
    except (ValueError, TypeError, RuntimeError) as error:  # as of `_numbers`
        raise PromptError(f"mask is not a rectangle of numbers ({error}); expected [H, W].") from error


def read_mask(mask: Any, width: int, height: int) -> NDArray[np.bool_]:
    """Check a mask against a frame; see `read_prompt`."""
    array = mask_array(mask)
    if array.dtype.kind not in "biuf":
        raise PromptError(f"mask has type {array.dtype}; expected true or non-zero where the object is.")
    if array.shape != (height, width):
        raise PromptError(
            f"mask has shape {array.shape}; expected {(height, width)}, the rows and columns of the frame."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise PromptError("mask holds NaN or infinity; expected true where the object is.")
    chosen = np.array(array, bool, order="C")  # a copy, laid out as it will be saved
    if not chosen.any():
        raise PromptError("mask has no pixel set; mark the object, or leave it out on this frame.")
    return chosen
