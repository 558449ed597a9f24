"""How far a student is from its teacher (EdgeTAM, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from edgetam.errors import ConfigError
from edgetam.train.losses import dice_loss
from edgetam.train.rollout import RollOut, Step, answer_of

__all__ = ["feature_distance", "image_distance", "mask_distance", "memory_distance", "pointer_distance"]

ENTROPY_WEIGHT, DICE_WEIGHT = 5.0, 5.0
"""Of agreeing on masks (EdgeSAM, arXiv 2312.06660, section 3)."""


def image_distance(teacher: Tensor, student: Tensor, *, normalised: bool) -> Tensor:
    """Mean distance of stride-16 features ``[N, 256, g, g]`` of N frames."""
    return feature_distance(teacher, student, normalised=normalised).mean()


def memory_distance(teacher: RollOut, student: RollOut, *, normalised: bool) -> Tensor:
    """Distance after memory attention, a mean over frames, of each object: ``[B]``.

    Prompted frames read no memories and do not count. Zero when there are no others.
    """
    known = {step.frame: step.fused for step in teacher.steps if step.fused is not None}
    own = {step.frame: step.fused for step in student.steps if step.fused is not None}
    distances = [feature_distance(known[t], own[t], normalised=normalised) for t in own]
    return (
        torch.stack(distances).mean(0)
        if distances
        else student.pointers[0].new_zeros(len(student.pointers[0]))
    )


def mask_distance(teacher: Sequence[Step], student: Sequence[Step]) -> Tensor:
    """Disagreement on the chosen masks, a mean over answers, of each object: ``[B]``."""
    out = []
    for known, own in zip(teacher, student, strict=True):
        logits = answer_of(own)[0].float()
        target = answer_of(known)[0].float()
        if target.shape != logits.shape:
            target = F.interpolate(target, size=logits.shape[-2:], mode="bilinear")
        target = (target[:, 0] > 0).float()
        entropy = F.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none").mean((1, 2))
        out.append(ENTROPY_WEIGHT * entropy + DICE_WEIGHT * dice_loss(logits, target)[:, 0])
    return torch.stack(out).mean(0)


def pointer_distance(teacher: Sequence[Tensor], student: Sequence[Tensor]) -> Tensor:
    """One minus the cosine between pointers, a mean over frames, of each object: ``[B]``."""
    pairs = zip(teacher, student, strict=True)
    return torch.stack([1 - F.cosine_similarity(a.float(), b.float(), dim=1) for a, b in pairs]).mean(0)


def feature_distance(teacher: Tensor, student: Tensor, *, normalised: bool) -> Tensor:
    """Mean squared difference of ``[N, C, g, g]`` for each of N: ``[N]``; other grids are resized.

    Args:
        teacher: followed as it is.
        student: gets the gradients.
        normalised: bring every place to mean 0 and variance 1 over the channels first.

    Raises:
        ConfigError: the teacher's features have another number of channels.
    """
    if teacher.shape[1] != student.shape[1]:
        raise ConfigError(
            f"The teacher's features have {teacher.shape[1]} channels and the student's {student.shape[1]}; "
            "expected as many, so choose a teacher of the EdgeTAM or SAM 2 family."
        )
    known, own = teacher.detach().float(), student.float()
    if known.shape[-2:] != own.shape[-2:]:
        known = F.interpolate(known, size=own.shape[-2:], mode="bilinear")
    if normalised:
        known, own = (F.layer_norm(x.movedim(1, -1), x.shape[1:2]) for x in (known, own))
    return (known - own).square().flatten(1).mean(1)
