"""Clips through the four verbs, with one drawn clip and an untrained network."""

from __future__ import annotations

import pytest
import torch

from edgetam.model import EdgeTAM
from edgetam.train.batches import make_task
from edgetam.train.rollout import Plan, Task, roll_out, rollout_loss
from edgetam.train.setup import freeze_norms, fresh_model


@pytest.fixture(scope="module")
def model() -> EdgeTAM:
    return fresh_model(256, seed=0)


def moving_squares(frames: int = 3) -> Task:
    """Two squares that move over grey."""
    pictures = torch.full((1, frames, 256, 256, 3), 120, dtype=torch.uint8)
    labels = torch.zeros(1, frames, 256, 256, dtype=torch.uint8)
    for t in range(frames):
        pictures[0, t, 40:100, 40 + 8 * t : 100 + 8 * t] = torch.tensor([200, 40, 40], dtype=torch.uint8)
        pictures[0, t, 150 - 8 * t : 220 - 8 * t, 150:220] = torch.tensor([30, 60, 220], dtype=torch.uint8)
        labels[0, t, 40:100, 40 + 8 * t : 100 + 8 * t] = 1
        labels[0, t, 150 - 8 * t : 220 - 8 * t, 150:220] = 2
    return make_task(pictures, labels, objects=2)


def test_objects_are_those_of_the_first_frame() -> None:
    task = moving_squares()
    assert task.images.shape == (1, 3, 3, 256, 256)
    assert task.masks.shape == (2, 3, 256, 256)
    assert sorted(task.masks[:, 0].sum((1, 2)).tolist()) == [3600, 4900]


@pytest.mark.parametrize(
    ("plan", "frames"),
    [
        (Plan("mask"), [1, 2]),
        (Plan("box"), [0, 1, 2]),
        (Plan("click", corrections=2), [0, 0, 0, 1, 2]),
    ],
)
def test_steps_of_each_prompt(model: EdgeTAM, plan: Plan, frames: list[int]) -> None:
    task = moving_squares()
    with torch.no_grad():
        steps = roll_out(model, task, plan, trust_presence=False)
    assert [step.frame for step in steps] == frames
    assert all(step.found.masks.shape == (2, 4, 64, 64) for step in steps)
    assert [step.ambiguous for step in steps] == [i == 0 and plan.kind == "click" for i in range(len(steps))]
    assert torch.isfinite(rollout_loss(steps, task).total)


def test_the_same_plan_gives_the_same_answers(model: EdgeTAM) -> None:
    task = moving_squares(1)
    freeze_norms(model)
    with torch.no_grad():
        a, b = (roll_out(model, task, Plan("click", 1, seed=7), False)[1].found.masks for _ in range(2))
        c = roll_out(model, task, Plan("click", 1, seed=8), False)[1].found.masks
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_gradients_reach_the_first_frame_through_memory(model: EdgeTAM) -> None:
    task = moving_squares()
    images = task.images.clone().requires_grad_()
    model.train()
    freeze_norms(model)  # or the frames would meet in the batch statistics
    steps = roll_out(model, Task(images, task.masks, task.clip), Plan("mask"), trust_presence=False)
    rollout_loss(steps[-1:], task).total.backward()
    assert images.grad is not None
    assert bool((images.grad[0].flatten(1).abs().sum(1) > 0).all())


def test_clips_do_not_mix(model: EdgeTAM) -> None:
    one = moving_squares(2)
    other = one.images.flip(-1)
    both = Task(torch.cat([one.images, other]), one.masks, one.clip)
    model.train()
    freeze_norms(model)
    with torch.no_grad():
        alone = roll_out(model, one, Plan("mask"), False)[0].found.masks
        together = roll_out(model, both, Plan("mask"), False)[0].found.masks
    torch.testing.assert_close(alone, together, rtol=1e-3, atol=1e-3)


def test_the_truth_decides_presence_unless_the_network_is_trusted(model: EdgeTAM) -> None:
    """With the object gone on the second frame, its memory depends on who is believed."""
    task = moving_squares()
    masks = task.masks.clone()
    masks[:, 1] = False
    gone = Task(task.images, masks, task.clip)
    freeze_norms(model)
    with torch.no_grad():
        told = roll_out(model, gone, Plan("mask"), trust_presence=False)
        seen = roll_out(model, gone, Plan("mask"), trust_presence=True)
    assert bool((seen[0].found.presence > 0).all())  # an untrained network says "present"
    assert not torch.equal(told[1].found.masks, seen[1].found.masks)
