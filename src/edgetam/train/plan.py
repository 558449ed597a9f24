"""What one step does: how long its clips are and how they are prompted.

A plan follows from the seed and the number of the step alone. So every process of a run takes the same
branch, and a run that goes on makes the plans it would have made.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

from edgetam.tracking.bank import RECENT_MEMORIES
from edgetam.train.stage import Stage

__all__ = ["Plan", "draw_plan"]

Kind = Literal["mask", "point", "box"]


@dataclass(frozen=True)
class Plan:
    """Length and prompts of the clips of a step.

    Attributes:
        length: frames per clip.
        kind: what prompted frames are given. A mask on a clip of one frame is damaged and has to be mended.
        prompted: frames with a prompt, the first one first.
        corrected: frames with correction clicks.
        corrections: clicks on each of them.
        centre: how often clicks fall deepest inside.
        numbers: of the frames, where they do not count from 0 without gaps.
    """

    length: int = 1
    kind: Kind = "mask"
    prompted: tuple[int, ...] = (0,)
    corrected: tuple[int, ...] = ()
    corrections: int = 0
    centre: float = 0.0
    numbers: tuple[int, ...] = ()


def draw_plan(stage: Stage, seed: int, step: int) -> Plan:
    """Draw the plan of a step of a stage."""
    stage = stage.kind_at(seed, step)
    dice = random.Random(f"{seed}-{step}")
    plan = _prompted(stage, dice)
    return replace(plan, numbers=_with_gaps(plan.length, dice)) if dice.random() < stage.gaps else plan


def _with_gaps(length: int, dice: random.Random) -> tuple[int, ...]:
    """Numbers of frames, so near that what is remembered of the first tracked one can still be read."""
    later = range(1, max(length, RECENT_MEMORIES + 2))
    return (0, *sorted(dice.sample(later, length - 1)))


def _prompted(stage: Stage, dice: random.Random) -> Plan:
    """Length and prompts."""
    length = dice.randint(*stage.frames)
    prompts = stage.prompts
    kinds: tuple[Kind, ...] = ("mask", "point", "box")
    kind = dice.choices(kinds, [prompts.mask, prompts.point, prompts.box])[0]
    count = min(dice.randint(*prompts.frames), length)
    others = dice.sample(range(1, length), length - 1)
    prompted = (0, *others[: count - 1])
    if kind == "mask":  # SAM 2: what a mask says needs no correction
        # nor an answer, so one frame of a clip is left without, or there would be nothing to learn
        return Plan(length, kind, prompted[: max(1, length - 1)], centre=prompts.centre)
    most = min(max(prompts.corrected, count), length)
    corrected = (0, *others[: dice.randint(count, most) - 1]) if prompts.corrected else ()
    corrections = dice.randint(*prompts.corrections)
    corrected = corrected if corrections else ()
    return Plan(length, kind, prompted, corrected, corrections, prompts.centre)
