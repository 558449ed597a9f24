"""Losses on masks small enough to work out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from edgetam.model.mask_decoder import Candidates
from edgetam.train.losses import (
    Terms,
    balanced_loss,
    cover,
    dice_loss,
    focal_loss,
    mask_iou,
    rollout_terms,
    step_terms,
)
from edgetam.train.recipe import Losses
from edgetam.train.rollout import Step, Task

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


def step(
    masks: Tensor, score: float = 0.5, presence: float = 0.0, *, points: int = 0, ambiguous: bool = False
) -> Step:
    return Step(0, candidates(masks, score, presence), points, ambiguous, None)


TRUTH = LEFT.repeat_interleave(4, 1).repeat_interleave(4, 2) > 0.5
"""The same at stride 1."""
AS_USUAL = Losses()


def total(one: Step, truth: Tensor = TRUTH, losses: Losses = AS_USUAL, presence: bool = True) -> Tensor:
    return step_terms(one, truth, losses).weighted(losses, presence=presence)


def taught(one: Step, losses: Losses = AS_USUAL) -> list[bool]:
    """Which candidates get gradients."""
    masks = one.found.masks.requires_grad_()
    total(one, losses=losses).backward()
    assert masks.grad is not None
    return (masks.grad[0].abs().sum((1, 2)) > 0).tolist()


def test_weights_of_the_parts() -> None:
    one = step(torch.randn(1, 4, 2, 2))
    terms = step_terms(one, TRUTH, Losses(balanced=2.0))
    focal, dice, score, presence, balanced = (float(x) for x in terms)
    assert total(one, losses=Losses(balanced=2.0)).item() == pytest.approx(
        20 * focal + dice + score + presence + 2 * balanced
    )
    assert total(one).item() == pytest.approx(20 * focal + dice + score + presence)
    assert total(one, presence=False).item() == pytest.approx(20 * focal + dice + score)
    assert presence == pytest.approx(math.log(2))


def test_a_small_object_counts_as_much_as_what_surrounds_it() -> None:
    target = torch.zeros(1, 40, 40)
    target[:, :4, :8] = 1  # a fiftieth of the picture
    sure = torch.full((1, 1, 40, 40), 3.0)
    wrong, right = math.log1p(math.exp(3)), math.log1p(math.exp(-3))
    assert balanced_loss(-sure, target).item() == pytest.approx((wrong * 32 / 40 + right * 1568 / 1576) / 2)
    assert balanced_loss(sure, target).item() == pytest.approx((right * 32 / 40 + wrong * 1568 / 1576) / 2)
    assert balanced_loss(-sure, torch.zeros(1, 40, 40)).item() == pytest.approx(right * 1600 / 1608 / 2)


def test_an_ambiguous_prompt_teaches_only_the_best_of_the_three() -> None:
    masks = torch.randn(1, 4, 2, 2)
    masks[0, 2] = (2 * LEFT[0] - 1) * 3
    assert taught(step(masks, points=1, ambiguous=True)) == [False, False, True, False]


def test_an_ambiguous_prompt_may_teach_all_three_a_little() -> None:
    masks = torch.randn(1, 4, 2, 2)
    masks[0, 2] = (2 * LEFT[0] - 1) * 3
    one = step(masks, points=1, ambiguous=True)
    best, mean, mixed = (total(one, losses=Losses(ambiguous=share)).item() for share in (0.0, 1.0, 0.3))
    assert best < mixed < mean
    each = [total(step(masks[:, [0, k, k, k]], points=1, ambiguous=True)).item() for k in (1, 2, 3)]
    score = step_terms(one, TRUTH, AS_USUAL).score.item()
    others = [
        step_terms(step(masks[:, [0, k, k, k]], points=1, ambiguous=True), TRUTH, AS_USUAL).score.item()
        for k in (1, 2, 3)
    ]
    assert mean - score == pytest.approx(sum(a - b for a, b in zip(each, others, strict=True)) / 3, rel=1e-4)
    assert taught(one, Losses(ambiguous=0.3)) == [False, True, True, True]


def test_a_clear_prompt_teaches_all_four_or_as_sam_2_the_best() -> None:
    masks = torch.randn(1, 4, 2, 2)
    masks[0, 3] = (2 * LEFT[0] - 1) * 3
    assert taught(step(masks.clone())) == [True] * 4
    best = Losses(tracking="best")
    assert taught(step(masks.clone()), best) == [False, False, False, True]
    assert taught(step(masks.clone(), points=2), best) == [True, False, False, False]


def test_an_absent_object_teaches_presence_and_nothing_else() -> None:
    masks = torch.randn(2, 4, 2, 2, requires_grad=True)
    truth = torch.cat([TRUTH, torch.zeros_like(TRUTH)])
    terms = step_terms(step(masks, presence=3.0), truth, Losses())
    terms.weighted(Losses(), presence=True).backward()
    assert masks.grad is not None
    assert masks.grad[1].abs().sum().item() == 0
    assert terms.presence.item() == pytest.approx(math.log1p(math.exp(-3)) + math.log1p(math.exp(3)))


def test_presence_does_not_gate_the_mask_loss() -> None:
    masks = torch.randn(1, 4, 2, 2)
    a, b = (step_terms(step(masks, presence=p), TRUTH, Losses()) for p in (-5.0, 5.0))
    assert a.focal == b.focal and a.dice == b.dice


def test_terms_of_objects_add_up() -> None:
    """So that a batch may be split over processes and passes."""
    masks, truth = torch.randn(3, 4, 2, 2), TRUTH.repeat(3, 1, 1)
    whole = step_terms(step(masks), truth, Losses())
    parts = [step_terms(step(m[None]), TRUTH, Losses()) for m in masks]
    for name in Terms._fields:
        assert getattr(whole, name) == pytest.approx(float(sum(getattr(p, name) for p in parts)), rel=1e-5)


def test_answers_are_averaged_or_added_up() -> None:
    steps = [step(torch.randn(1, 4, 2, 2)) for _ in range(3)]
    task = Task(TRUTH.new_zeros(1, 1, 3, 0, 0), TRUTH[:, None], torch.zeros(1, dtype=torch.int64))
    mean = rollout_terms(steps, task, Losses())
    sums = rollout_terms(steps, task, Losses(over_steps="sum"))
    assert sums.focal == pytest.approx(3 * mean.focal)


def test_full_resolution_sees_what_cells_hide() -> None:
    truth = TRUTH.clone()
    truth[0, 0, 4] = True
    logits = (2 * LEFT - 1)[:, None].repeat(1, 4, 1, 1) * 3
    coarse, fine = (step_terms(step(logits), truth, Losses(resolution=r)) for r in ("stride4", "full"))
    assert fine.focal != coarse.focal
    exact = step_terms(step(logits), TRUTH, Losses(resolution="full"))
    assert exact.focal < fine.focal


@pytest.mark.parametrize("resolution", ["stride4", "full"])
@pytest.mark.parametrize("tracking", ["all", "best"])
def test_nothing_is_learnt_where_nothing_is_said(resolution: Any, tracking: Any) -> None:
    losses = Losses(resolution=resolution, tracking=tracking, balanced=1.0)
    void = torch.ones_like(TRUTH)
    void[0, -1, 0] = False  # all but a corner, which only the lower left cell shows
    if resolution == "stride4":
        void[0, 4:, :4] = False
    masks = torch.randn(1, 4, 2, 2)
    other = masks + torch.tensor([[5.0, -5.0], [0.0, 5.0]])
    a, b = (step_terms(step(x), TRUTH, losses, void) for x in (masks, other))
    assert [float(x) for x in a] == pytest.approx([float(x) for x in b])
    masks.requires_grad_()
    step_terms(step(masks), TRUTH, losses, void).weighted(losses, presence=False).backward()
    assert masks.grad is not None
    assert masks.grad.any(1)[0].tolist() == [[False, False], [True, False]]
