"""What a part of a training run does: its steps, data, prompts and rates."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from edgetam.errors import ConfigError
from edgetam.train.schedule import Schedule

__all__ = ["Prompts", "Range", "Stage", "Turn", "check_least", "check_range", "check_shares"]

Range = tuple[int, int]
"""Fewest and most, both included; one number in a recipe stands for both."""


def check_range(name: str, given: Range, least: int) -> None:
    """Raise a `ConfigError` unless a range is in order and starts at ``least`` or above."""
    if not least <= given[0] <= given[1]:
        raise ConfigError(f"{name} is {list(given)}, expected {least} <= fewest <= most.")


def check_least(least: float, **given: float) -> None:
    """Raise a `ConfigError` unless all given numbers are at least ``least``."""
    for name, value in given.items():
        if value < least:
            raise ConfigError(f"{name} is {value}, expected at least {least}.")


def check_shares(weights: Mapping[str, float], what: str) -> None:
    """Raise a `ConfigError` unless weights are numbers of at least 0, one of them above."""
    if any(weight < 0 for weight in weights.values()) or not any(weights.values()):
        raise ConfigError(f"{what} weigh {dict(weights)}, expected numbers of at least 0, one above 0.")


@dataclass(frozen=True)
class Prompts:
    """How simulated users prompt (SAM 2, appendix D).

    Attributes:
        mask: weight of prompting with the true mask. A mask on a clip of one frame leaves nothing to
            answer, so there a damaged mask is given and has to be mended.
        point: weight of prompting with a click.
        box: weight of prompting with a box.
        frames: how many frames are prompted; the first one always is. Masks leave one frame of a clip.
        corrected: most frames that get correction clicks; all prompted frames do, then others at random.
        corrections: clicks on each corrected frame, each with the earlier answer fed back. After mask
            prompts there are none.
        centre: how often a click falls where the evaluation would put it, deepest inside, and not anywhere.
    """

    mask: float = 0.5
    point: float = 0.25
    box: float = 0.25
    frames: Range = (1, 1)
    corrected: int = 1
    corrections: Range = (0, 0)
    centre: float = 0.0

    def __post_init__(self) -> None:
        check_shares({"mask": self.mask, "point": self.point, "box": self.box}, "prompts")
        check_range("frames", self.frames, 1)
        check_range("corrections", self.corrections, 0)
        check_least(0, corrected=self.corrected)
        if not 0.0 <= self.centre <= 1.0:
            raise ConfigError(f"centre is {self.centre}, expected a share from 0 to 1.")


@dataclass(frozen=True)
class Turn:
    """One of several kinds of steps that a stage takes in random turns, such as images and clips.

    Attributes:
        share: how often it is this one's turn, beside the shares of the others.
        image_size, frames, clips, objects, prompts, sources: instead of the stage's own; the same where left
            out.
    """

    share: float = 1.0
    image_size: int | None = None
    frames: Range | None = None
    clips: int | None = None
    objects: int | None = None
    prompts: Prompts | None = None
    sources: dict[str, float] | None = None

    def __post_init__(self) -> None:
        check_least(0, share=self.share)


@dataclass(frozen=True)
class Stage:
    """A part of the run with its own data, prompts and rates.

    Attributes:
        name: for logs.
        steps: budget in optimiser steps ...
        minutes: ... or in minutes of training; exactly one of the two.
        sources: weights of the data sources; when left out, all of them by their own ``weight`` or number of
            videos and images.
        image_size: input size of this stage.
        frames: frames per clip.
        clips: clips per process and forward pass.
        objects: most objects per clip.
        accumulate: forward passes per step.
        prompts: how objects are prompted.
        gaps: how often the frames of a clip are numbered with gaps, as if those between were not remembered:
            then short clips teach memories of every age.
        norms: ``batch`` statistics in batch norms, or ``frozen`` running ones, for few correlated frames.
        encoder: ``trained`` or ``frozen``.
        presence: ``off``: no loss, and the truth decides what is remembered as absent; ``taught``: the same
            with the loss; ``trusted``: the network's own presence decides, as in tracking.
        encoder_rate: peak learning rate of the image encoder.
        rate: peak learning rate of everything else.
        schedule: of both rates.
        distill: follow the teacher, where the recipe has one.
        guides: how much the guides of the recipe count here; less at the end leaves more to the masks.
        turns: kinds of steps that take random turns; none for steps that are all alike.
        checkpointing: recompute activations on the way back: about a third slower, much less memory.
    """

    name: str
    steps: int | None = None
    minutes: float | None = None
    sources: dict[str, float] = field(default_factory=dict)
    image_size: int = 256
    frames: Range = (1, 1)
    clips: int = 4
    objects: int = 4
    accumulate: int = 1
    prompts: Prompts = Prompts()
    gaps: float = 0.0
    norms: Literal["batch", "frozen"] = "batch"
    encoder: Literal["trained", "frozen"] = "trained"
    presence: Literal["off", "taught", "trusted"] = "taught"
    encoder_rate: float = 7e-4
    rate: float = 5e-4
    schedule: Schedule = field(default_factory=Schedule)
    distill: bool = True
    guides: float = 1.0
    turns: tuple[Turn, ...] = ()
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ConfigError(
                f"steps is {self.steps} and minutes is {self.minutes}, expected exactly one of the two."
            )
        if not 0 < (self.steps or self.minutes or 0) < math.inf:
            raise ConfigError(f"the budget is {self.steps or self.minutes}, expected more than 0 and an end.")
        check_range("frames", self.frames, 1)
        check_least(1, clips=self.clips, objects=self.objects, accumulate=self.accumulate)
        check_least(0, encoder_rate=self.encoder_rate, rate=self.rate, guides=self.guides)
        if not 0.0 <= self.gaps <= 1.0:
            raise ConfigError(f"gaps is {self.gaps}, expected a share from 0 to 1.")
        if self.image_size <= 0 or self.image_size % 256:
            raise ConfigError(f"image_size is {self.image_size}, expected a positive multiple of 256.")
        if self.sources:
            check_shares(self.sources, "sources")
        if self.turns:
            check_shares({str(i): turn.share for i, turn in enumerate(self.turns)}, "turns")
            _ = self.kinds  # each is checked as a stage of its own

    @property
    def kinds(self) -> tuple[Stage, ...]:
        """The stage as each of its turns has it; only itself when it has none."""
        return tuple(self._as(turn) for turn in self.turns) or (self,)

    @property
    def every_source(self) -> Iterator[str]:
        """Names of the sources that any turn draws from."""
        return (name for kind in self.kinds for name in kind.sources)

    def kind_at(self, seed: int, step: int) -> Stage:
        """The stage as it is at a step of the run; follows from seed and step alone."""
        if not self.turns:
            return self
        shares = [turn.share for turn in self.turns]
        return self._as(random.Random(f"turn-{seed}-{step}").choices(self.turns, shares)[0])

    def _as(self, turn: Turn) -> Stage:
        own = ("image_size", "frames", "clips", "objects", "prompts", "sources")
        given = {name: getattr(turn, name) for name in own if getattr(turn, name) is not None}
        return replace(self, turns=(), **given)
