"""The evaluation a recipe asks for."""

from __future__ import annotations

from functools import cache

import torch

from edgetam.train.batches import Batch, make_batch
from edgetam.train.data import Ask, Mixture, open_source
from edgetam.train.evaluate import draw, score
from edgetam.train.journal import Journal
from edgetam.train.loop import Trainer
from edgetam.train.recipe import Recipe
from edgetam.train.run import Evaluator
from edgetam.train.setup import resized

__all__ = ["make_evaluator"]

HELD_OUT = 7919
"""Added to the seed of a run: its own clips, drawn from other numbers."""


def make_evaluator(recipe: Recipe) -> Evaluator | None:
    """Score the average on ``evaluation.sources``; ``None`` when there are none.

    Where a stage has turns of several sizes, scores of sizes that are not its own are named by theirs, such
    as ``davis@512/tracked``.

    Raises:
        ConfigError: a description is wrong, or a source can never give such clips.
        MediaError: a file cannot be read.
    """
    wanted = recipe.evaluation
    if not wanted.sources:
        return None
    sources = {name: open_source(given) for name, given in wanted.sources.items()}

    def drawn(name: str, size: int, number: int) -> Batch:
        ask = Ask(wanted.frames, wanted.objects, size)
        clips = Mixture([sources[name]], [1.0], recipe.seed + HELD_OUT, ask)
        return make_batch([clips[number]], [number], wanted.objects)

    @cache
    def batches(name: str, size: int) -> list[Batch]:
        return [drawn(name, size, number) for number in range(wanted.clips)]

    for name in sources:
        drawn(name, recipe.stages[0].image_size, 0)  # what cannot be drawn is said before training

    def evaluate(trainer: Trainer, journal: Journal) -> dict[str, float]:
        found: dict[str, float] = {}
        low = recipe.precision == "bf16"
        for size in sorted({kind.image_size for kind in trainer.stage.kinds}):
            model = resized(trainer.average, size)
            for name in sources:
                shown = name if size == trainer.stage.image_size else f"{name}@{size}"
                moved = [batch.to(trainer.device) for batch in batches(name, size)]
                with torch.autocast(trainer.device.type, torch.bfloat16, enabled=low):
                    scores, followed = score(model, moved)
                found |= {f"{shown}/{what}": value for what, value in scores.items()}
                journal.picture(trainer.progress.step, shown, draw(followed, moved))
        return found

    return evaluate
