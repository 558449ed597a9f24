"""What steps do, drawn from seed and number."""

from __future__ import annotations

from collections import Counter

import pytest

from edgetam.errors import ConfigError, MediaError
from edgetam.train.data import Ask
from edgetam.train.loader import Order
from edgetam.train.plan import Plan, draw_plan
from edgetam.train.recipe import Recipe
from edgetam.train.recipe_file import parse_recipe
from edgetam.train.sources import Sources, StageClips, to_check
from edgetam.train.stage import Prompts, Stage


def drawn(stage: Stage, count: int = 2000) -> list[Plan]:
    return [draw_plan(stage, 0, step) for step in range(count)]


def test_a_plan_follows_from_seed_and_step() -> None:
    stage = Stage("x", steps=1, frames=(1, 8), prompts=Prompts(corrections=(0, 7), frames=(1, 2)))
    assert drawn(stage, 50) == drawn(stage, 50)
    assert draw_plan(stage, 1, 0) != draw_plan(stage, 0, 0) or draw_plan(stage, 1, 1) != draw_plan(
        stage, 0, 1
    )


def test_prompts_are_those_of_sam_2() -> None:
    """A half, a quarter and a quarter; one or two frames; corrections of clicks and boxes."""
    stage = Stage(
        "x", steps=1, frames=(8, 8), prompts=Prompts(corrections=(7, 7), frames=(1, 2), corrected=2)
    )
    plans = drawn(stage)
    kinds = Counter(plan.kind for plan in plans)
    for kind, share in (("mask", 0.5), ("point", 0.25), ("box", 0.25)):
        assert abs(kinds[kind] / len(plans) - share) < 0.05
    assert {len(plan.prompted) for plan in plans} == {1, 2}
    for plan in plans:
        assert plan.prompted[0] == 0 and all(0 < t < 8 for t in plan.prompted[1:])
        if plan.kind == "mask":
            assert plan.corrected == () and plan.corrections == 0
        else:
            assert set(plan.prompted) <= set(plan.corrected)
            assert len(plan.corrected) <= 2 and plan.corrections == 7


def test_short_clips_have_no_more_prompts_than_frames() -> None:
    stage = Stage(
        "x", steps=1, frames=(1, 2), prompts=Prompts(frames=(1, 3), corrected=5, corrections=(1, 1))
    )
    for plan in drawn(stage, 300):
        assert set(plan.prompted) | set(plan.corrected) <= set(range(plan.length))


def test_masks_leave_a_frame_to_answer() -> None:
    stage = Stage("x", steps=1, frames=(1, 3), prompts=Prompts(frames=(2, 3), corrected=3))
    plans = drawn(stage, 300)
    masks = [plan for plan in plans if plan.kind == "mask"]
    assert {(plan.length, len(plan.prompted)) for plan in masks} == {(1, 1), (2, 1), (3, 2)}
    others = {(plan.length, len(plan.prompted)) for plan in plans if plan.kind != "mask"}
    assert others == {(1, 1), (2, 2), (3, 2), (3, 3)}


def test_gaps_let_short_clips_have_memories_of_every_age() -> None:
    stage = Stage("x", steps=1, frames=(3, 9), gaps=0.5)
    plans = drawn(stage)
    assert abs(sum(bool(plan.numbers) for plan in plans) / len(plans) - 0.5) < 0.05
    ages = Counter()
    for plan in plans:
        numbers = plan.numbers or tuple(range(plan.length))
        assert len(numbers) == plan.length and numbers[0] == 0 and list(numbers) == sorted(set(numbers))
        if plan.length == 3:
            ages[numbers[2] - numbers[1]] += 1
    assert ages.keys() == {1, 2, 3, 4, 5, 6}, "also of frames between which none is remembered"
    without = drawn(Stage("x", steps=1, frames=(3, 9)))
    assert [plan.prompted for plan in without] == [plan.prompted for plan in plans]


def test_images_come_from_their_own_sources() -> None:
    recipe: Recipe = parse_recipe(
        "data: {sources: {drawn: {kind: synthetic}, stills: {kind: synthetic, difficulty: 0}}}\n"
        "stages: [{name: x, steps: 1, frames: 2, clips: 1, objects: 1, sources: {drawn: 1},"
        " turns: [{}, {frames: 1, sources: {stills: 1}, objects: 3}]}]"
    )
    stage = recipe.stages[0]
    order = Order(stage, 0, rank=0, world=1)
    clips = StageClips(Sources(recipe), stage, order)
    shapes = [tuple(clips[number].masks.shape[:2]) for number in range(6)]
    assert shapes == [(order.frames(n), order.kind(n).objects) for n in range(6)]
    assert set(shapes) == {(1, 3), (2, 1)}
    assert not any(clips.broken.values())


def test_data_of_every_stage_is_looked_for_before_the_first() -> None:
    recipe = parse_recipe(
        "data: {sources: {drawn: {kind: synthetic}, far: {kind: davis, root: nowhere}}}\n"
        "stages: [{name: a, steps: 1, sources: {drawn: 1}}, {name: b, steps: 1, sources: {far: 1}}]"
    )
    with pytest.raises(MediaError, match="nowhere"):
        Sources(recipe)
    unmixed = "data: {sources: {a: {kind: synthetic}, b: {kind: synthetic}}}\nstages: [{name: x, steps: 1}]"
    with pytest.raises(ConfigError, match="a weight beside other sources"):
        Sources(parse_recipe(unmixed))


def test_what_is_checked_is_drawn_as_the_stages_draw_it() -> None:
    recipe = parse_recipe(
        "data: {sources: {drawn: {kind: synthetic}, stills: {kind: synthetic}}}\n"
        "evaluation: {sources: {drawn: {kind: synthetic}}, frames: 7, objects: 1}\n"
        "stages: [{name: x, steps: 1, frames: [2, 5], objects: 2, sources: {drawn: 1},"
        " turns: [{}, {image_size: 512, frames: 1, objects: 3, sources: {stills: 1}}]}]"
    )
    sources, asks = to_check(recipe)
    assert asks == {
        "drawn": Ask(5, 2, 256),
        "stills": Ask(1, 3, 512),
        "evaluation.drawn": Ask(7, 1, 512),
    }
    assert sources.keys() == asks.keys()
