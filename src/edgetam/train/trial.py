"""The evaluation a recipe asks for."""

from __future__ import annotations

from functools import lru_cache

import torch

from edgetam.train.batches import Batch, make_batch
from edgetam.train.data import Ask
from edgetam.train.evaluate import draw, score
from edgetam.train.journal import Journal
from edgetam.train.loop import Trainer
from edgetam.train.recipe import Recipe
from edgetam.train.run import Evaluator
from edgetam.train.sources import mix

__all__ = ["make_evaluator"]

HELD_OUT = 7919
"""Added to the seed of a run: its own clips, drawn from other numbers."""


def make_evaluator(recipe: Recipe) -> Evaluator | None:
    """Score the average on ``evaluation.sources``; ``None`` when there are none."""
    wanted = recipe.evaluation
    if not wanted.sources:
        return None

    @lru_cache(maxsize=2)
    def batches(size: int) -> dict[str, list[Batch]]:
        ask = Ask(wanted.frames, wanted.objects, size)
        made = {}
        for name, given in wanted.sources.items():
            clips = mix({name: given}, {name: 1.0}, recipe.seed + HELD_OUT, ask)
            made[name] = [make_batch([clips[i]], [i], wanted.objects) for i in range(wanted.clips)]
        return made

    def evaluate(trainer: Trainer, journal: Journal) -> dict[str, float]:
        found: dict[str, float] = {}
        low = recipe.precision == "bf16"
        for name, held_out in batches(trainer.average.config.image_size).items():
            moved = [batch.to(trainer.device) for batch in held_out]
            with torch.autocast(trainer.device.type, torch.bfloat16, enabled=low):
                scores, followed = score(trainer.average, moved)
            found |= {f"{name}/{what}": value for what, value in scores.items()}
            journal.picture(trainer.progress.step, name, draw(followed, moved))
        return found

    return evaluate
