"""The paper's recipes against the numbers of the paper (arXiv 2501.07256, section 4.1 and table 5)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgetam.train.recipe import Recipe
from edgetam.train.recipe_file import load_recipe
from edgetam.train.stage import Stage, Turn

RECIPES = Path(__file__).parents[2] / "recipes"
MIXED = {"sav": 58.3, "sa1b": 18.3, "mose": 11.1, "ytvos": 10.8, "davis": 1.5}
"""Percent; not in the paper: SAM 2's shares without its internal data."""


@dataclass(frozen=True)
class Paper:
    """What the paper says of a part of its training.

    Attributes:
        steps, batch: so many steps of so many clips or images.
        rates: of the encoder, where it is trained, and of the rest.
        schedule: kind, and steps of warm-up and cool-down.
        shapes: frames and most objects of clips, and of images where both are seen.
        presence: whether presence is learnt.
        teacher: weights of the distances of image features and of features that have read memories.
        shares: of the data sets, in percent.
    """

    steps: int
    batch: int
    rates: tuple[float | None, float]
    schedule: tuple[str, int, int]
    shapes: list[tuple[int, int]]
    presence: bool
    teacher: tuple[float, float] | None
    shares: dict[str, float]


PAPER = {
    "paper_stage1": Paper(
        175_000, 128, (4e-4, 4e-4), ("rsqrt", 1000, 5000), [(1, 64)], False, (1, 0), {"sa1b": 100}
    ),
    "paper_stage2": Paper(
        130_000, 256, (6e-5, 3e-4), ("cosine", 15_000, 0), [(8, 3), (1, 32)], True, (1, 1), MIXED
    ),
    # a third of the schedule, on the same data; rates are not in the paper: those of stage 2
    "paper_16f": Paper(43_000, 256, (None, 3e-4), ("cosine", 5000, 0), [(16, 3), (1, 32)], True, None, MIXED),
}

parametrised = pytest.mark.parametrize("name", PAPER)


def read(name: str) -> tuple[Recipe, Stage, str]:
    """A recipe, its only stage, and its text, whose comments say how many processes there are."""
    path = RECIPES / f"{name}.yaml"
    recipe = load_recipe(path)
    assert len(recipe.stages) == 1
    return recipe, recipe.stages[0], path.read_text()


def shares(recipe: Recipe) -> dict[str, float]:
    """How much of all clips comes from each data set, in percent."""
    stage, found = recipe.stages[0], Counter[str]()
    turns = stage.turns or (Turn(),)
    for turn, kind in zip(turns, stage.kinds, strict=True):
        weights = kind.sources or dict.fromkeys(recipe.data.sources, 1.0)
        for source, weight in weights.items():
            found[source] += 100 * turn.share / sum(t.share for t in turns) * weight / sum(weights.values())
    return dict(found)


@parametrised
def test_steps_and_batches(name: str) -> None:
    _, stage, text = read(name)
    assert stage.steps == PAPER[name].steps
    started = re.findall(r"--nproc-per-node (\d+) ", text)
    assert started
    ways = [(int(processes), stage.accumulate) for processes in started]
    ways += [(int(a), int(b)) for a, b in re.findall(r"with (\d+) GPUs, accumulate: (\d+)", text)]
    for processes, accumulate in ways:
        for kind in stage.kinds:
            assert kind.clips * accumulate * processes == PAPER[name].batch


@parametrised
def test_rates_and_schedules(name: str) -> None:
    recipe, stage, _ = read(name)
    encoder, rest = PAPER[name].rates
    assert stage.rate == rest
    assert stage.encoder == ("frozen" if encoder is None else "trained")
    assert stage.encoder_rate == (encoder or 0.0)
    kind, warmup, cooldown = PAPER[name].schedule
    assert (stage.schedule.kind, stage.schedule.warmup) == (kind, warmup)
    assert stage.schedule.cooldown * PAPER[name].steps == pytest.approx(cooldown, abs=10)
    assert (stage.schedule.floor, stage.schedule.timescale) == (0.0, 1000)
    optimizer = recipe.optimizer
    assert (optimizer.betas, optimizer.weight_decay, optimizer.clip) == ((0.9, 0.999), 0.1, 0.1)
    assert optimizer.average == 0.0
    assert recipe.precision == "bf16"


@parametrised
def test_batch_norms_use_no_statistics_of_a_single_clip(name: str) -> None:
    recipe, stage, _ = read(name)
    assert (stage.norms == "frozen") == (min(kind.clips for kind in stage.kinds) == 1)
    assert stage.norms == "batch" or recipe.model.init != "fresh", "running statistics come from somewhere"


@parametrised
def test_weights_of_losses(name: str) -> None:
    recipe, stage, _ = read(name)
    losses, teacher = recipe.losses, recipe.distill
    assert (losses.focal, losses.dice, losses.score, losses.balanced) == (20, 1, 1, 0)
    assert (losses.tracking, losses.over_steps, losses.resolution) == ("best", "sum", "full")
    assert (stage.presence != "off") == PAPER[name].presence
    assert losses.presence == 1
    assert (recipe.guides.features, recipe.guides.memory) == (0, 0)
    if PAPER[name].teacher is None:
        assert teacher is None
        return
    assert teacher is not None and stage.distill
    assert (teacher.image, teacher.memory) == PAPER[name].teacher
    assert (teacher.teacher, teacher.variant) == ("sam2-b+", "sam2-b+")
    # what is ours and not the paper's is off
    assert (teacher.mask, teacher.pointer, teacher.fade, teacher.normalised) == (0, 0, 0, False)


@parametrised
def test_clips_and_prompts(name: str) -> None:
    recipe, stage, _ = read(name)
    assert recipe.model.config.image_size == 1024
    assert [(kind.frames, kind.objects) for kind in stage.kinds] == [
        ((frames, frames), objects) for frames, objects in PAPER[name].shapes
    ]
    for kind in stage.kinds:
        prompts = kind.prompts
        assert kind.image_size == 1024
        assert prompts.corrections == (7, 7)
        weights = (prompts.mask, prompts.point, prompts.box)
        if kind.frames == (1, 1):  # a mask leaves nothing to answer there
            assert weights == (0, 0.5, 0.5)
        else:
            assert weights == (0.5, 0.25, 0.25)
            assert (prompts.frames, prompts.corrected) == ((1, 2), 2)


@parametrised
def test_data_sets(name: str) -> None:
    recipe, _, _ = read(name)
    assert shares(recipe) == pytest.approx(PAPER[name].shares, abs=0.05)
    for source in recipe.data.sources.values():
        images = source["kind"] == "sa1b"
        assert source["augment"] == ("image" if images else "video")
        # any object that is seen; of images, none that is nearly all of it
        assert (source["least"], source["most"]) == (0.0, 0.9 if images else 1.0)
    if "sav" in recipe.data.sources:
        assert recipe.data.sources["sav"]["masklets"] == "both"
