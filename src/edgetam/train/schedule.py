"""How learning rates move: warm-up, a curve, and a cool-down at the end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from edgetam.errors import ConfigError

__all__ = ["Schedule", "learning_rate"]


@dataclass(frozen=True)
class Schedule:
    """The course of the learning rates through a stage, as a share of their peaks.

    Attributes:
        kind: ``constant``, ``cosine``, or ``rsqrt`` (reciprocal square root, arXiv 2106.04560).
        warmup: steps of linear rise from zero.
        cooldown: share of the stage, at its end, over which the rate falls linearly to ``floor``.
        floor: what is left at the end, as a share of the peak.
        timescale: steps until ``rsqrt`` has fallen to about 0.7.
    """

    kind: Literal["constant", "cosine", "rsqrt"] = "constant"
    warmup: int = 0
    cooldown: float = 0.0
    floor: float = 0.0
    timescale: int = 1000

    def __post_init__(self) -> None:
        for name, value in (("cooldown", self.cooldown), ("floor", self.floor)):
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"{name} is {value}, expected a share from 0 to 1.")
        if self.warmup < 0 or self.timescale < 1:
            raise ConfigError(
                f"warmup is {self.warmup} and timescale {self.timescale}, expected steps: at least 0 and 1."
            )


def learning_rate(schedule: Schedule, step: int, progress: float) -> float:
    """Share of the peak rate, 0..1.

    Args:
        schedule: of the stage.
        step: steps done in this stage; warm-up and ``rsqrt`` count these.
        progress: share of the stage that is done; ``cosine`` and the cool-down follow it, so that budgets
            may be given in minutes.
    """
    warm = min(1.0, (step + 1) / schedule.warmup) if schedule.warmup else 1.0
    left = min(1.0, max(0.0, 1.0 - progress))
    cool = min(1.0, left / schedule.cooldown) if schedule.cooldown else 1.0
    if schedule.kind == "cosine":
        curve = 0.5 * (1.0 + math.cos(math.pi * (1.0 - left)))
    elif schedule.kind == "rsqrt":
        since = max(0, step + 1 - schedule.warmup)
        curve = math.sqrt(schedule.timescale / (schedule.timescale + since))
    else:
        curve = 1.0
    return warm * (schedule.floor + (1.0 - schedule.floor) * curve * cool)
