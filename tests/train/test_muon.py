"""Orthogonal steps, and which weights take them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edgetam.train.muon import Muon, orthogonal
from tests.train.tiny import trainer


@given(st.integers(16, 80), st.integers(16, 80), st.floats(-6, 6), st.integers(0, 99))
def test_singular_values_come_close_to_one(rows: int, columns: int, size: float, seed: int) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 10**size
    values = torch.linalg.svdvals(orthogonal(matrix).float())
    # the smallest ones of nearly square noise have not come up yet
    assert values.max() < 1.3
    assert values.median() > 0.6


def test_singular_vectors_stay() -> None:
    noise = torch.randn(24, 40, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(noise, full_matrices=False)
    direction = orthogonal(left @ torch.diag(values.clamp_min(0.5)) @ right).float()
    aligned = left.T @ direction @ right.T
    assert (aligned - torch.diag(aligned.diagonal())).abs().max() < 0.1
    assert torch.all(aligned.diagonal() > 0.5)


def test_nothing_moves_along_a_gradient_of_zero() -> None:
    assert torch.equal(orthogonal(torch.zeros(20, 30)).float(), torch.zeros(20, 30))


@pytest.mark.parametrize("shape", [(32, 64), (64, 32), (32, 16, 3, 3)])
def test_a_step_is_of_the_size_of_adamws(shape: tuple[int, ...]) -> None:
    weight = nn.Parameter(torch.zeros(shape))
    optimizer = Muon(
        [{"params": [weight], "matrix": True, "weight_decay": 0.0}], betas=(0.9, 0.99), momentum=0.95
    )
    optimizer.param_groups[0]["lr"] = 1e-3
    weight.grad = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    assert float(weight.detach().square().mean().sqrt()) == pytest.approx(0.2e-3, rel=0.25)
    assert weight.grad is None


def test_matrices_decay() -> None:
    weight = nn.Parameter(torch.ones(16, 16))
    optimizer = Muon(
        [{"params": [weight], "matrix": True, "weight_decay": 0.5}], betas=(0.9, 0.99), momentum=0.95
    )
    optimizer.param_groups[0]["lr"] = 0.1
    weight.grad = torch.zeros(16, 16)
    optimizer.step()
    assert torch.allclose(weight.detach(), torch.full((16, 16), 0.95))


def test_matrices_and_filters_are_muons_and_the_rest_is_adamws() -> None:
    one = trainer("optimizer.kind=muon", "guides.features=1")
    names = {id(p): name for name, p in one.model.named_parameters()}
    by_muon, by_adamw = set(), set()
    for group in one.optimizer.param_groups:
        kind = by_muon if group["matrix"] else by_adamw
        kind |= {names.get(id(p), "guide") for p in group["params"]}
    assert by_muon | by_adamw == {*names.values(), "guide"} and not by_muon & by_adamw
    assert len(by_muon) > 50
    modules = dict(one.model.named_modules())
    for name in by_muon:
        module = modules[name.removesuffix(".weight")]
        assert isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)), name
        if isinstance(module, nn.Conv2d):
            assert module.groups == 1, name
    assert "guide" in by_adamw
    assert all(not name.endswith(("bias", "embed", "token", "tokens", "latents")) for name in by_muon)
