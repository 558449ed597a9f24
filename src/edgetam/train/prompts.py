"""Prompts a user could have given, from true masks (SAM 2, appendix D.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from edgetam.structs import DecoderPrompt

__all__ = ["add_point", "boxes", "clicks", "corrections", "no_prompt"]

JITTER_SHARE, JITTER_MOST = 0.1, 20.0
"""A box corner is off by at most a tenth of the side, and by 20 pixels."""


def no_prompt(batch: int) -> DecoderPrompt[Tensor]:
    """One point that is no point, for frames that are only tracked."""
    return DecoderPrompt(torch.zeros(batch, 1, 2), torch.full((batch, 1), -1))


def _random_pixel(where: Tensor) -> Tensor:
    """A pixel of each mask ``[B, S, S]``, uniformly: ``[B, 2]`` as x, y; any pixel of an empty mask."""
    lottery = torch.rand(where.shape).masked_fill_(~where, -1.0)
    best = lottery.flatten(1).argmax(1)
    side = where.shape[2]
    return torch.stack([best % side, best // side], dim=1).float()


def clicks(masks: Tensor) -> DecoderPrompt[Tensor]:
    """One positive click inside each mask ``[B, S, S]``."""
    return DecoderPrompt(_random_pixel(masks)[:, None], torch.ones(len(masks), 1, dtype=torch.long))


def boxes(masks: Tensor) -> DecoderPrompt[Tensor]:
    """The box of each mask ``[B, S, S]``, a little off."""
    side = masks.shape[2]
    spans = []
    for along in (masks.any(1), masks.any(2)):  # columns, rows: [B, S]
        first = along.float().argmax(1)
        last = side - 1 - along.flip(1).float().argmax(1)
        off = (JITTER_SHARE * (last - first)).clamp(max=JITTER_MOST)
        spans.append([(edge + (2 * torch.rand(len(masks)) - 1) * off).clamp(0, side - 1) for edge in (first, last)])
    (x0, x1), (y0, y1) = spans
    corners = torch.stack([torch.stack([x0, y0], 1), torch.stack([x1, y1], 1)], dim=1)
    return DecoderPrompt(corners, torch.tensor([2, 3]).expand(len(masks), 2))


def corrections(masks: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
    """One click where each answer ``[B, S, S]`` is wrong: points ``[B, 2]`` and labels ``[B]``.

    A perfect answer gets a negative click outside the object.
    """
    wrong = masks ^ answers
    perfect = ~wrong.flatten(1).any(1)
    point = _random_pixel(torch.where(perfect[:, None, None], ~masks, wrong))
    x, y = point.long().unbind(1)
    return point, masks[torch.arange(len(masks)), y, x].long()


def add_point(prompt: DecoderPrompt[Tensor], point: Tensor, label: Tensor, logits: Tensor) -> DecoderPrompt[Tensor]:
    """The prompt with another click, and the last answer ``[B, 1, h, w]`` to start from."""
    return DecoderPrompt(
        torch.cat([prompt.points, point[:, None]], 1), torch.cat([prompt.labels, label[:, None]], 1), logits
    )
