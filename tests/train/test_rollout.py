"""Clips through the four verbs, with drawn clips and an untrained network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgetam.engine.torch import TorchEngine
from edgetam.model import EdgeTAM
from edgetam.model.mask_decoder import Candidates
from edgetam.structs import FrameResult
from edgetam.tracking import TrackerOptions, VideoTracker
from edgetam.tracking.step import PREVIOUS_LIMIT
from edgetam.train.batches import Batch
from edgetam.train.evaluate import follow_masks
from edgetam.train.losses import rollout_terms
from edgetam.train.plan import Plan
from edgetam.train.prompts import no_prompt
from edgetam.train.recipe import Losses
from edgetam.train.rollout import RollOut, Rules, make_task, roll_out
from edgetam.train.setup import freeze_norms, resized, starting_model
from edgetam.train.users import RepeatingUser, SimulatedUser
from edgetam.train.verbs import Verbs
from tests.train.tiny import batch, curve, recipe, trainer

MASK = Plan(3, "mask")


@pytest.fixture(scope="module")
def model() -> EdgeTAM:
    return starting_model(recipe().model, seed=0)


@contextmanager
def replaced(parameter: Tensor, value: float) -> Iterator[None]:
    before = parameter.clone()
    parameter.fill_(value)
    try:
        yield
    finally:
        parameter.copy_(before)


def rolled(model: EdgeTAM, given: Batch, plan: Plan, rules: Rules | None = None, seed: int = 0) -> RollOut:
    freeze_norms(model)  # or frames would meet in the batch statistics
    user = SimulatedUser(plan, given.generators(seed))
    return roll_out(Verbs(model), make_task(given), plan, user, rules or Rules())


@pytest.mark.parametrize(
    ("plan", "frames", "points"),
    [
        (MASK, [1, 2], [0, 0]),
        (Plan(3, "box"), [0, 1, 2], [2, 0, 0]),
        (Plan(3, "point", corrected=(0,), corrections=2), [0, 0, 0, 1, 2], [1, 2, 3, 0, 0]),
        (
            Plan(3, "point", prompted=(0, 2), corrected=(0, 2), corrections=1),
            [0, 0, 2, 2, 1],
            [1, 2, 1, 2, 0],
        ),
        (Plan(3, "box", corrected=(0, 1), corrections=2), [0, 0, 0, 1, 1, 1, 2], [2, 3, 4, 0, 1, 2, 0]),
        (Plan(3, "mask", prompted=(0, 1)), [2], [0]),
        (Plan(1, "mask"), [0], [1]),
    ],
)
def test_answers_of_each_plan(model: EdgeTAM, plan: Plan, frames: list[int], points: list[int]) -> None:
    given = batch(plan.length)
    with torch.no_grad():
        done = rolled(model, given, plan)
    assert [step.frame for step in done.steps] == frames
    assert [step.points for step in done.steps] == points
    assert [step.ambiguous for step in done.steps] == [
        plan.kind == "point" and step.points == 1 and step.frame in plan.prompted for step in done.steps
    ]
    # memories are read wherever nothing was prompted
    assert [step.fused is not None for step in done.steps] == [t not in plan.prompted for t in frames]
    assert all(step.found.masks.shape == (2, 4, 64, 64) for step in done.steps)
    assert torch.isfinite(torch.stack(rollout_terms(done.steps, make_task(given), Losses()))).all()


def test_numbers_decide_how_old_memories_are(model: EdgeTAM) -> None:
    """Every number counts beside the others: the same gaps are the same ages."""
    given = batch(3)
    with torch.no_grad():
        plain = rolled(model, given, MASK)
        near = rolled(model, given, Plan(3, "mask", numbers=(4, 5, 6)))
        old = rolled(model, given, Plan(3, "mask", numbers=(0, 1, 5)))
    for a, b in zip(plain.steps, near.steps, strict=True):
        assert torch.equal(a.found.masks, b.found.masks)
    assert torch.equal(plain.steps[0].found.masks, old.steps[0].found.masks), "reads the given mask alone"
    assert not torch.equal(plain.steps[1].found.masks, old.steps[1].found.masks)


def test_the_same_seed_gives_the_same_answers(model: EdgeTAM) -> None:
    plan = Plan(1, "point", corrected=(0,), corrections=1)
    with torch.no_grad():
        a, b, c = (rolled(model, batch(1), plan, seed=s).steps[1].found.masks for s in (7, 7, 8))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_an_object_is_prompted_alike_in_every_batch(model: EdgeTAM) -> None:
    plan = Plan(1, "box", corrected=(0,), corrections=1)
    with torch.no_grad():
        alone = rolled(model, batch(1, clips=1, first=1), plan).steps[1].found.masks
        among = rolled(model, batch(1, clips=2, first=0), plan).steps[1].found.masks
    torch.testing.assert_close(alone, among[2:], rtol=1e-3, atol=1e-4)


def test_gradients_reach_the_first_frame_through_memory(model: EdgeTAM) -> None:
    given = batch(3)
    task = make_task(given)
    images = task.images.clone().requires_grad_()
    freeze_norms(model)
    done = roll_out(Verbs(model), replace(task, images=images), MASK, SimulatedUser(MASK, []), Rules())
    rollout_terms(done.steps[-1:], make_task(given), Losses()).dice.backward()
    assert images.grad is not None
    assert bool((images.grad[0].flatten(1).abs().sum(1) > 0).all())


def test_recomputed_activations_give_the_same_gradients_and_statistics() -> None:
    plan = Plan(2, "point", corrected=(0,), corrections=1)
    gradients, statistics = [], []
    for checkpointing in (False, True):
        model = starting_model(recipe().model, seed=0).train()
        given = batch(2)
        user = SimulatedUser(plan, given.generators(0))
        done = roll_out(Verbs(model, checkpointing=checkpointing), make_task(given), plan, user, Rules())
        rollout_terms(done.steps, make_task(given), Losses()).dice.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
        statistics.append({n: b for n, b in model.named_buffers() if "running" in n or "tracked" in n})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6)
    for name, value in statistics[0].items():
        torch.testing.assert_close(value, statistics[1][name])


def test_a_step_that_recomputes_is_the_same_step() -> None:
    """Also where attention is computed by other kernels backwards than it would be by default."""
    plain, frugal = (
        trainer("stages.0.steps=1", f"stages.0.checkpointing={how}") for how in ("false", "true")
    )
    assert curve(plain) == curve(frugal)
    for a, b in zip(plain.model.parameters(), frugal.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_the_truth_decides_presence_unless_the_network_is_trusted(model: EdgeTAM) -> None:
    """With the object gone on the second frame, its memory depends on who is believed."""
    given = batch(3)
    given.masks[:, 1] = False
    with torch.no_grad():
        told = rolled(model, given, MASK)
        seen = rolled(model, given, MASK, Rules(trust_presence=True))
    assert bool((seen.steps[0].found.presence > 0).all())  # an untrained network says "present"
    assert not torch.equal(told.steps[1].found.masks, seen.steps[1].found.masks)


def test_remembering_the_truth_forgets_the_answers(model: EdgeTAM) -> None:
    with torch.no_grad():
        own = rolled(model, batch(3), MASK)
        told = rolled(model, batch(3), MASK, Rules(masks="gt"))
    assert torch.equal(own.steps[0].found.masks, told.steps[0].found.masks)
    assert not torch.equal(own.steps[1].found.masks, told.steps[1].found.masks)


def test_whoever_repeats_prompts_gets_the_same_answers(model: EdgeTAM) -> None:
    plan = Plan(2, "point", corrected=(0,), corrections=2)
    given = batch(2)
    user = SimulatedUser(plan, given.generators(0))
    with torch.no_grad():
        first = roll_out(Verbs(model), make_task(given), plan, user, Rules())
        again = roll_out(Verbs(model), make_task(given), plan, RepeatingUser(user.asked), Rules())
    for a, b in zip(first.steps, again.steps, strict=True):
        torch.testing.assert_close(a.found.masks, b.found.masks)


def test_nobody_clicks_where_nothing_can_be_wrong() -> None:
    user = SimulatedUser(Plan(1, "point"), [np.random.default_rng(0)])
    truth, void = torch.zeros(2, 1, 64, 64, dtype=torch.bool)
    truth[:, :8, :8] = void[:, :, 32:] = True
    wrong = torch.full((1, 1, 16, 16), 9.0)  # everything
    for _ in range(20):
        x, _ = user.correct(no_prompt(1), wrong, truth, void).points[0, -1].tolist()
        assert x < 32


@pytest.mark.parametrize("kind", ["mask", "point", "box"])
def test_first_prompts_say_nothing_of_what_is_unknown(kind: Any) -> None:
    """Of two objects, one is half of a disc whose other half is unknown, and one is not there."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    disc = (x - 32) ** 2 + (y - 32) ** 2 < 20**2
    void = torch.stack([disc & (x >= 32), x >= 8])
    truth = torch.stack([disc & (x < 32), torch.zeros(64, 64, dtype=torch.bool)])
    for seed in range(30):
        user = SimulatedUser(Plan(1, kind), [np.random.default_rng([seed, b]) for b in range(2)])
        prompt = user.prompt(truth, void)
        for b in range(2):
            for (px, py), label in zip(
                prompt.points[b].int().tolist(), prompt.labels[b].tolist(), strict=True
            ):
                assert label != 0 or not void[b, py, px]


def test_unknown_pixels_reach_the_user(model: EdgeTAM) -> None:
    seen: list[Tensor | None] = []

    class Curious(SimulatedUser):
        def prompt(self, truth: Tensor, void: Tensor | None = None) -> Any:
            seen.append(void)
            return super().prompt(truth, void)

    given = batch(1)
    plan = Plan(1, "point")
    with torch.no_grad():
        for void in (None, torch.ones(1, 1, 256, 256, dtype=torch.bool)):
            task = make_task(replace(given, void=void))
            roll_out(Verbs(model), task, plan, Curious(plan, given.generators(0)), Rules())
    assert seen[0] is None and seen[1] is not None and seen[1].shape == (2, 256, 256)


def test_earlier_answers_are_fed_back_within_the_trackers_limit(model: EdgeTAM) -> None:
    class Sure(Verbs):
        def candidates(self, fused: Tensor, features: Any, prompt: Any) -> Candidates:
            found = super().candidates(fused, features, prompt)
            return found._replace(masks=found.masks * 1e4)

    plan = Plan(1, "point", corrected=(0,), corrections=1)
    given = batch(1)
    user = SimulatedUser(plan, given.generators(0))
    with torch.no_grad():
        roll_out(Sure(model), make_task(given), plan, user, Rules())
    fed_back = user.asked[1].mask
    assert fed_back is not None and fed_back.abs().max() == PREVIOUS_LIMIT


def tracked(model: EdgeTAM, given: Batch) -> dict[int, FrameResult]:
    """What a session gives on the first clip, from the masks of two objects."""
    options = TrackerOptions(fill_holes=0, store="fp32", memory_selection="recent")
    tracker = VideoTracker(TorchEngine(model, fold=False), options)
    with tracker.open(list(given.frames[0].numpy())) as session:
        for b in range(2):
            session.prompt(0, b + 1, mask=given.masks[b, 0].numpy())
        return {result.frame: result for result in session.propagate()}


def test_training_sees_what_a_tracker_sees(model: EdgeTAM) -> None:
    """The roll-out and a session on the same network answer alike, over more frames than are remembered."""
    given = batch(frames=9)
    model.eval()
    logits = follow_masks(model, given).logits  # [2, 8, 64, 64]
    results = tracked(model, given)
    for t in range(1, 9):
        for b in range(2):
            found = torch.from_numpy(results[t].objects[b + 1].logits)
            torch.testing.assert_close(found, logits[b, t - 1], rtol=1e-3, atol=1e-4)


def test_training_skips_memories_that_a_tracker_skips() -> None:
    """From some frame on one object is not there, and the other still is."""
    given = batch(frames=9)
    model = starting_model(recipe("model.skips_absent=true").model, seed=0).eval()
    freeze_norms(model)

    @torch.no_grad()
    def presence(rules: Rules) -> Tensor:
        plan = Plan(9, "mask")
        done = roll_out(Verbs(model), make_task(given), plan, SimulatedUser(plan, []), rules)
        return torch.cat([step.found.presence for step in done.steps], 1)  # [2, 8]

    with torch.no_grad():
        model.mask_decoder.presence_head.layers[-1].bias -= presence(Rules())[:, 1].mean()
    believed = presence(Rules(trust_presence=True))
    there = believed > 0
    assert there[:, 0].all() and there.any(0)[1] and not there.all(0)[1]
    results = tracked(model, given)
    for t in range(1, 9):
        for b in range(2):
            assert results[t].objects[b + 1].presence == pytest.approx(
                float(believed[b, t - 1].sigmoid()), abs=1e-4
            )
    model.config = replace(model.config, skips_absent=False)
    assert (presence(Rules(trust_presence=True)) - believed).abs().max() > 1e-3


def test_what_is_missed_is_shown_to_nobody(model: EdgeTAM) -> None:
    """Trackers feed back nothing where they take the object for gone, and users see nothing there."""
    plan = Plan(1, "point", corrected=(0,), corrections=1)
    fed = []
    for presence in (5.0, -5.0):
        for rules in (Rules(), Rules(trust_presence=True)):
            user = SimulatedUser(plan, batch(frames=1).generators(0))
            layer = model.mask_decoder.presence_head.layers[-1]
            with torch.no_grad(), replaced(layer.bias, presence), replaced(layer.weight, 0.0):
                roll_out(Verbs(model.eval()), make_task(batch(frames=1)), plan, user, rules)
            mask = user.asked[-1].mask
            assert mask is not None
            fed.append(mask)
    assert torch.equal(fed[0], fed[1]) and torch.equal(fed[0], fed[2])
    assert (fed[3] == -PREVIOUS_LIMIT).all() and not (fed[0] == -PREVIOUS_LIMIT).all()


def test_an_object_is_prompted_by_other_numbers_than_its_clip_was_drawn_by() -> None:
    given = batch(frames=1)
    for row, one in zip(given.seeds.tolist(), given.generators(3), strict=True):
        assert one.random() != np.random.default_rng([3, row[0]]).random()


def test_a_network_of_another_size_shares_its_parameters(model: EdgeTAM) -> None:
    larger = resized(model, 512)
    assert larger.config.image_size == 512
    for a, b in zip(model.parameters(), larger.parameters(), strict=True):
        assert a is b
    with torch.no_grad():
        features = larger.encode(torch.zeros(1, 3, 512, 512))
    assert features.stride16.shape == (1, 256, 32, 32)
    assert larger.attend(features, None).shape == (1, 256, 32, 32)
