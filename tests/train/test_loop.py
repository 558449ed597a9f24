"""A few steps on one clip, and what is left on disk."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from edgetam.errors import InputError, WeightsError
from edgetam.model import EdgeTAM
from edgetam.train.checkpoint import load_checkpoint
from edgetam.train.loop import Settings, Stage, Trainer, draw_plan, learning_rate
from edgetam.train.losses import cover, mask_iou
from edgetam.train.pool import Pool, save_clip
from edgetam.train.rollout import Plan, Task, roll_out
from edgetam.train.setup import fresh_model
from edgetam.train.synthetic import Clip
from tests.train.test_rollout import moving_squares


def grey_clip(frames: int) -> Clip:
    """A bright square on grey."""
    pictures = torch.full((frames, 256, 256, 3), 90, dtype=torch.uint8)
    masks = torch.zeros(frames, 2, 256, 256, dtype=torch.bool)
    masks[:, 0, 64:128, 64:128] = True
    masks[:, 1, 160:240, 160:240] = True
    pictures[masks.any(1)] = 220
    return Clip(pictures, masks, torch.tensor([True, True]))


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    folder = tmp_path / "pool"
    folder.mkdir()
    save_clip(grey_clip(4), folder / "0.npy")
    return Pool(folder, seed=0)


def trainer(pool: Pool, folder: Path) -> Trainer:
    stage = Stage(1.0, frames=(2, 2), clips=1, objects=1, mask_share=1.0)
    return Trainer(
        fresh_model(256, seed=0),
        Settings(minutes=1e6, stages=(stage,), warmup_steps=2, other_rate=1e-3),
        pool,
        folder,
    )


def overlap(model: EdgeTAM, task: Task) -> float:
    """How well the network finds the objects of the second frame."""
    with torch.no_grad():
        found = roll_out(model, task, Plan("mask"), trust_presence=False)[0].found
    return float(mask_iou(found.masks, cover(task.masks[:, 1])).mean())


def test_steps_on_one_clip_reduce_the_loss_and_find_the_object(pool: Pool, tmp_path: Path) -> None:
    one = trainer(pool, tmp_path / "run")
    task = moving_squares(2)
    before = overlap(one.model, task)
    losses = [float(one.learn(task, Plan("mask")).total) for _ in range(10)]
    assert losses[-1] < 0.75 * losses[0]
    assert overlap(one.model, task) > before + 0.1


def test_a_run_goes_on_where_it_was(pool: Pool, tmp_path: Path) -> None:
    one = trainer(pool, tmp_path / "run")
    (tmp_path / "run").mkdir()
    one.update()
    one.elapsed = 12.0
    one.save()
    two = trainer(pool, tmp_path / "run")
    two.resume()
    assert (two.step, two.elapsed) == (1, 12.0)
    for name, value in one.average.state_dict().items():
        assert torch.equal(value, two.average.state_dict()[name])
    task = moving_squares(2)
    same = [float(t.learn(task, Plan("mask")).total) for t in (one, two)]
    assert same[0] == pytest.approx(same[1], rel=1e-3)
    for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_a_batch_without_finite_gradients_changes_nothing(pool: Pool, tmp_path: Path) -> None:
    one = trainer(pool, tmp_path / "run")
    task = moving_squares(2)
    task.images[:] = float("nan")
    before = {name: value.clone() for name, value in one.model.named_parameters()}
    one.learn(task, Plan("mask"))
    assert one.step == 0
    assert all(torch.equal(value, before[name]) for name, value in one.model.named_parameters())


def test_the_log_is_one_object_a_line(pool: Pool, tmp_path: Path) -> None:
    one = trainer(pool, tmp_path)
    one.record({"total": 1.23456})
    one.record({"total": 2.0})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["total"] for line in lines] == [1.2346, 2.0]


def test_damaged_states_are_refused(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"not a state")
    with pytest.raises(WeightsError, match=r"last\.pt"):
        load_checkpoint(tmp_path / "last.pt")
    with pytest.raises(WeightsError):
        load_checkpoint(tmp_path / "missing.pt")


def test_rates_warm_up_and_come_down() -> None:
    settings = Settings(minutes=1, warmup_steps=10, last_rate=0.02, cooldown=0.5)
    assert learning_rate(settings, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(settings, 9, 0.0) == pytest.approx(1.0)
    assert learning_rate(settings, 500, 0.5) == pytest.approx(1.0)
    assert learning_rate(settings, 500, 0.75) == pytest.approx(0.51)
    assert learning_rate(settings, 500, 1.5) == pytest.approx(0.02)


def test_a_single_frame_is_never_given_a_mask() -> None:
    stage = Stage(1.0, frames=(1, 2), clips=1, objects=1, mask_share=1.0)
    dice = random.Random(0)
    assert {draw_plan(stage, 1, dice).kind for _ in range(20)} == {"box", "click"}
    assert {draw_plan(stage, 2, dice).kind for _ in range(20)} == {"mask"}


def test_windows_keep_frames_and_labels_together(pool: Pool) -> None:
    for frames in (1, 2, 3, 4):
        window = pool.window(frames)
        assert window.shape == (frames, 256, 256, 4)
        assert torch.equal(window[..., 3] > 0, window[..., 0] == 220)


def test_an_empty_pool_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no clips"):
        Pool(tmp_path, seed=0)
