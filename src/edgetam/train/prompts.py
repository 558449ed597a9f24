"""Simulated users for a batch: boxes, clicks and corrections as the decoder takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from edgetam.structs import DecoderPrompt
from edgetam.train.clicks import Click, box_from_mask, first_click, training_click

__all__ = ["boxes", "clicks", "corrected", "no_prompt"]


def no_prompt(batch: int) -> DecoderPrompt[Tensor]:
    """One point that is no point, for frames that are only tracked."""
    return DecoderPrompt(torch.zeros(batch, 1, 2), torch.full((batch, 1), -1))


def clicks(masks: Tensor, rng: np.random.Generator) -> DecoderPrompt[Tensor]:
    """One positive click inside each mask ``[B, S, S]``; none may be empty."""
    return DecoderPrompt(*_stack([first_click(mask, rng) for mask in masks.numpy()]))


def boxes(masks: Tensor, rng: np.random.Generator) -> DecoderPrompt[Tensor]:
    """The box of each mask ``[B, S, S]``, a little off, as two corners; no mask may be empty."""
    corners = np.stack([box_from_mask(mask, rng) for mask in masks.numpy()])
    return DecoderPrompt(
        torch.from_numpy(corners).unflatten(1, (2, 2)), torch.tensor([2, 3]).expand(len(masks), 2)
    )


def corrected(
    prompt: DecoderPrompt[Tensor], logits: Tensor, answers: Tensor, masks: Tensor, rng: np.random.Generator
) -> DecoderPrompt[Tensor]:
    """The prompt with a click where the answer is wrong, and the answer itself to start from.

    Args:
        prompt: what was asked.
        logits: of the answer, ``[B, 1, h, w]``.
        answers: the same as masks ``[B, S, S]``.
        masks: the truth ``[B, S, S]``.
        rng: chooses among the wrong pixels.
    """
    pairs = zip(answers.numpy(), masks.numpy(), strict=True)
    points, labels = _stack([training_click(answer, truth, rng) for answer, truth in pairs])
    return DecoderPrompt(torch.cat([prompt.points, points], 1), torch.cat([prompt.labels, labels], 1), logits)


def _stack(made: Sequence[Click]) -> tuple[Tensor, Tensor]:
    """Clicks of B objects to points ``[B, 1, 2]`` and labels ``[B, 1]``."""
    table = torch.tensor(made)
    return table[:, None, :2].float(), table[:, 2:]
