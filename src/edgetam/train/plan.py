"""What one step does: how long its clips are and how they are prompted.

A plan follows from the seed and the number of the step alone. So every process of a run takes the same
branch, and a run that goes on makes the plans it would have made.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

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
    """

    length: int = 1
    kind: Kind = "mask"
    prompted: tuple[int, ...] = (0,)
    corrected: tuple[int, ...] = ()
    corrections: int = 0
    centre: float = 0.0


def draw_plan(stage: Stage, seed: int, step: int) -> Plan:
    """Draw the plan of a step of a stage."""
    stage = stage.kind_at(seed, step)
    dice = random.Random(f"{seed}-{step}")
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
