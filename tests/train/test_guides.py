"""Guides teach the parts they are meant for, and leave with the training."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgetam.model import EdgeTAM
from edgetam.model.layers import to_tokens
from edgetam.structs import ImageFeatures
from edgetam.train.guides import SHARPNESS, THRESHOLD, FeatureGuide, make_guides
from edgetam.train.losses import balanced_loss, cover, dice_loss
from edgetam.train.plan import Plan
from edgetam.train.recipe import Guides
from edgetam.train.rollout import RollOut, Rules, Task, make_task, roll_out
from edgetam.train.setup import starting_model
from edgetam.train.users import SimulatedUser
from edgetam.train.verbs import Verbs
from tests.train.tiny import batch, curve, recipe, trainer

BOTH = ("guides={features: 1, memory: 0.5}",)


def rolled(plan: Plan) -> tuple[EdgeTAM, RollOut, Task]:
    model = starting_model(recipe().model, seed=0)
    given = batch(plan.length)
    task = make_task(given)
    return model, roll_out(Verbs(model), task, plan, SimulatedUser(plan, given.generators(0)), Rules()), task


def costs(guides: Guides, model: EdgeTAM, done: RollOut, task: Task) -> dict[str, Tensor]:
    made = make_guides(guides, model.config, seed=0)
    return {name: part for name, _, part in made(done, task)}


def taught(model: EdgeTAM, cost: Tensor) -> set[str]:
    """Parts of the network that get gradients."""
    cost.backward()
    return {
        name.partition(".")[0]
        for name, p in model.named_parameters()
        if p.grad is not None and p.grad.abs().sum() > 0
    }


def test_the_feature_guide_teaches_the_encoder_alone() -> None:
    model, done, task = rolled(Plan(2, "box"))
    found = costs(Guides(features=1.0), model, done, task)
    assert found.keys() == {"guide_features"}
    assert taught(model, found["guide_features"]) == {"image_encoder"}


def test_the_memory_guide_teaches_the_way_of_a_mask_into_the_next_frame() -> None:
    model, done, task = rolled(Plan(2, "mask"))
    found = costs(Guides(memory=1.0), model, done, task)
    parts = taught(model, found["guide_memory"])
    assert {"memory_encoder", "perceiver", "memory_attention"} <= parts


def test_a_single_image_has_no_memory_to_guide() -> None:
    model, done, task = rolled(Plan(1, "point"))
    assert costs(Guides(memory=1.0), model, done, task)["guide_memory"].item() == 0


def test_pixels_that_look_like_their_object_cost_little() -> None:
    """One channel inside the object and another outside, on all frames."""
    given = batch(frames=2)
    task = make_task(given)
    guide = FeatureGuide()
    with torch.no_grad():
        guide.scale.copy_(torch.tensor([20.0, 0.0]))
    _, done, _ = rolled(Plan(2, "box"))
    guide.embed = lambda _: to_tokens(_painted(task))  # type: ignore[method-assign]
    alike = guide(done, task).item()
    guide.embed = lambda _: to_tokens(_painted(task).flip(2))  # type: ignore[method-assign]
    assert alike < 0.4 * guide(done, task).item()


def _painted(task: Task) -> Tensor:
    """Embeddings ``[T, 64, h, w]`` of one clip: a channel per object, and one for the rest."""
    small = torch.nn.functional.avg_pool2d(task.masks.float(), 4)  # [B, T, h, w]
    out = torch.zeros(task.masks.shape[1], 64, *small.shape[2:])
    for i in range(len(small)):
        out[:, i] = small[i]
    out[:, 63] = 1 - out[:, : len(small)].sum(1)
    return torch.nn.functional.normalize(out, dim=1)


def test_a_guided_run_reports_its_guides_goes_on_exactly_and_ships_without_them() -> None:
    straight = curve(trainer(*BOTH, "stages.0.steps=3"))
    assert straight[0]["guide_features"] > 0 and straight[0]["guide_memory"] > 0
    first = trainer(*BOTH, "stages.0.steps=3")
    next(iter(first.run()))
    second = trainer(*BOTH, "stages.0.steps=3")
    second.restore(first.state())
    assert curve(second) == straight[1:]
    assert not any("guide" in name for name in second.average.state_dict())


def test_a_stage_may_listen_to_its_guides_less() -> None:
    def first(strength: float) -> dict[str, float]:
        return curve(trainer(*BOTH, "stages.0.steps=1", f"stages.0.guides={strength}"))[0]

    full, tenth, none = first(1.0), first(0.1), first(0.0)
    guided = full["guide_features"] + 0.5 * full["guide_memory"]
    assert tenth["guide_features"] == full["guide_features"]  # reported as it is
    assert full["total"] - none["total"] == pytest.approx(guided, rel=1e-4)
    assert tenth["total"] - none["total"] == pytest.approx(guided / 10, rel=1e-3)


def test_guides_do_not_change_what_the_seed_decides() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make_guides(Guides(features=1.0, memory=1.0), recipe().model.config, seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_negative_weights_are_refused() -> None:
    with pytest.raises(Exception, match="features is -1"):
        Guides(features=-1.0)


def test_the_feature_guide_is_likeness_to_the_first_frame_in_each_objects_own_clip() -> None:
    """Three clips, four objects, against the definition with unit vectors and one object at a time."""
    dice = torch.Generator().manual_seed(0)
    clip, frames = torch.tensor([0, 0, 1, 2]), 3
    maps = torch.randn(3 * frames, 64, 16, 16, generator=dice)
    masks = torch.rand(4, frames, 64, 64, generator=dice) > 0.6
    guide = FeatureGuide()
    guide.embed = lambda _: to_tokens(maps)  # type: ignore[method-assign]
    features = ImageFeatures(maps, maps, maps)
    task = Task(torch.zeros(3, frames, 3, 64, 64), masks, clip)
    units = torch.nn.functional.normalize(maps, dim=1).unflatten(0, (3, frames))
    expected = 0.0
    for b, own in enumerate(clip.tolist()):
        inside = cover(masks[b, :1])[0]
        means = [(units[own, 0] * w).sum((1, 2)) for w in (inside, 1 - inside)]
        axis = torch.nn.functional.normalize(torch.stack(means), dim=1)
        for t in range(frames):
            logits = (units[own, t] * (axis[0] - axis[1])[:, None, None]).sum(0) * SHARPNESS - THRESHOLD
            target = cover(masks[b, t : t + 1])
            cost = balanced_loss(logits[None, None], target) + dice_loss(logits[None, None], target)
            expected += cost.item() / frames
    assert guide(RollOut(features, [], [], {}), task).item() == pytest.approx(expected, rel=1e-5)
