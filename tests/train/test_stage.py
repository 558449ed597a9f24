"""Stages whose steps take turns."""

from __future__ import annotations

import pytest

from edgetam.errors import ConfigError
from edgetam.train.data import Clip
from edgetam.train.loader import Order
from edgetam.train.plan import draw_plan
from tests.train.tiny import SIZE, Shapes, curve, recipe, trainer

TURNS = (
    "stages.0.steps=4",
    "stages.0.turns=[{share: 1, frames: 1, clips: 3, objects: 1, prompts: {mask: 0, point: 1, box: 1}},"
    " {share: 1, frames: 2, clips: 1}]",
)


def test_turns_follow_from_seed_and_step() -> None:
    stage = recipe(*TURNS).stages[0]
    kinds = [stage.kind_at(0, step) for step in range(40)]
    assert kinds == [stage.kind_at(0, step) for step in range(40)]
    assert {kind.frames for kind in kinds} == {(1, 1), (2, 2)}
    assert kinds != [stage.kind_at(1, step) for step in range(40)]
    for step, kind in enumerate(kinds):
        plan = draw_plan(stage, 0, step)
        assert plan.length == kind.frames[0]
        assert (plan.kind == "mask") == (plan.length == 2)


def test_a_turn_keeps_what_it_does_not_say() -> None:
    images, pairs = recipe(*TURNS).stages[0].kinds
    assert images.clips == 3 and images.objects == 1
    assert pairs.clips == 1 and pairs.objects == 2 and pairs.prompts.mask == 1
    assert images.rate == pairs.rate and not images.turns


@pytest.mark.parametrize("world", [1, 2])
def test_numbers_of_clips_tell_their_step_and_are_used_once(world: int) -> None:
    stage = recipe(*TURNS, "stages.0.accumulate=2").stages[0]
    orders = [Order(stage, 0, clip=100, step=7, rank=r, world=world) for r in range(world)]
    seen: set[int] = set()
    for index in range(12):
        for order in orders:
            numbers = order.numbers(index)
            assert len(numbers) == order.at(index // 2).clips
            assert {order.frames(n) for n in numbers} == {draw_plan(stage, 0, 7 + index // 2).length}
            assert not seen & set(numbers)
            seen |= set(numbers)
    assert min(seen) == 100
    later = Order(stage, 0, clip=100 + 3 * orders[0].numbers_per_step, step=10, rank=0, world=world)
    assert later.numbers(0) == orders[0].numbers(6)


def test_a_run_with_turns_goes_on_exactly() -> None:
    straight = curve(trainer(*TURNS))
    first = trainer(*TURNS)
    run = iter(first.run())
    begun = [next(run), next(run)]
    second = trainer(*TURNS)
    second.restore(first.state())
    assert [report.losses for report in begun if report] + curve(second) == straight


class _Enlarged(Shapes):
    """The same clips at the size of their turn."""

    def __getitem__(self, number: int) -> Clip:
        clip, times = super().__getitem__(number), self.order.kind(number).image_size // SIZE
        frames = clip.frames.repeat_interleave(times, 1).repeat_interleave(times, 2)
        masks = clip.masks.repeat_interleave(times, 2).repeat_interleave(times, 3)
        return Clip(frames, masks, clip.present)


@pytest.mark.parametrize("norms", ["batch", "frozen"])
def test_turns_of_two_sizes_train_one_network(norms: str) -> None:
    sizes = (
        "stages.0.steps=3",
        f"stages.0.norms={norms}",
        "stages.0.turns=[{share: 1, clips: 1}, {share: 1, image_size: 512, frames: 1, clips: 1}]",
    )
    straight = curve(trainer(*sizes, clips=_Enlarged))
    first = trainer(*sizes, clips=_Enlarged)
    assert {first.stage.kind_at(0, step).image_size for step in range(3)} == {256, 512}
    trunk = first.model.image_encoder.trunk
    before = {name: x.clone() for name, x in trunk.state_dict().items()}
    run = iter(first.run())
    assert first.stage.kind_at(0, 0).image_size == 512  # the first step is not at the size of the stage
    begun = [next(run)]
    moved = {name for name, x in trunk.state_dict().items() if (x != before[name]).any()}
    assert any(name.endswith("weight") for name in moved)
    assert any(name.endswith("running_mean") for name in moved) == (norms == "batch")
    assert first.average.config.image_size == 256
    second = trainer(*sizes, clips=_Enlarged)
    second.restore(first.state())
    assert [report.losses for report in begun if report] + curve(second) == straight


def test_clips_per_second_count_the_clips_of_the_turn() -> None:
    one = trainer(*TURNS, "every.log_steps=1")
    stage, before = one.stage, 0.0
    seen = set()
    for step, report in enumerate(one.run()):
        assert report is not None
        assert one.progress.clips == 3 * (step + 1)
        counted = report.clips_per_second * (one.progress.seconds - before)
        before = one.progress.seconds
        assert round(counted) == stage.kind_at(0, step).clips
        seen.add(round(counted))
    assert seen == {1, 3}


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ("[{share: 0, frames: 1}]", "turns weigh"),
        ("[{frames: 0}]", "frames"),
        ("[{share: -1}, {}]", "share is -1"),
        ("[{sources: {nothing: 1}}]", "nothing"),
        ("[{steps: 5}]", "unknown key 'steps'"),
    ],
)
def test_impossible_turns_are_refused(turns: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        recipe(f"stages.0.turns={turns}")
