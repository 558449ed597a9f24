"""Who prompts: a simulated user, or one who repeats what another was seen to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from torch import Tensor

from edgetam.model.layers import upsample
from edgetam.structs import DecoderPrompt
from edgetam.train.plan import Plan
from edgetam.train.prompts import Generators, boxes, clicks, corrected, damaged

__all__ = ["RepeatingUser", "SimulatedUser", "User"]


class User(Protocol):
    """Prompts objects on frames.

    ``truth`` is ``[B, S, S]`` and so is ``void``, where nothing can be wrong; ``logits`` is ``[B, 1, h, w]``.
    """

    def prompt(self, truth: Tensor, void: Tensor | None = None) -> DecoderPrompt[Tensor]:
        """Ask for the objects of a frame."""

    def correct(
        self, prompt: DecoderPrompt[Tensor], logits: Tensor, truth: Tensor, void: Tensor | None = None
    ) -> DecoderPrompt[Tensor]:
        """Add to a prompt, given its answer."""


class SimulatedUser:
    """Prompts as the plan says, from the true masks; remembers what was asked."""

    def __init__(self, plan: Plan, dice: Generators) -> None:
        self.plan = plan
        self.dice = dice
        self.asked: list[DecoderPrompt[Tensor]] = []

    def prompt(self, truth: Tensor, void: Tensor | None = None) -> DecoderPrompt[Tensor]:
        """A click, a box, or a damaged mask with a click where it is wrong."""
        if self.plan.kind == "box":
            return self._keep(boxes(truth, self.dice, void))
        if self.plan.kind == "point":
            return self._keep(clicks(truth, self.dice, self.plan.centre, void))
        logits = damaged(truth, self.dice)
        nothing = clicks(truth, self.dice)
        nothing = DecoderPrompt(nothing.points[:, :0], nothing.labels[:, :0])
        return self.correct(nothing, logits, truth, void)

    def correct(
        self, prompt: DecoderPrompt[Tensor], logits: Tensor, truth: Tensor, void: Tensor | None = None
    ) -> DecoderPrompt[Tensor]:
        """One more click, where the answer is wrong."""
        answers = upsample(logits, truth.shape[-1])[:, 0] > 0
        return self._keep(corrected(prompt, logits, answers, truth, self.dice, self.plan.centre, void))

    def _keep(self, prompt: DecoderPrompt[Tensor]) -> DecoderPrompt[Tensor]:
        self.asked.append(prompt)
        return prompt


class RepeatingUser:
    """Asks a teacher what a student was asked; earlier answers that are fed back are the teacher's own."""

    def __init__(self, asked: Sequence[DecoderPrompt[Tensor]]) -> None:
        self.asked = iter(asked)

    def prompt(self, truth: Tensor, void: Tensor | None = None) -> DecoderPrompt[Tensor]:
        """The next of the recorded prompts."""
        return next(self.asked)

    def correct(
        self, prompt: DecoderPrompt[Tensor], logits: Tensor, truth: Tensor, void: Tensor | None = None
    ) -> DecoderPrompt[Tensor]:
        """The next of the recorded prompts, upon the given answer."""
        return replace(next(self.asked), mask=logits)
