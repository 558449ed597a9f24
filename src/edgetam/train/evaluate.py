"""Scores on clips that are never trained on."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from edgetam.model import EdgeTAM
from edgetam.model.mask_decoder import several
from edgetam.train.batches import make_task
from edgetam.train.losses import cover, mask_iou
from edgetam.train.pool import HELD_OUT_SEED
from edgetam.train.rollout import Plan, Step, Task, roll_out
from edgetam.train.synthetic import SynthConfig, sample_clip

__all__ = ["answers", "held_out_scores", "held_out_tasks"]

ABSENT = -1024.0


@functools.cache
def held_out_tasks(count: int, frames: int = 6, objects: int = 2) -> list[Task]:
    """Draw clips with seeds that training does not use; once, as drawing takes longer than scoring."""
    config = SynthConfig(frames=frames, objects=objects, difficulty=0.5)
    tasks = []
    for seed in range(HELD_OUT_SEED, HELD_OUT_SEED + count):
        clip = sample_clip(config, seed)
        numbers = torch.arange(1, objects + 1)[:, None, None]
        labels = (clip.masks * numbers).amax(1)
        tasks.append(make_task(clip.frames[None], labels[None], objects))
    return tasks


def answers(steps: list[Step]) -> Tensor:
    """What a tracker would hand out on each answered frame: gated logits ``[B, T', h, w]``."""
    out = []
    for step in steps:
        three = several(step.found)
        rows = torch.arange(len(three.masks))
        logits = three.masks[rows, three.scores.argmax(1)].float()
        out.append(torch.where(step.found.presence[..., None] > 0, logits, ABSENT))
    return torch.stack(out, 1)


@torch.no_grad()
def held_out_scores(model: EdgeTAM, count: int = 8) -> dict[str, float]:
    """Mean overlap of tracked masks, of the first masks left where they were, and of a click's answer.

    ``model`` must be in evaluation mode.
    """
    tracked, copied, clicked, lost = [], [], [], []
    for task in held_out_tasks(count):
        with torch.autocast("cpu", torch.bfloat16):
            steps = roll_out(model, task, Plan("mask"), trust_presence=True)
            first = Task(task.images[:, :1], task.masks[:, :1], task.clip)
            click = roll_out(model, first, Plan("click"), trust_presence=True)
        truth = torch.stack([cover(m) for m in task.masks.unbind(1)], 1)  # [B, T, h, w]
        flat = truth[:, 1:].flatten(0, 1)
        logits = answers(steps)
        tracked.append(mask_iou(logits.flatten(0, 1)[:, None], flat))
        still = (truth[:, :1] - 0.5).expand_as(truth[:, 1:])
        copied.append(mask_iou(still.flatten(0, 1)[:, None], flat))
        clicked.append(mask_iou(answers(click), truth[:, 0]))
        lost.append((logits.amax((2, 3)) <= ABSENT).float().flatten())
    named = {"tracked": tracked, "copied": copied, "clicked": clicked, "called_absent": lost}
    return {name: float(torch.cat([x.flatten() for x in values]).mean()) for name, values in named.items()}
