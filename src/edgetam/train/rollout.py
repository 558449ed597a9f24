"""Clips through the four verbs, as a tracker would call them, with gradients all the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgetam.model import EdgeTAM
from edgetam.model.mask_decoder import Candidates, several, single, upsample
from edgetam.structs import Decoded, DecoderPrompt, FrameMemory, ImageFeatures, MemoryContext
from edgetam.train.losses import Terms, cover, prompt_loss
from edgetam.train.prompts import boxes, clicks, corrected, no_prompt

__all__ = ["Plan", "Step", "Task", "roll_out", "rollout_loss"]

ABSENT = -1024.0
"""Mask logit of an object that is not there."""
RECENT = 6
POINTERS = 15
"""Frames back that memories and pointers reach."""


@dataclass(frozen=True)
class Task:
    """Clips and the objects to follow in them."""

    images: Tensor  # [V, T, 3, S, S] normalised
    masks: Tensor  # [B, T, S, S] bool
    clip: Tensor  # [B] which of the V clips an object is in


@dataclass(frozen=True)
class Plan:
    """How the first frame is prompted.

    Attributes:
        kind: ``"mask"``, ``"box"`` or ``"click"``.
        corrections: clicks that follow a box or a click.
        seed: decides where clicks fall and how far boxes are off.
    """

    kind: str
    corrections: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Step:
    """One answer of the decoder."""

    frame: int
    found: Candidates
    ambiguous: bool


@dataclass(frozen=True)
class _Answer:
    """What a frame leaves behind."""

    logits: Tensor  # [B, 1, h, w] not gated
    presence: Tensor  # [B, 1]
    pointer: Tensor  # [B, 256]


def roll_out(model: EdgeTAM, task: Task, plan: Plan, trust_presence: bool) -> list[Step]:
    """Prompt all objects on the first frame and follow them through the others.

    Args:
        model: in training or evaluation mode.
        task: V clips, B objects; every object is visible on its first frame.
        plan: prompts of the first frame.
        trust_presence: believe the network's own presence, as trackers do. Otherwise the truth decides
            whether an object is remembered as absent: an untrained presence would wipe out half of the
            memories, and with them the gradients through them.

    Returns:
        the decoder's answers in order. A given mask is adopted and has none.
    """
    count = task.images.shape[1]
    encoded = model.encode(task.images.flatten(0, 1))
    steps: list[Step] = []
    memories: list[FrameMemory[Tensor]] = []
    for t in range(count):
        features = _gather(encoded, task.clip * count + t)
        if t > 0:
            found = model.candidates(
                model.attend(features, _context(memories)), features, no_prompt(len(task.masks))
            )
            steps.append(Step(t, found, ambiguous=False))
            answer = _settle(model, several(found), task, t, trust_presence)
        elif plan.kind == "mask":
            answer = _adopt(model, features, task)
        else:
            made = _prompted(model, features, task, plan)
            steps += made
            last = several(made[-1].found) if made[-1].ambiguous else single(made[-1].found)
            answer = _settle(model, last, task, 0, trust_presence)
        if t + 1 < count:
            memories.append(_remember(model, features, answer, binarize=t == 0 and plan.kind == "mask"))
    return steps


def rollout_loss(steps: list[Step], task: Task) -> Terms:
    """Mean loss over the answers."""
    targets = {t: cover(task.masks[:, t]) for t in {step.frame for step in steps}}
    terms = [prompt_loss(step.found, targets[step.frame], step.ambiguous) for step in steps]
    return Terms(*(torch.stack(parts).mean() for parts in zip(*terms, strict=True)))


def _gather(features: ImageFeatures[Tensor], rows: Tensor) -> ImageFeatures[Tensor]:
    return ImageFeatures(features.stride4[rows], features.stride8[rows], features.stride16[rows])


def _context(memories: list[FrameMemory[Tensor]]) -> MemoryContext[Tensor]:
    """Frame 0 is the prompted one, the others are as old as they are far back."""
    now = len(memories)
    kept = [0, *range(max(1, now - RECENT), now)]
    pointed = [0, *range(max(1, now - POINTERS), now)]
    batch = len(memories[0].tokens)
    return MemoryContext(
        tokens=torch.stack([memories[i].tokens for i in kept], 1),
        ages=torch.tensor([now - i if i else 0 for i in kept]).expand(batch, -1),
        pointers=torch.stack([memories[i].pointer for i in pointed], 1),
        distances=torch.tensor([(now - i) / POINTERS for i in pointed]).expand(batch, -1),
    )


def _adopt(model: EdgeTAM, features: ImageFeatures[Tensor], task: Task) -> _Answer:
    given: Decoded[Tensor] = model.adopt(features, task.masks[:, :1].float())
    return _Answer(given.masks, given.presence, given.pointer)


def _settle(model: EdgeTAM, found: Candidates, task: Task, frame: int, trust_presence: bool) -> _Answer:
    """Keep the candidate with the highest score."""
    there = task.masks[:, frame].flatten(1).any(1, keepdim=True)
    presence = found.presence if trust_presence else torch.where(there, 10.0, -10.0)
    decoded = model.select(found._replace(presence=presence))
    rows = torch.arange(len(decoded.best))
    return _Answer(decoded.masks[rows, decoded.best][:, None], presence, decoded.pointer)


def _prompted(model: EdgeTAM, features: ImageFeatures[Tensor], task: Task, plan: Plan) -> list[Step]:
    """Answer a box or a click, then the clicks that correct it."""
    truth, rng = task.masks[:, 0], np.random.default_rng(plan.seed)
    prompt: DecoderPrompt[Tensor] = boxes(truth, rng) if plan.kind == "box" else clicks(truth, rng)
    fused = model.attend(features, None)
    found = model.candidates(fused, features, prompt)
    steps = [Step(0, found, ambiguous=plan.kind == "click")]
    for _ in range(plan.corrections):
        logits = _best_logits(several(found) if steps[-1].ambiguous else single(found))
        answer = upsample(logits, truth.shape[-1])[:, 0] > 0
        prompt = corrected(prompt, logits, answer, truth, rng)
        found = model.candidates(fused, features, prompt)
        steps.append(Step(0, found, ambiguous=False))
    return steps


def _best_logits(found: Candidates) -> Tensor:
    rows = torch.arange(len(found.masks))
    return found.masks[rows, found.scores.argmax(1)][:, None].detach().float()


def _remember(
    model: EdgeTAM, features: ImageFeatures[Tensor], answer: _Answer, *, binarize: bool
) -> FrameMemory[Tensor]:
    gated = torch.where(answer.presence[..., None, None] > 0, answer.logits, ABSENT)
    return model.remember(features, gated, answer.presence, answer.pointer, binarize=binarize)
