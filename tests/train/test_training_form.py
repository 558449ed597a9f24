"""The form that is trained computes the same, gradients included, with the network's own parameters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from edgetam.model import EdgeTAM
from edgetam.train.depthwise import depthwise, has_slow_gradients
from edgetam.train.losses import rollout_terms
from edgetam.train.plan import Plan
from edgetam.train.recipe import Losses
from edgetam.train.rollout import Rules, make_task, roll_out
from edgetam.train.setup import freeze_norms, starting_model
from edgetam.train.training_form import training_form
from edgetam.train.users import SimulatedUser
from edgetam.train.verbs import Verbs
from tests.train.tiny import batch, recipe, trainer


def gradients(y: Tensor, of: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    return torch.autograd.grad((y * weights).sum(), of)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(2, 5),
    st.integers(3, 60),
    st.integers(3, 60),
    st.sampled_from([(3, 1), (3, 2), (5, 1), (7, 1), (7, 2)]),
    st.booleans(),
)
def test_depthwise_convolutions_have_pytorchs_gradients(
    count: int, channels: int, height: int, width: int, kind: tuple[int, int], last: bool
) -> None:
    side, stride = kind
    dice = torch.Generator().manual_seed(height * 100 + width)
    shapes = (count, channels, height, width), (channels, 1, side, side), (channels,)
    x, weight, bias = (torch.randn(s, generator=dice, dtype=torch.double) for s in shapes)
    x = x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    of = tuple(one.requires_grad_() for one in (x, weight, bias))
    expected = F.conv2d(x, weight, bias, stride, side // 2, groups=channels)
    found = depthwise(x, weight, bias, stride)
    assert torch.equal(found, expected)
    for own, theirs in zip(gradients(found, of), gradients(expected, of), strict=True):
        torch.testing.assert_close(own, theirs)


def test_in_half_precision_only_rounding_differs() -> None:
    x, weight = torch.randn(2, 8, 32, 32), torch.randn(8, 1, 7, 7)
    of = x.requires_grad_(), weight.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = depthwise(x, weight, None, 1)
    assert found.dtype == torch.bfloat16
    exact = gradients(F.conv2d(x, weight, padding=3, groups=8), of)
    for own, theirs in zip(gradients(found, of), exact, strict=True):
        assert own.dtype == torch.float32
        assert float((own - theirs).norm() / theirs.norm()) < 0.01


@pytest.mark.parametrize(
    ("conv", "slow"),
    [
        (nn.Conv2d(8, 8, 3, 2, 1, groups=8), True),
        (nn.Conv2d(8, 8, 7, 1, 3, groups=8), True),
        (nn.Conv2d(8, 8, 3, 1, 1, groups=8), False),
        (nn.Conv2d(8, 8, 3, 2, 1), False),
        (nn.Conv2d(8, 16, 3, 2, 1, groups=8), False),
        (nn.Conv2d(8, 8, 3, 2, 1, groups=4), False),
        (nn.Conv2d(8, 8, 3, 2, 0, groups=8), False),
        (nn.Conv2d(8, 8, 7, 1, 6, dilation=2, groups=8), False),
        (nn.Conv2d(8, 8, 7, 1, 3, groups=8, padding_mode="reflect"), False),
        (nn.Conv2d(8, 8, (3, 7), 1, (1, 3), groups=8), False),
        (nn.Conv2d(8, 8, 2, 2, 1, groups=8), False),
    ],
)
def test_what_it_is_made_for(conv: nn.Conv2d, slow: bool) -> None:
    assert has_slow_gradients(conv) == slow


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_gradients_of_a_rollout(frozen: bool, own: bool) -> None:
    """Norms are far from their fresh statistics, so that merging them wrongly shows."""
    model = starting_model(recipe().model, 0)
    dice = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.2, generator=dice)
            module.running_var.uniform_(0.5, 2.0, generator=dice)
    if frozen:
        freeze_norms(model)
    plain = _slopes(model, model)
    formed = _slopes(training_form(model, norms_frozen=frozen, own_gradients=own), model)
    assert formed.keys() == plain.keys()
    whole = torch.cat([slope.flatten() for slope in plain.values()]).norm()
    for name, slope in plain.items():  # a constant of all keys has none but what rounding leaves
        assert float((formed[name] - slope).norm()) < 2e-3 * float(slope.norm() + 1e-3 * whole), name


def _slopes(form: EdgeTAM, model: EdgeTAM) -> dict[str, Tensor]:
    """Gradients of a clip's loss by the names of the network."""
    plan = Plan(2, "mask")
    task = make_task(batch(2))
    done = roll_out(Verbs(form), task, plan, SimulatedUser(plan, []), Rules())
    terms = rollout_terms(done.steps, task, Losses())
    model.zero_grad()
    terms.weighted(Losses(), presence=True).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_it_holds_the_networks_own_parameters_and_leaves_it_as_it_is() -> None:
    model = starting_model(recipe().model, 0)
    before = list(model.state_dict())
    form = training_form(model, norms_frozen=True, own_gradients=True)
    assert {id(p) for p in form.parameters()} == {id(p) for p in model.parameters()}
    assert list(model.state_dict()) == before
    assert not any(name.endswith("spatial_downsample.conv.weight") for name in form.state_dict())


@pytest.mark.parametrize("norms", ["batch", "frozen"])
def test_trainers_train_it(norms: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def watched(model: EdgeTAM, **how: Any) -> EdgeTAM:
        seen.append(how)
        return training_form(model, **how)

    monkeypatch.setattr("edgetam.train.loop.training_form", watched)
    made = trainer(f"stages.0.norms={norms}", "stages.0.steps=1")
    before = {name: p.clone() for name, p in made.model.named_parameters()}
    list(made.run())
    assert seen == [{"norms_frozen": norms == "frozen", "own_gradients": True}]
    moved = {name for name, p in made.model.named_parameters() if not torch.equal(p, before[name])}
    assert any("token_mixer.conv1.norm" in name for name in moved)
    assert any("spatial_downsample.conv" in name for name in moved)
