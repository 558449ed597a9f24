"""Losses on masks small enough to work out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from edgetam.model.mask_decoder import Candidates
from edgetam.train.losses import cover, dice_loss, focal_loss, mask_iou, prompt_loss

LEFT = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
"""Half of a two by two picture."""


def candidates(masks: Tensor, score: float = 0.5, presence: float = 0.0) -> Candidates:
    batch, count = masks.shape[:2]
    return Candidates(
        masks,
        torch.full((batch, count), score),
        torch.zeros(batch, count, 256),
        torch.full((batch, 1), presence),
    )


def test_cover_is_the_share_of_each_cell() -> None:
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[0, :4, :4] = True
    mask[0, 4:, 4:6] = True
    assert cover(mask).tolist() == [[[1.0, 0.0], [0.0, 0.5]]]


def test_focal_loss_of_an_undecided_network() -> None:
    # every p is 1/2: half of the pixels weigh .25, half .75, times (1/2)^2 times log 2
    expected = 0.5 * (0.25 + 0.75) * 0.25 * math.log(2)
    assert focal_loss(torch.zeros(1, 1, 2, 2), LEFT).item() == pytest.approx(expected)


def test_focal_loss_of_a_confident_mistake_is_its_entropy() -> None:
    wrong = (1 - 2 * LEFT)[:, None] * 50.0
    assert focal_loss(wrong, LEFT).item() == pytest.approx(0.5 * (0.25 + 0.75) * 50, rel=1e-4)


def test_dice_loss_by_hand() -> None:
    assert dice_loss(torch.zeros(1, 1, 2, 2), LEFT).item() == pytest.approx(1 - (2 * 1 + 1) / (2 + 2 + 1))
    assert dice_loss((2 * LEFT - 1)[:, None] * 50, LEFT).item() == pytest.approx(0.0, abs=1e-6)


def test_iou_counts_agreement_and_two_empty_masks_agree() -> None:
    logits = torch.tensor([[[[1.0, 1.0], [-1.0, -1.0]]]])
    assert mask_iou(logits, LEFT).item() == pytest.approx(1 / 3)
    assert mask_iou(-torch.ones(1, 1, 2, 2), torch.zeros(1, 2, 2)).item() == 1.0


def test_weights_of_the_parts() -> None:
    terms = prompt_loss(candidates(torch.randn(1, 4, 2, 2)), LEFT, ambiguous=False)
    assert terms.total.item() == pytest.approx(
        (20 * terms.focal + terms.dice + terms.score + terms.presence).item()
    )
    assert terms.presence.item() == pytest.approx(math.log(2))


def test_an_ambiguous_prompt_teaches_only_the_best_of_the_three() -> None:
    masks = torch.randn(1, 4, 2, 2)
    masks[0, 2] = (2 * LEFT[0] - 1) * 3
    masks.requires_grad_()
    prompt_loss(candidates(masks), LEFT, ambiguous=True).total.backward()
    assert masks.grad is not None
    taught = masks.grad[0].abs().sum((1, 2)) > 0
    assert taught.tolist() == [False, False, True, False]


def test_a_clear_prompt_teaches_all_four() -> None:
    masks = torch.randn(1, 4, 2, 2, requires_grad=True)
    prompt_loss(candidates(masks), LEFT, ambiguous=False).total.backward()
    assert masks.grad is not None
    assert bool((masks.grad[0].abs().sum((1, 2)) > 0).all())


def test_an_absent_object_teaches_presence_and_nothing_else() -> None:
    masks = torch.randn(2, 4, 2, 2, requires_grad=True)
    target = torch.cat([LEFT, torch.zeros_like(LEFT)])
    terms = prompt_loss(candidates(masks, presence=3.0), target, ambiguous=False)
    terms.total.backward()
    assert masks.grad is not None
    assert masks.grad[1].abs().sum().item() == 0
    assert terms.presence.item() == pytest.approx((math.log1p(math.exp(-3)) + math.log1p(math.exp(3))) / 2)


def test_presence_does_not_gate_the_mask_loss() -> None:
    masks = torch.randn(1, 4, 2, 2)
    terms = [prompt_loss(candidates(masks, presence=p), LEFT, ambiguous=False) for p in (-5.0, 5.0)]
    assert terms[0].focal == terms[1].focal and terms[0].dice == terms[1].dice
