"""What the network is asked to minimise (SAM 2, appendix D).

Everything is computed on the decoder's own logits, before any gating by presence: a gated logit of -1024 has
no gradient towards the mask and a focal loss in the hundreds, which stops training from scratch. Stride 4
costs a sixteenth of full resolution; targets are averaged down to the share of each cell that the object
covers, so that outlines between cells still count.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from edgetam.config import MASK_STRIDE
from edgetam.model.layers import upsample
from edgetam.model.mask_decoder import several, single
from edgetam.train.recipe import Losses
from edgetam.train.rollout import Step, Task

__all__ = [
    "Terms",
    "balanced_loss",
    "cover",
    "dice_loss",
    "focal_loss",
    "known",
    "mask_iou",
    "rollout_terms",
    "step_terms",
]

ALPHA, GAMMA = 0.25, 2.0
FEW_PIXELS = 8.0
CERTAINLY_NOT = -32.0


class Terms(NamedTuple):
    """Parts of the loss, each a sum over objects; those of the mask over visible ones."""

    focal: Tensor
    dice: Tensor
    score: Tensor
    presence: Tensor
    balanced: Tensor

    def weighted(self, weights: Losses, *, presence: bool) -> Tensor:
        """Their weighted sum, with or without the presence term."""
        total = weights.focal * self.focal + weights.dice * self.dice + weights.score * self.score
        total = total + weights.balanced * self.balanced
        return total + weights.presence * self.presence if presence else total


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


def balanced_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy in which object and background each count half, whatever their sizes.

    ``[B, M, h, w]`` and ``[B, h, w]`` to ``[B, M]``. Objects of a few pixels count less, down to nothing
    for none.
    """
    y = target[:, None].expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
    inside = (entropy * y).sum((2, 3)) / (y.sum((2, 3)) + FEW_PIXELS)
    outside = (entropy * (1 - y)).sum((2, 3)) / ((1 - y).sum((2, 3)) + FEW_PIXELS)
    return (inside + outside) / 2


def known(logits: Tensor, target: Tensor, void: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logits ``[B, M, h, w]`` and target ``[B, h, w]`` that agree on background wherever any of ``void`` is.

    So nothing is learnt there. ``void`` is ``[B, S, S]`` of any larger size, or None.
    """
    if void is None:
        return logits, target
    there = F.adaptive_max_pool2d(void[:, None].float(), logits.shape[-2:]) > 0
    return logits.masked_fill(there, CERTAINLY_NOT), target.masked_fill(there[:, 0], 0.0)


@torch.no_grad()
def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """Overlap of thresholded ``[B, M, h, w]`` and ``[B, h, w]``: ``[B, M]``, 1 when both are empty."""
    a, b = logits.flatten(2) > 0, target.flatten(1)[:, None] > 0.5
    union = (a | b).sum(2)
    return torch.where(union > 0, (a & b).sum(2) / union.clamp(min=1), 1.0)


def step_terms(step: Step, truth: Tensor, losses: Losses, void: Tensor | None = None) -> Terms:
    """Terms of one answer.

    Args:
        step: all four candidates of B objects.
        truth: true masks ``[B, S, S]``; empty where the object is absent.
        losses: which candidates learn where one answer is right, and at which resolution. A single click
            may mean several things, so only the best of the three candidates for ambiguous prompts learns.
        void: pixels ``[B, S, S]`` that nothing is said about; the terms leave them out.
    """
    best_of_three = step.ambiguous or (losses.tracking == "best" and step.points <= 1)
    found = several(step.found) if best_of_three else step.found
    if losses.tracking == "best" and not best_of_three:
        found = single(step.found)
    logits, target = found.masks.float(), cover(truth)
    if losses.resolution == "full":
        logits, target = upsample(logits, truth.shape[-1]), truth.float()
    logits, target = known(logits, target, void)
    focal, dice = focal_loss(logits, target), dice_loss(logits, target)  # [B, M]
    balanced = balanced_loss(logits, target) if losses.balanced else torch.zeros_like(dice)
    error = (found.scores.float() - mask_iou(logits, target)).abs()
    if best_of_three:
        cost = losses.focal * focal + losses.dice * dice + losses.balanced * balanced
        best = cost.argmin(1, keepdim=True)
        focal, dice, balanced = (
            torch.lerp(x.gather(1, best), x.mean(1, keepdim=True), losses.ambiguous)
            for x in (focal, dice, balanced)
        )
    there = truth.flatten(1).any(1)  # [B]
    shown = [(x.mean(1) * there).sum() for x in (focal, dice, error, balanced)]
    presence = F.binary_cross_entropy_with_logits(
        step.found.presence.float()[:, 0], there.float(), reduction="sum"
    )
    return Terms(shown[0], shown[1], shown[2], presence, shown[3])


def rollout_terms(steps: list[Step], task: Task, losses: Losses) -> Terms:
    """Terms of all answers to a task: their mean or their sum."""
    terms = [step_terms(step, task.masks[:, step.frame], losses, task.unknown(step.frame)) for step in steps]
    sums = [torch.stack(parts).sum(0) for parts in zip(*terms, strict=True)]
    count = len(steps) if losses.over_steps == "mean" else 1
    return Terms(*(part / count for part in sums))
