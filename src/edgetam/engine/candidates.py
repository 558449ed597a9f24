"""Choosing among the decoder's four candidates, in NumPy: the rules of `edgetam.model.mask_decoder`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.engine.base import DecodeMode, Floats
from edgetam.structs import Decoded

__all__ = ["choose"]

STABILITY_DELTA = 0.05
STABILITY_THRESHOLD = 0.98


def choose(
    masks: Floats, scores: Floats, presence: Floats, pointers: Floats, mode: DecodeMode
) -> Decoded[Any]:
    """Answer from all four candidates.

    Args:
        masks: logits ``[B, 4, 4g, 4g]``; the first is for unambiguous prompts, the others for ambiguous ones.
        scores: ``[B, 4]``.
        presence: logits ``[B, 1]``.
        pointers: one per candidate, ``[B, 4, 256]``.
        mode: see `DecodeMode`.
    """
    rows = np.arange(len(masks))
    best = scores[:, 1:].argmax(1)  # [B]
    first = np.zeros_like(best)
    if mode == "several":
        return Decoded(masks[:, 1:], scores[:, 1:], presence, pointers[rows, best + 1], best)
    if mode == "best":
        return _one(masks, scores, presence, pointers[rows, best + 1], best + 1)
    # as published: the pointer stays the single candidate's even if another takes over
    chosen = np.where(_is_stable(masks[:, 0]), 0, best + 1) if mode == "stable" else first
    return _one(masks, scores, presence, pointers[:, 0], chosen)


def _one(
    masks: Floats, scores: Floats, presence: Floats, pointer: Floats, chosen: NDArray[np.int64]
) -> Decoded[Any]:
    rows = np.arange(len(chosen))
    return Decoded(
        masks[rows, chosen][:, None], scores[rows, chosen][:, None], presence, pointer, np.zeros_like(chosen)
    )


def _is_stable(logits: Floats) -> NDArray[np.bool_]:
    """Whether outlines ``[B, h, w]`` hardly move when the threshold does."""
    inner = (logits > STABILITY_DELTA).sum((1, 2))
    outer = (logits > -STABILITY_DELTA).sum((1, 2))
    return np.where(outer > 0, inner / np.maximum(outer, 1), 1.0) >= STABILITY_THRESHOLD
