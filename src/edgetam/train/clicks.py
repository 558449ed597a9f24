"""Simulated users: where people click on a mask, and on what is wrong with an answer.

Random rules are those SAM 2 is trained with (arXiv 2408.00714, appendix D), centre rules those it is
evaluated with. Everything here is NumPy, in pixels, x before y. Pixels of ``void`` are those that nothing is
said about: no click corrects them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.errors import PromptError

__all__ = [
    "Click",
    "box_from_mask",
    "centre_click",
    "centre_click_from_error",
    "click_from_error",
    "first_click",
    "training_click",
]

Mask = NDArray[np.bool_]

FRESH_START = 0.1
"""How often a training click ignores the answer and falls anywhere on the object."""

JITTER_LIMIT = 20.0
"""Corners of a simulated box are off by this many pixels at most."""


class Click(NamedTuple):
    """One click on a pixel; label 1 means "this", 0 means "not this"."""

    x: int
    y: int
    label: int


def _as_mask(value: Any, name: str) -> Mask:
    mask = np.asarray(value)
    if mask.ndim != 2 or mask.size == 0:
        raise PromptError(f"{name} has shape {mask.shape}, expected [height, width]: pass one mask.")
    return mask.astype(bool, copy=False)


def _as_pair(predicted: Any, target: Any, void: Mask | None) -> tuple[Mask, Mask]:
    """An answer and the truth; where nothing is known, the answer is right."""
    first, second = _as_mask(predicted, "predicted"), _as_mask(target, "target")
    if first.shape != second.shape:
        raise PromptError(
            f"predicted is {first.shape} and target is {second.shape}, expected one size: resize one."
        )
    return first if void is None else np.where(void, second, first), second


def _not_empty(mask: Mask) -> Mask:
    if not mask.any():
        raise PromptError(
            "the mask is empty, expected at least one pixel: pick a frame that shows the object."
        )
    return mask


def _pick(region: Mask, rng: np.random.Generator) -> tuple[int, int]:
    """A pixel x, y of a region, uniformly."""
    places = np.flatnonzero(region)
    y, x = divmod(int(places[rng.integers(len(places))]), region.shape[1])
    return x, y


def _deepest(region: Mask) -> tuple[int, int, float]:
    """The pixel x, y of a region farthest from its outside, and how far; beyond the image is outside."""
    padded = np.pad(region.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = divmod(int(depth.argmax()), region.shape[1])
    return x, y, float(depth[y, x])


def _no_error(target: Mask, void: Mask | None) -> tuple[Mask, int]:
    """Where to click on a perfect answer: the background, or the object when there is no other."""
    background = ~target if void is None else ~(target | void)
    if background.any():
        return background, 0
    return (target, 1) if target.any() else (~target, 0)  # the last where nothing is known of any pixel


def first_click(mask: Any, rng: np.random.Generator) -> Click:
    """A positive click anywhere on the object ``[H, W]``, uniformly.

    Raises:
        PromptError: the mask is empty or not two-dimensional.
    """
    return Click(*_pick(_not_empty(_as_mask(mask, "mask")), rng), 1)


def click_from_error(
    predicted: Any, target: Any, rng: np.random.Generator, void: Mask | None = None
) -> Click:
    """A click on a wrong pixel, uniformly over missed and superfluous ones; both masks are ``[H, W]``.

    The label is 1 on missed pixels and 0 on superfluous ones. A perfect prediction gets a negative click
    in the background.

    Raises:
        PromptError: the masks are not two-dimensional or differ in size.
    """
    answer, truth = _as_pair(predicted, target, void)
    wrong = answer ^ truth
    if not wrong.any():
        region, label = _no_error(truth, void)
        return Click(*_pick(region, rng), label)
    x, y = _pick(wrong, rng)
    return Click(x, y, int(truth[y, x]))


def training_click(predicted: Any, target: Any, rng: np.random.Generator, void: Mask | None = None) -> Click:
    """The next click of training: mostly on an error, one time in ten anywhere on the object.

    Raises:
        PromptError: the masks are not two-dimensional or differ in size.
    """
    answer, truth = _as_pair(predicted, target, void)
    if rng.random() < FRESH_START and truth.any():
        return first_click(truth, rng)
    return click_from_error(answer, truth, rng, void)


def box_from_mask(
    mask: Any, rng: np.random.Generator | None = None, jitter: float = 0.1
) -> NDArray[np.float32]:
    """The tight box ``[x0, y0, x1, y1]`` around a mask, corner pixels included.

    With a generator every coordinate is moved by up to ``jitter`` times the box's side in that direction
    and by 20 pixels at most, and kept inside the image.

    Raises:
        PromptError: the mask is empty or not two-dimensional, or ``jitter`` is not in 0..0.5.
    """
    if not 0.0 <= jitter <= 0.5:
        raise PromptError(f"jitter is {jitter}, expected a part of the side from 0 to 0.5: change it.")
    truth = _not_empty(_as_mask(mask, "mask"))
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    box = np.array([columns[0], rows[0], columns[-1], rows[-1]], dtype=np.float32)
    if rng is None:
        return box
    sides = np.tile(box[2:] - box[:2] + 1, 2)
    box += (rng.uniform(-1.0, 1.0, 4) * np.minimum(jitter * sides, JITTER_LIMIT)).astype(np.float32)
    last = np.tile(np.array(truth.shape[::-1], dtype=np.float32) - 1, 2)
    return np.clip(box, 0.0, last).astype(np.float32)


def centre_click(mask: Any) -> Click:
    """A positive click on the pixel of the object ``[H, W]`` farthest from its outside.

    Raises:
        PromptError: the mask is empty or not two-dimensional.
    """
    x, y, _ = _deepest(_not_empty(_as_mask(mask, "mask")))
    return Click(x, y, 1)


def centre_click_from_error(predicted: Any, target: Any, void: Mask | None = None) -> Click:
    """The evaluation's next click: the deepest pixel of what is missed or of what is superfluous.

    The deeper of the two wins, and superfluous pixels win ties. A perfect prediction gets a negative click
    at the deepest pixel of the background.

    Raises:
        PromptError: the masks are not two-dimensional or differ in size.
    """
    answer, truth = _as_pair(predicted, target, void)
    if np.array_equal(answer, truth):
        region, label = _no_error(truth, void)
        x, y, _ = _deepest(region)
        return Click(x, y, label)
    missed, extra = _deepest(truth & ~answer), _deepest(answer & ~truth)
    return Click(missed[0], missed[1], 1) if missed[2] > extra[2] else Click(extra[0], extra[1], 0)
