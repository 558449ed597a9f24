"""What the network is asked to minimise (SAM 2, appendix D: focal 20, dice 1, IoU 1, presence 1).

Everything is computed on the decoder's own logits, at stride 4 and before any gating by presence: a gated
logit of -1024 has no gradient towards the mask and a focal loss in the hundreds, which stops training from
scratch. Stride 4 costs a sixteenth of full resolution; targets are averaged down to the share of each
cell that the object covers, so that outlines between cells still count.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from edgetam.config import MASK_STRIDE
from edgetam.model.mask_decoder import Candidates

__all__ = ["Terms", "cover", "dice_loss", "focal_loss", "mask_iou", "prompt_loss"]

FOCAL_WEIGHT, DICE_WEIGHT, SCORE_WEIGHT, PRESENCE_WEIGHT = 20.0, 1.0, 1.0, 1.0
ALPHA, GAMMA = 0.25, 2.0


class Terms(NamedTuple):
    """Parts of the loss, each a mean over objects, and their weighted sum."""

    total: Tensor
    focal: Tensor
    dice: Tensor
    score: Tensor
    presence: Tensor


def cover(masks: Tensor) -> Tensor:
    """Masks ``[B, S, S]`` to the share of each stride-4 cell they cover, ``[B, S / 4, S / 4]``."""
    return F.avg_pool2d(masks.float()[:, None], MASK_STRIDE)[:, 0]


def focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Focal loss (arXiv 1708.02002), a mean over pixels: ``[B, M, h, w]`` and ``[B, h, w]`` to ``[B, M]``."""
    y = target[:, None].expand_as(logits)
    p = torch.sigmoid(logits)
    right = p * y + (1 - p) * (1 - y)
    weight = ALPHA * y + (1 - ALPHA) * (1 - y)
    entropy = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
    return (weight * (1 - right) ** GAMMA * entropy).mean((2, 3))


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the smoothed Dice coefficient: ``[B, M, h, w]`` and ``[B, h, w]`` to ``[B, M]``."""
    p, y = torch.sigmoid(logits).flatten(2), target.flatten(1)[:, None]
    return 1 - (2 * (p * y).sum(2) + 1) / (p.sum(2) + y.sum(2) + 1)


@torch.no_grad()
def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """Overlap of thresholded ``[B, M, h, w]`` and ``[B, h, w]``: ``[B, M]``, 1 when both are empty."""
    a, b = logits.flatten(2) > 0, target.flatten(1)[:, None] > 0.5
    union = (a | b).sum(2)
    return torch.where(union > 0, (a & b).sum(2) / union.clamp(min=1), 1.0)


def prompt_loss(found: Candidates, target: Tensor, ambiguous: bool) -> Terms:
    """Loss of one decoding step.

    Args:
        found: all four candidates of B objects.
        target: `cover` of the true masks, ``[B, h, w]``; all zero where the object is absent.
        ambiguous: a single click may mean several things, so only the best of the three candidates for
            ambiguous prompts learns. Otherwise all four learn: tracking has one right answer, and candidates
            that agree make the choice between them harmless.
    """
    logits = found.masks.float()
    focal, dice = focal_loss(logits, target), dice_loss(logits, target)
    error = (found.scores.float() - mask_iou(logits, target)).abs()
    if ambiguous:
        focal, dice, error = focal[:, 1:], dice[:, 1:], error[:, 1:]
        best = (FOCAL_WEIGHT * focal + DICE_WEIGHT * dice).argmin(1, keepdim=True)
        focal, dice = focal.gather(1, best), dice.gather(1, best)
    there = target.flatten(1).amax(1) > 0  # [B]
    count = there.sum().clamp(min=1)
    focal, dice, score = ((x.mean(1) * there).sum() / count for x in (focal, dice, error))
    presence = F.binary_cross_entropy_with_logits(found.presence.float()[:, 0], there.float())
    total = FOCAL_WEIGHT * focal + DICE_WEIGHT * dice + SCORE_WEIGHT * score + PRESENCE_WEIGHT * presence
    return Terms(total, focal, dice, score, presence)
