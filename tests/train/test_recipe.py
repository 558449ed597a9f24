"""Recipes: what is read, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgetam.errors import ConfigError, InputError
from edgetam.train.recipe_file import changes, load_recipe, parse_recipe, recipe_text
from edgetam.train.setup import starting_model
from edgetam.train.strict import plain
from tests.train.tiny import RECIPE, recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_recipes_that_are_shipped_can_be_read(path: Path) -> None:
    assert load_recipe(path).stages


def test_a_recipe_written_down_is_the_same_recipe() -> None:
    one = recipe("stages.0.minutes=0.5", "stages.0.steps=null", "stages.0.rate=1e-3", "stages.0.presence=off")
    assert parse_recipe(recipe_text(one)) == one
    assert one.stages[0].rate == 0.001
    assert one.stages[0].presence == "off"
    assert one.stages[0].frames == (2, 2)


def test_stages_of_a_trunk_may_be_equally_wide() -> None:
    model = starting_model(recipe("model.encoder={widths: [16, 32, 32, 48], depths: [1, 1, 1, 1]}").model, 0)
    maps = model.image_encoder.trunk(torch.zeros(2, 3, 64, 64))
    assert [tuple(x.shape[1:]) for x in maps] == [(16, 16, 16), (32, 8, 8), (32, 4, 4), (48, 2, 2)]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.0.step=3", ["stages.0", "'step'", "did you mean 'steps'"]),
        ("modle.variant=edgetam", ["'modle'", "did you mean 'model'"]),
        ("qwertz=1", ["'qwertz'", "known keys are"]),
        ("stages.0.steps=many", ["stages.0.steps", "'many'", "whole number"]),
        ("stages.0.rate=fast", ["stages.0.rate", "a number"]),
        ("stages.0.rate=nan", ["stages.0.rate", "a number"]),
        ("stages.0.frames=[4, 2]", ["stages.0", "frames", "[4, 2]"]),
        ("stages.0.frames=[1, 2, 3]", ["stages.0.frames", "2 values"]),
        ("stages.0.norms=froze", ["stages.0.norms", "'froze'", "did you mean 'frozen'"]),
        ("stages=[{name: a, steps: 4, minutes: 3}]", ["steps is 4 and minutes is 3", "exactly one"]),
        ("stages.0.minutes=.inf", ["the budget is inf", "an end"]),
        ("model.image_size=512", ["model.image_size is 512", "stages train at 256"]),
        ("stages.0.prompts.mask=-1", ["stages.0.prompts", "-1"]),
        ("stages.0.image_size=384", ["stages.0", "384", "multiple of 256"]),
        ("stages.0.sources.sintetic=1", ["'sintetic'", "did you mean 'synthetic'"]),
        ("stages=[]", ["stages is empty"]),
        ("stages.7.steps=3", ["'7'", "list of 1"]),
        ("seed.x=1", ["seed"]),
        ("seed=-1", ["seed is -1", "from 0"]),
        ("model.variant=edgetan", ["edgetan", "edgetam"]),
        ("model.variant=sam2.1-t", ["encoder", "sam2.1-t"]),
        ("distill.image=1", ["distill.teacher is missing"]),
        ("seed", ["'seed'", "key=value"]),
        ("seed=[", ["not YAML"]),
    ],
)
def test_mistakes_are_named(override: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        recipe(override)
    for word in words:
        assert word in str(caught.value)


def test_an_override_changes_one_of_two_parts_that_share_an_anchor() -> None:
    text = "stages: [&a {name: a, steps: 1, prompts: &p {mask: 1}}, {<<: *a, name: b}]"
    made = parse_recipe(text, ["stages.1.prompts.mask=0"])
    assert [stage.prompts.mask for stage in made.stages] == [1, 0]


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        load_recipe(tmp_path / "missing.yaml")
    path = tmp_path / "odd.yaml"
    for text in ("", "- 1", "stages: {", "just text"):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"odd\.yaml"):
            load_recipe(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"odd\.yaml"):
        load_recipe(path)


def test_changes_name_what_matters() -> None:
    before = plain(recipe())
    assert changes(before, plain(recipe("every.log_steps=7", "threads=2", "data.workers=3"))) == []
    assert changes(before, plain(recipe("evaluation.clips=3"))) == []
    assert changes(before, plain(recipe("stages.0.steps=9"))) == ["stages.0.steps"]
    assert changes(before, plain(parse_recipe(RECIPE + "seed: 1"))) == ["seed"]
