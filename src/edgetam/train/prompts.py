"""Simulated users for a batch: clicks, boxes, damaged masks and corrections as the decoder takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from edgetam.config import MASK_STRIDE
from edgetam.structs import DecoderPrompt
from edgetam.train.clicks import (
    Click,
    box_from_mask,
    centre_click,
    centre_click_from_error,
    click_from_error,
    first_click,
    training_click,
)

__all__ = ["boxes", "clicks", "corrected", "damaged", "no_prompt"]

Generators = Sequence[np.random.Generator]

MOST_SHIFT = 0.25
"""A damaged mask is moved by up to this part of the object's side."""
LEAST_OVERLAP = 0.3
"""A mask that is damaged beyond this could be of any object; it is given whole instead."""
LOGIT_SCALE = 10.0


def no_prompt(batch: int, device: torch.device | str = "cpu") -> DecoderPrompt[Tensor]:
    """One point that is no point, for frames that are only tracked."""
    return DecoderPrompt(torch.zeros(batch, 1, 2, device=device), torch.full((batch, 1), -1, device=device))


def clicks(
    masks: Tensor, dice: Generators, centre: float = 0.0, void: Tensor | None = None
) -> DecoderPrompt[Tensor]:
    """One positive click inside each mask ``[B, S, S]``, or a negative one where it is empty.

    ``centre`` is how often the click falls on the deepest pixel instead of any. Negative ones avoid ``void``,
    pixels ``[B, S, S]`` that nothing is said about.
    """
    unknown = _each(void, len(masks))
    made = (_first_click(m, rng, centre, v) for (m, rng), v in zip(_pairs(masks, dice), unknown, strict=True))
    return _prompt(made, masks.device)


def _first_click(
    mask: NDArray[np.bool_], rng: np.random.Generator, centre: float, void: NDArray[np.bool_] | None
) -> Click:
    if not mask.any():
        return click_from_error(mask, mask, rng, void)
    return centre_click(mask) if rng.random() < centre else first_click(mask, rng)


def boxes(masks: Tensor, dice: Generators, void: Tensor | None = None) -> DecoderPrompt[Tensor]:
    """The box of each mask ``[B, S, S]``, a little off, as two corners.

    Where a mask is empty there are two negative clicks, none of them in ``void``.
    """
    points, labels = [], []
    for (mask, rng), unknown in zip(_pairs(masks, dice), _each(void, len(masks)), strict=True):
        if mask.any():
            points.append(box_from_mask(mask, rng).reshape(2, 2))
            labels.append([2, 3])
        else:
            away = [click_from_error(mask, mask, rng, unknown) for _ in range(2)]
            points.append(np.array([(c.x, c.y) for c in away], np.float32))
            labels.append([0, 0])
    where = torch.from_numpy(np.stack(points)).to(masks.device)
    return DecoderPrompt(where, torch.tensor(labels, device=masks.device))


def damaged(masks: Tensor, dice: Generators) -> Tensor:
    """Masks ``[B, S, S]`` as logits ``[B, 1, S / 4, S / 4]`` of a poor answer.

    Each is moved, grown or shrunk, and has a piece missing or too much: what an earlier frame, or another
    tool, would give to be mended.
    """
    spoilt = np.stack([_damage(mask, rng) for mask, rng in _pairs(masks, dice)])
    likely = F.avg_pool2d(torch.from_numpy(spoilt)[:, None], MASK_STRIDE)
    return ((2 * likely - 1) * LOGIT_SCALE).to(masks.device)


def _damage(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    whole = mask.astype(np.uint8)
    if not mask.any():
        return whole.astype(np.float32)
    side = max(float(np.sqrt(mask.sum())), 8.0)
    spoilt = _shifted(_cut(_grown(whole, side, rng), side, rng), side, rng)
    kept = np.minimum(spoilt, whole).sum() / np.maximum(spoilt, whole).sum()
    return spoilt if kept > LEAST_OVERLAP else whole.astype(np.float32)


def _grown(mask: NDArray[np.uint8], side: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Thicker or thinner all round."""
    radius = int(rng.uniform(0.0, 0.12) * side)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return (cv2.dilate if rng.random() < 0.5 else cv2.erode)(mask, kernel).astype(np.uint8)


def _cut(mask: NDArray[np.uint8], side: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A rectangle that is missing or too much, somewhere in the mask's bounding box."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows):
        x, y = int(rng.choice(columns)), int(rng.choice(rows))
        width, height = (rng.uniform(0.1, 0.6, 2) * side).astype(int)
        mask[y : y + height + 1, x : x + width + 1] = rng.random() < 0.4
    return mask


def _shifted(mask: NDArray[np.uint8], side: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Half of the time at another place nearby."""
    dx, dy = rng.uniform(-MOST_SHIFT, MOST_SHIFT, 2) * side * (rng.random() < 0.5)
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return np.asarray(cv2.warpAffine(mask.astype(np.float32), shift, mask.shape[::-1]))


def corrected(
    prompt: DecoderPrompt[Tensor],
    logits: Tensor,
    answers: Tensor,
    masks: Tensor,
    dice: Generators,
    centre: float = 0.0,
    void: Tensor | None = None,
) -> DecoderPrompt[Tensor]:
    """The prompt with a click where the answer is wrong, and the answer itself to start from.

    Args:
        prompt: what was asked.
        logits: of the answer, ``[B, 1, h, w]``.
        answers: the same as masks ``[B, S, S]``.
        masks: the truth ``[B, S, S]``.
        dice: one per object, chooses among the wrong pixels.
        centre: how often the deepest wrong pixel is clicked instead.
        void: pixels ``[B, S, S]`` that nothing is said about; none of them is wrong.
    """
    rows = zip(answers.cpu().numpy(), masks.cpu().numpy(), dice, _each(void, len(masks)), strict=True)
    more = _prompt(
        (
            centre_click_from_error(answer, truth, unknown)
            if rng.random() < centre
            else training_click(answer, truth, rng, unknown)
            for answer, truth, rng, unknown in rows
        ),
        masks.device,
    )
    return DecoderPrompt(
        torch.cat([prompt.points, more.points], 1),
        torch.cat([prompt.labels, more.labels], 1),
        logits,
    )


def _pairs(masks: Tensor, dice: Generators) -> Iterable[tuple[NDArray[np.bool_], np.random.Generator]]:
    return zip(masks.cpu().numpy(), dice, strict=True)


def _each(void: Tensor | None, count: int) -> Iterator[NDArray[np.bool_] | None]:
    """What is unknown around each of the objects."""
    return repeat(None, count) if void is None else iter(void.cpu().numpy())


def _prompt(made: Iterable[Click], device: torch.device) -> DecoderPrompt[Tensor]:
    """Clicks of B objects to points ``[B, 1, 2]`` and labels ``[B, 1]``."""
    table = torch.tensor(list(made), device=device)
    return DecoderPrompt(table[:, None, :2].float(), table[:, 2:])
