"""Clips through the four verbs, as a tracker would call them, with gradients all the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from edgetam.model.mask_decoder import Candidates, several, single
from edgetam.structs import Decoded, DecoderPrompt, FrameMemory, ImageFeatures, MemoryContext
from edgetam.tracking.bank import read_plan
from edgetam.tracking.step import PREVIOUS_LIMIT
from edgetam.train.batches import Batch, normalise
from edgetam.train.plan import Plan
from edgetam.train.prompts import no_prompt
from edgetam.train.users import User
from edgetam.train.verbs import Verbs

__all__ = ["RollOut", "Rules", "Step", "Task", "answer_of", "make_task", "offered", "roll_out"]

ABSENT = -1024.0
"""Mask logit of an object that is not there."""


@dataclass(frozen=True)
class Task:
    """Clips and the objects to follow in them."""

    images: Tensor  # [V, T, 3, S, S] normalised
    masks: Tensor  # [B, T, S, S] bool
    clip: Tensor  # [B] which of the V clips an object is in
    void: Tensor | None = None  # [V, T, S, S] bool

    def unknown(self, t: int) -> Tensor | None:
        """Pixels ``[B, S, S]`` of frame ``t`` that nothing is said about, if there are any."""
        return None if self.void is None else self.void[self.clip, t]


def make_task(batch: Batch) -> Task:
    """Normalise the frames of a batch."""
    return Task(normalise(batch.frames), batch.masks, batch.clip, batch.void)


@dataclass(frozen=True)
class Rules:
    """What is remembered of a frame.

    Attributes:
        trust_presence: believe the network's own presence, as trackers do. Otherwise the truth decides
            whether an object is remembered as absent: an untrained presence would wipe out half of the
            memories, and with them the gradients through them.
        masks: remember the network's ``own`` answers, or the truth (``gt``).
    """

    trust_presence: bool = False
    masks: Literal["own", "gt"] = "own"


@dataclass(frozen=True)
class Step:
    """One answer of the decoder.

    Attributes:
        frame: of the clip.
        found: all four candidates.
        points: clicks and corners that were given; up to one leaves three candidates to choose from.
        ambiguous: whether several answers could be right: a single click and nothing remembered.
        fused: the map that was decoded where memories were read, ``[B, 256, g, g]``.
    """

    frame: int
    found: Candidates
    points: int
    ambiguous: bool
    fused: Tensor | None


class RollOut(NamedTuple):
    """What happened to a clip."""

    features: ImageFeatures[Tensor]  # of V * T frames
    steps: list[Step]
    pointers: list[Tensor]  # [B, 256] of every frame in the order they were visited
    adopted: dict[int, FrameMemory[Tensor]]  # by frame: memories of given masks


@dataclass(frozen=True)
class _Answer:
    """What a frame leaves behind."""

    logits: Tensor  # [B, 1, h, w] not gated
    presence: Tensor  # [B, 1]
    pointer: Tensor  # [B, 256]


class _Look(NamedTuple):
    """A frame as the decoder sees it."""

    frame: int
    features: ImageFeatures[Tensor]
    fused: Tensor
    remembers: bool


def offered(step: Step) -> Candidates:
    """The candidates a tracker chooses from: three for up to one point, else the one."""
    return several(step.found) if step.points <= 1 else single(step.found)


def answer_of(step: Step) -> tuple[Tensor, Tensor]:
    """Logits ``[B, 1, h, w]`` of the candidate a tracker would choose, and their scores ``[B]``."""
    found = offered(step)
    rows = torch.arange(len(found.masks), device=found.masks.device)
    best = found.scores.argmax(1)
    return found.masks[rows, best][:, None], found.scores[rows, best]


def roll_out(verbs: Verbs, task: Task, plan: Plan, user: User, rules: Rules) -> RollOut:
    """Prompt all objects and follow them through the clip.

    Prompted frames come first, and nothing is remembered on them; then the others in the order of time,
    each with the memories a tracker would read there (SAM 2, appendix D). Frames that are corrected count
    as prompted from then on.

    Args:
        verbs: of the network.
        task: V clips, B objects; every object is visible on its first frame.
        plan: prompts, for every object the same.
        user: makes them.
        rules: what is remembered.

    Returns:
        the decoder's answers in order. A mask that is given is adopted and has no answer.
    """
    return _Course(verbs, task, plan, user, rules).run()


class _Course:
    """One roll-out on its way."""

    def __init__(self, verbs: Verbs, task: Task, plan: Plan, user: User, rules: Rules) -> None:
        self.verbs, self.task, self.plan, self.user, self.rules = verbs, task, plan, user, rules
        self.count = task.images.shape[1]
        self.encoded = verbs.encode(task.images.flatten(0, 1))
        # cut into frames at once: every look at a frame would bring a gradient as large as all frames
        maps = (self.encoded.stride4, self.encoded.stride8, self.encoded.stride16)
        self.frames = [x.unflatten(0, (-1, self.count)).unbind(1) for x in maps]
        self.memories: dict[int, FrameMemory[Tensor]] = {}
        self.prompted: list[int] = []
        self.numbers = plan.numbers or tuple(range(self.count))
        self.steps: list[Step] = []
        self.pointers: list[Tensor] = []
        self.adopted: dict[int, FrameMemory[Tensor]] = {}
        self.there: dict[int, Tensor] = {}

    def run(self) -> RollOut:
        first = list(self.plan.prompted)
        order = first + [t for t in range(self.count) if t not in first]
        for place, t in enumerate(order):
            given = t in first
            adopted = given and self.plan.kind == "mask" and self.count > 1
            answer = self.adopt(t) if adopted else self.answer(t, prompted=given)
            self.pointers.append(answer.pointer)
            if given or t in self.plan.corrected:
                self.prompted.append(t)
            if place + 1 < len(order):
                self.memories[t] = self.remember(t, answer, binarize=adopted)
                seen = answer.presence[:, 0] > 0
                self.there[t] = torch.ones_like(seen) if t in self.prompted else seen
                if adopted:
                    self.adopted[t] = self.memories[t]
        return RollOut(self.encoded, self.steps, self.pointers, self.adopted)

    def features(self, t: int) -> ImageFeatures[Tensor]:
        """Features of frame ``t`` for every object."""
        # a choice of maps forgets that they have channels last, one of their pixels' vectors does not
        chosen = (frames[t].movedim(1, -1)[self.task.clip] for frames in self.frames)
        return ImageFeatures(*(x.movedim(-1, 1) for x in chosen))

    def adopt(self, t: int) -> _Answer:
        """Take the true masks as the answer."""
        given: Decoded[Tensor] = self.verbs.adopt(self.features(t), self.task.masks[:, t, None].float())
        return _Answer(given.masks, given.presence, given.pointer)

    def answer(self, t: int, *, prompted: bool) -> _Answer:
        """Ask the decoder, and correct it where the plan says so."""
        features, truth = self.features(t), self.task.masks[:, t]
        context = None if prompted else self.context(t)
        look = _Look(t, features, self.verbs.attend(features, context), remembers=context is not None)
        unknown = self.task.unknown(t)
        prompt = self.user.prompt(truth, unknown) if prompted else no_prompt(len(truth), truth.device)
        step = self.decode(look, prompt)
        if not prompted:
            prompt = DecoderPrompt(prompt.points[:, :0], prompt.labels[:, :0])
        for _ in range(self.plan.corrections if t in self.plan.corrected else 0):
            answer = self.shown(step).detach().float().clamp(-PREVIOUS_LIMIT, PREVIOUS_LIMIT)
            prompt = self.user.correct(prompt, answer, truth, unknown)
            step = self.decode(look, prompt)
        return self.settle(t, step)

    def decode(self, look: _Look, prompt: DecoderPrompt[Tensor]) -> Step:
        """One answer, noted down."""
        found = self.verbs.candidates(look.fused, look.features, prompt)
        points = int((prompt.labels[0] >= 0).sum())
        ambiguous = points == 1 and prompt.mask is None and not look.remembers
        self.steps.append(Step(look.frame, found, points, ambiguous, look.fused if look.remembers else None))
        return self.steps[-1]

    def shown(self, step: Step) -> Tensor:
        """The mask that a user sees and that is fed back: none where the network misses the object."""
        logits = answer_of(step)[0]
        return gate(logits, step.found.presence) if self.rules.trust_presence else logits

    def settle(self, t: int, step: Step) -> _Answer:
        """What is remembered of the last answer on a frame."""
        if self.rules.masks == "gt":
            return self.adopt(t)
        there = self.task.masks[:, t].flatten(1).any(1, keepdim=True)
        found = offered(step)
        presence = found.presence if self.rules.trust_presence else torch.where(there, 10.0, -10.0)
        decoded = self.verbs.select(found._replace(presence=presence))
        return _Answer(answer_of(step)[0], presence, decoded.pointer)

    def context(self, t: int) -> MemoryContext[Tensor] | None:
        """The memories a tracker reads on frame ``t``."""
        numbers = self.numbers
        tracked = {numbers[i] for i in self.memories.keys() - set(self.prompted)}
        reading = read_plan(numbers[t], [numbers[i] for i in self.prompted], tracked)
        if not reading.memories:
            return None
        read = [numbers.index(n) for n, _ in reading.memories]
        pointed = [numbers.index(n) for n, _ in reading.pointers]
        kept = [self.memories[i] for i in read]
        batch, device = len(self.task.masks), self.task.masks.device
        pointers = [self.memories[i].pointer for i in pointed]
        context = MemoryContext(
            tokens=torch.stack([memory.tokens for memory in kept], 1),
            ages=torch.tensor([age for _, age in reading.memories], device=device).expand(batch, -1),
            pointers=torch.stack(pointers, 1) if pointers else kept[0].pointer[:, None][:, :0],
            distances=torch.tensor([d for _, d in reading.pointers], device=device).expand(batch, -1),
        )
        there = torch.stack([self.there[i] for i in (*read, *pointed)], 1)
        if not self.verbs.model.config.skips_absent or there.all():
            return context
        return replace(context, tokens_valid=there[:, : len(read)], pointers_valid=there[:, len(read) :])

    def remember(self, t: int, answer: _Answer, *, binarize: bool) -> FrameMemory[Tensor]:
        gated = gate(answer.logits, answer.presence)
        return self.verbs.remember(
            self.features(t), gated, answer.presence, answer.pointer, binarize=binarize
        )


def gate(logits: Tensor, presence: Tensor) -> Tensor:
    """Logits ``[B, 1, h, w]`` with nothing where the object is not seen to be there."""
    return torch.where(presence[..., None, None] > 0, logits, ABSENT)
