"""Scores on clips that are not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgetam.model import EdgeTAM
from edgetam.model.layers import upsample
from edgetam.train.batches import Batch
from edgetam.train.losses import cover, known, mask_iou
from edgetam.train.plan import Plan
from edgetam.train.rollout import ABSENT, Rules, Step, Task, answer_of, make_task, roll_out
from edgetam.train.users import SimulatedUser
from edgetam.train.verbs import Verbs

__all__ = ["Followed", "answers", "draw", "follow_masks", "score"]

SEED = 0
"""Of where simulated users click."""


@dataclass(frozen=True)
class Followed:
    """A clip whose objects were followed from their first masks."""

    task: Task
    logits: Tensor  # [B, T - 1, h, w] gated, of the frames after the first, if any


def answers(steps: Sequence[Step]) -> Tensor:
    """What a tracker would hand out on each answered frame: gated logits ``[B, T', h, w]``."""
    out = []
    for step in steps:
        logits = answer_of(step)[0][:, 0].float()
        out.append(torch.where(step.found.presence[..., None] > 0, logits, ABSENT))
    return torch.stack(out, 1)


@torch.no_grad()
def follow_masks(model: EdgeTAM, batch: Batch) -> Followed:
    """Track all objects from the masks of the first frame, as a tracker would."""
    task = make_task(batch)
    if task.images.shape[1] == 1:
        return Followed(task, cover(task.masks[:, 0])[:, None][:, :0])
    plan = Plan(task.images.shape[1], "mask")
    done = roll_out(Verbs(model), task, plan, SimulatedUser(plan, []), Rules(trust_presence=True))
    return Followed(task, answers(done.steps))


@torch.no_grad()
def _click(model: EdgeTAM, batch: Batch, corrections: int) -> Tensor:
    """Overlap ``[B]`` of the answer to clicks on the first frame."""
    task = make_task(batch)
    void = None if task.void is None else task.void[:, :1]
    first = Task(task.images[:, :1], task.masks[:, :1], task.clip, void)
    plan = Plan(1, "point", corrected=(0,), corrections=corrections, centre=1.0)
    user = SimulatedUser(plan, batch.generators(SEED))
    steps = roll_out(Verbs(model), first, plan, user, Rules(trust_presence=True)).steps
    return mask_iou(*known(answers(steps[-1:]), cover(first.masks[:, 0]), first.unknown(0)))[:, 0]


def score(model: EdgeTAM, batches: Sequence[Batch]) -> tuple[dict[str, float], list[Followed]]:
    """Score a network in evaluation mode.

    Returns:
        mean overlap of tracked masks (``tracked``), of the first masks left where they were (``copied``),
        of the answer to one click (``click1``) and to three (``click3``), and how often a visible object
        was called absent (``lost``); and the clips. Pixels that nothing is said about do not count. A score
        that nothing can be said about is missing: clips of one frame have those of clicks only, and without
        an object that is visible after it none is lost.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in ("tracked", "copied", "click1", "click3", "lost")}
    followed = [follow_masks(model, batch) for batch in batches]
    for batch, clip in zip(batches, followed, strict=True):
        for clicks in (1, 3):
            found[f"click{clicks}"].append(_click(model, batch, clicks - 1))
        if not clip.logits.shape[1]:
            continue
        masks = clip.task.masks
        truth = torch.stack([cover(m) for m in masks.unbind(1)], 1)  # [B, T, h, w]
        flat = truth[:, 1:].flatten(0, 1)
        still = (truth[:, :1] - 0.5).expand_as(truth[:, 1:])
        visible = masks[:, 1:].flatten(2).any(2)
        void = None if clip.task.void is None else clip.task.void[clip.task.clip, 1:].flatten(0, 1)
        for name, logits in (("tracked", clip.logits), ("copied", still)):
            found[name].append(mask_iou(*known(logits.flatten(0, 1)[:, None], flat, void)).flatten())
        found["lost"].append((clip.logits.amax((2, 3)) <= ABSENT)[visible].float())
    joined = {name: torch.cat(values) for name, values in found.items() if values}
    return {name: float(values.mean()) for name, values in joined.items() if len(values)}, followed


def draw(followed: Sequence[Followed], batches: Sequence[Batch], rows: int = 8) -> NDArray[np.uint8]:
    """One row per clip with its tracked masks in colour: ``[rows * 128, T * 128, 3]``."""
    return np.concatenate([_row(f, b) for f, b in list(zip(followed, batches, strict=True))[:rows]])


def _row(clip: Followed, batch: Batch, side: int = 128) -> NDArray[np.uint8]:
    frames = batch.frames[0].cpu().numpy().astype(np.float32)
    size = frames.shape[1]
    later = (
        upsample(clip.logits.flatten(0, 1)[:, None], size).unflatten(0, clip.logits.shape[:2])[:, :, 0] > 0
    )
    masks = torch.cat([batch.masks[:, :1], later], 1).cpu().numpy()
    for b, mask in enumerate(masks):
        colour = np.roll([255.0, 60.0, 30.0], b)
        frames = np.where(mask[..., None], 0.5 * frames + 0.5 * colour, frames)
    small = [cv2.resize(f.astype(np.uint8), (side, side), interpolation=cv2.INTER_AREA) for f in frames]
    return np.concatenate(small, axis=1)
