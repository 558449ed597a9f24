"""Tiny runs that learn, go on exactly where they were, and fail without losing anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import torch
from torch import nn

from edgetam.errors import InputError, TrainingError
from edgetam.train import loader
from edgetam.train.evaluate import score
from edgetam.train.loader import Order
from edgetam.train.loop import Trainer
from edgetam.train.stage import Stage
from edgetam.train.strict import plain
from edgetam.weights import load_network, save_native
from tests.train.tiny import Shapes, batch, curve, trainer

LEARN = ("stages.0.steps=40", "stages.0.clips=1", "stages.0.rate=1e-3", "stages.0.encoder_rate=1e-3")
TWO_STAGES = (
    "stages.0.steps=2",
    "stages.1={name: clicks, steps: 3, frames: [1, 2], clips: 2, objects: 1, accumulate: 2, norms: frozen,"
    " prompts: {mask: 1, point: 1, box: 1, corrections: [0, 2]}, schedule: {kind: cosine, warmup: 2}}",
)


def weights(one: Trainer) -> dict[str, torch.Tensor]:
    """Everything that must be the same after the same steps."""
    model = {f"model.{k}": v for k, v in one.model.state_dict().items()}
    return model | {f"average.{k}": v for k, v in one.average.state_dict().items()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


def test_a_tiny_network_learns_to_follow_masks_it_has_not_seen(tmp_path) -> None:
    one = trainer(*LEARN, "optimizer.average=0.5")
    held_out = [batch(frames=3, first=10**6 + i) for i in range(4)]
    before, _ = score(one.average, held_out)
    losses = [terms["total"] for terms in curve(one)]
    assert sum(losses[-5:]) < 0.2 * sum(losses[:5])
    after, _ = score(one.average, held_out)
    assert before["tracked"] < 0.2
    assert after["tracked"] > 0.85
    assert after["tracked"] > after["copied"] + 0.05  # better than leaving the first mask where it is

    path = save_native(tmp_path / "weights.safetensors", one.average)
    loaded = load_network(weights=path)
    assert score(loaded, held_out)[0] == pytest.approx(after, abs=1e-3)


def test_muon_learns_it_too() -> None:
    one = trainer(*LEARN, "optimizer={kind: muon, average: 0.5}", "stages.0.rate=2e-3")
    losses = [terms["total"] for terms in curve(one)]
    assert sum(losses[-5:]) < 0.1 * sum(losses[:5])
    found, _ = score(one.average, [batch(frames=3, first=10**6 + i) for i in range(4)])
    assert found["tracked"] > found["copied"] + 0.05


@pytest.mark.parametrize(("precision", "optimizer"), [("fp32", "adamw"), ("bf16", "adamw"), ("fp32", "muon")])
def test_a_run_that_goes_on_is_the_run_that_was_not_stopped(precision: str, optimizer: str) -> None:
    settings = (*TWO_STAGES, f"precision={precision}", f"optimizer.kind={optimizer}")
    whole = trainer(*settings)
    straight = curve(whole)
    assert len(straight) == 5
    first = trainer(*settings)
    begun = []
    for report in first.run():
        assert report is not None
        begun.append(report.losses)
        if len(begun) == 2:
            first.stop()  # after the step that follows
    assert len(begun) == 3
    second = trainer(*settings)
    second.restore(first.state())
    assert begun + curve(second) == straight
    assert_same(weights(second), weights(whole))


def test_every_frame_of_a_clip_may_be_asked_for_with_a_mask() -> None:
    one = trainer("stages.0.steps=1", "stages.0.clips=1", "stages.0.objects=1", "stages.0.prompts.frames=2")
    assert curve(one)[0]["total"] > 0


def test_a_stop_at_the_last_step_of_a_stage_ends_the_run() -> None:
    second = "stages.1={name: more, steps: 2, frames: 2, clips: 1, objects: 1}"
    one = trainer("stages.0.steps=1", "stages.0.clips=1", second)
    one.stop()
    assert len(curve(one)) == one.progress.step == 1
    assert not one.finished
    one.stopping = False
    assert len(curve(one)) == 2


class _Single(torch.Tensor):
    """On a device without doubles, as those of Apple's."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        out = super().__torch_function__(func, types, args, kwargs or {})
        if isinstance(out, torch.Tensor) and out.dtype == torch.float64:
            raise TypeError("no doubles here")
        return out


def test_books_are_kept_where_there_are_doubles() -> None:
    one = trainer("stages.0.steps=1")
    with pytest.raises(TypeError, match="no doubles"):
        torch.zeros(1).as_subclass(_Single).double()
    assert not one._count({"total": torch.tensor(2.0).as_subclass(_Single)}, 1, [1.0, 0.5, 3.0])
    assert (one.progress.broken, one.progress.seconds) == (3, 1.0)


def test_bf16_is_another_arithmetic_on_weights_that_stay_fp32() -> None:
    exact, low = (trainer("stages.0.steps=1", f"precision={kind}") for kind in ("fp32", "bf16"))
    a, b = curve(exact)[0], curve(low)[0]
    assert a != b
    assert a == pytest.approx(b, rel=0.05)
    assert {x.dtype for x in weights(low).values() if x.is_floating_point()} == {torch.float32}


def test_reports_are_means_even_across_a_stop() -> None:
    straight = curve(trainer("stages.0.steps=3", "every.log_steps=3"))
    first = trainer("stages.0.steps=3", "every.log_steps=3")
    next(iter(first.run()))
    second = trainer("stages.0.steps=3", "every.log_steps=3")
    second.restore(first.state())
    assert curve(second) == straight
    each = curve(trainer("stages.0.steps=3"))
    assert straight[0]["total"] == pytest.approx(sum(terms["total"] for terms in each) / 3)


def test_two_passes_are_one_with_the_doubled_batch() -> None:
    split = trainer("stages.0.steps=2", "stages.0.clips=1", "stages.0.accumulate=2", "stages.0.norms=frozen")
    whole = trainer("stages.0.steps=2", "stages.0.clips=2", "stages.0.norms=frozen")
    for a, b in zip(curve(split), curve(whole), strict=True):
        assert a == pytest.approx(b, rel=1e-3)


def test_the_encoder_and_its_norms_can_be_frozen() -> None:
    one = trainer("stages.0.steps=1", "stages.0.encoder=frozen")
    before = {k: v.clone() for k, v in one.model.state_dict().items()}
    curve(one)
    for name, value in one.model.state_dict().items():
        if name.startswith("image_encoder."):
            assert torch.equal(value, before[name]), name
    assert not torch.equal(one.model.memory_attention.norm.weight, before["memory_attention.norm.weight"])


def test_a_stage_of_another_size_goes_on_with_the_same_weights() -> None:
    one = trainer(
        "stages.0.steps=1",
        "stages.0.clips=1",
        "stages.1={name: big, steps: 1, image_size: 512, clips: 1, objects: 1}",
    )
    one.clips = lambda stage, order: _Resized(stage, order)
    curve(one)
    assert one.model.config.image_size == 512
    assert one.optimizer.param_groups[0]["params"][0] is next(one.model.parameters())


@pytest.mark.parametrize(("latents", "windows"), [(8, 0), (0, 16)])
def test_one_kind_of_latents_is_enough(latents: int, windows: int, tmp_path) -> None:
    one = trainer(
        f"model.perceiver={{global_latents: {latents}, window_grid: {windows}}}",
        "stages.0.steps=1",
        "stages.0.clips=1",
    )
    assert one.model.config.memory_layout.tokens == latents + windows**2
    curve(one)
    path = save_native(tmp_path / "weights.safetensors", one.average)
    assert load_network(weights=path).config == one.average.config


class _Resized(Shapes):
    """Shapes at the size a stage wants."""

    def __getitem__(self, number: int):
        clip = super().__getitem__(number)
        times = self.stage.image_size // clip.frames.shape[1]
        frames = clip.frames.repeat_interleave(times, 1).repeat_interleave(times, 2)
        masks = clip.masks.repeat_interleave(times, 2).repeat_interleave(times, 3)
        return type(clip)(frames, masks, clip.present)


class _Missing(Shapes):
    """Clips whose third one cannot be had."""

    def __getitem__(self, number: int):
        if number == 2:
            raise InputError("clip 2 cannot be had")
        return super().__getitem__(number)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_batch() -> None:
    one = trainer("stages.0.steps=3", "stages.0.clips=1")
    steps = one.run()
    next(steps)
    before = {k: v.clone() for k, v in one.model.named_parameters()}
    with torch.no_grad():
        one.model.mask_decoder.mask_tokens.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"step 1 \(stage pairs, clips 1 of seed 0, mask prompts"):
        next(steps)
    for name, value in one.model.named_parameters():
        assert name == "mask_decoder.mask_tokens" or torch.equal(value, before[name])


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_data_come_as_they_are(workers: int) -> None:
    one = trainer("stages.0.steps=4", "stages.0.clips=1", f"data.workers={workers}", clips=_Missing)
    with pytest.raises(InputError, match=r"^clip 2 cannot be had$"):
        curve(one)
    assert one.progress.step == 2


class _Killed(Shapes):
    """Clips whose worker is killed at the third."""

    def __getitem__(self, number: int):
        if number >= 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(number)


def test_a_worker_that_dies_is_named() -> None:
    one = trainer("stages.0.steps=9", "stages.0.clips=1", "data.workers=1", clips=_Killed)
    with pytest.raises(InputError, match=r"^A process that makes batches died .*data\.workers"):
        curve(one)


_IMPORTED_BY = os.getpid()


class _Where(Shapes):
    """Clips that tell which process imported this file."""

    def __getitem__(self, number: int):
        raise InputError("afresh" if os.getpid() == _IMPORTED_BY else "forked")


def test_workers_do_not_wait_for_locks_of_threads_they_do_not_have() -> None:
    with pytest.raises(InputError, match="afresh"):
        curve(trainer("data.workers=1", clips=_Where))


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="this system has no signal masks")
def test_workers_hear_no_interrupt_while_they_start() -> None:
    told = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with loader._unheard():
        masked = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert "SIGINT" in masked.stdout and "SIGTERM" in masked.stdout
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


class _Absent(Shapes):
    """Clips on whose first frame nothing is."""

    def __getitem__(self, number: int):
        clip = super().__getitem__(number)
        clip.masks[0] = False
        return clip


def test_clips_without_objects_are_named() -> None:
    with pytest.raises(InputError, match="Clips 0 to 1 show no object"):
        curve(trainer(clips=_Absent))


def test_processes_share_the_clips_of_a_step() -> None:
    stage = Stage("x", steps=1, clips=2, accumulate=2)
    alone = [n for i in range(4) for n in Order(stage, 0, clip=8, rank=0, world=1).numbers(i)]
    shared = [n for i in range(2) for r in range(2) for n in Order(stage, 0, 8, rank=r, world=2).numbers(i)]
    assert alone == shared == list(range(8, 16))


def test_lengths_of_clips_are_those_of_the_plan_of_their_step() -> None:
    stage = Stage("x", steps=1, clips=2, accumulate=2, frames=(1, 8))
    order = Order(stage, 3, clip=100, step=7, rank=0, world=1)
    lengths = [order.frames(n) for n in range(100, 120)]
    assert all(len(set(lengths[i : i + 4])) == 1 for i in range(0, 20, 4))
    assert len(set(lengths)) > 1


def test_the_state_holds_plain_values_only() -> None:
    one = trainer()
    state = one.state()
    assert state["recipe"] == plain(one.recipe)
    assert all(isinstance(m, (nn.Module, torch.Tensor)) is False for m in state["progress"].values())
