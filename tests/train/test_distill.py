"""Students and teachers: distances by hand, and a student that comes closer."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgetam.errors import ConfigError, OutputError, WeightsError
from edgetam.model import EdgeTAM
from edgetam.structs import ImageFeatures
from edgetam.train.distill import (
    feature_distance,
    mask_distance,
    memory_distance,
    pointer_distance,
)
from edgetam.train.feature_cache import SPARE, FeatureCache
from edgetam.train.loop import Trainer
from edgetam.train.plan import Plan
from edgetam.train.recipe import Distillation
from edgetam.train.rollout import Rules, make_task, roll_out
from edgetam.train.setup import starting_model
from edgetam.train.teacher import Teacher, open_teacher
from edgetam.train.users import SimulatedUser
from edgetam.train.verbs import Verbs
from edgetam.weights import save_native
from tests.model.lively import lively_model
from tests.train.tiny import Shapes, batch, curve, recipe

SETTINGS = Distillation("teacher.safetensors", mask=1.0, pointer=1.0)


@pytest.fixture(scope="module")
def network() -> EdgeTAM:
    return starting_model(recipe().model, seed=5)


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A disk with room, whatever the one beneath has left."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=SPARE))


def test_distances_by_hand() -> None:
    one = torch.zeros(2, 3, 4, 4)
    other = torch.stack([torch.full((3, 4, 4), 2.0), torch.full((3, 4, 4), 3.0)])
    assert feature_distance(one, other, normalised=False).tolist() == [4.0, 9.0]
    scaled = torch.randn(2, 3, 4, 4)
    assert feature_distance(scaled, 7 * scaled + 1, normalised=True).max() < 1e-3
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert pointer_distance([a, a], [b, a]).tolist() == pytest.approx([0.5])


def test_other_grids_are_resized_and_other_channels_refused() -> None:
    flat = torch.full((1, 8, 2, 2), 3.0)
    assert feature_distance(flat, torch.full((1, 8, 4, 4), 3.0), normalised=False).item() == 0
    with pytest.raises(ConfigError, match="16 channels and the student's 8"):
        feature_distance(torch.zeros(1, 16, 2, 2), flat, normalised=False)


def rolled(model: EdgeTAM, plan: Plan):
    given = batch(plan.length)
    user = SimulatedUser(plan, given.generators(0))
    with torch.no_grad():
        done = roll_out(Verbs(model.eval()), make_task(given), plan, user, Rules(trust_presence=True))
    return given, user, done


@pytest.mark.parametrize(
    "plan",
    [
        Plan(3, "mask"),
        Plan(2, "point", corrected=(0,), corrections=2),
        Plan(3, "box", prompted=(0, 2), corrected=(0, 1, 2), corrections=1),
        Plan(1, "mask"),
    ],
)
def test_a_student_that_is_its_teacher_is_at_no_distance(network: EdgeTAM, plan: Plan) -> None:
    given, user, done = rolled(network, plan)
    teacher = Teacher(network, SETTINGS)
    features = teacher.features(given)
    known = teacher.roll_out(given, plan, user.asked, features)
    torch.testing.assert_close(features.stride16, done.features.stride16)
    assert memory_distance(known, done, normalised=False).max() < 1e-8
    assert pointer_distance(known.pointers, done.pointers).max() < 1e-5
    assert [s.frame for s in known.steps] == [s.frame for s in done.steps]
    assert all(mask_distance([a], [b]).shape == (2,) for a, b in zip(known.steps, done.steps, strict=True))


def test_memory_has_no_distance_where_nothing_is_remembered(network: EdgeTAM) -> None:
    _, _, done = rolled(network, Plan(1, "box"))
    assert memory_distance(done, done, normalised=False).tolist() == [0.0, 0.0]


def test_a_teacher_may_remember_the_truth(network: EdgeTAM) -> None:
    plan = Plan(3, "mask")
    given, user, done = rolled(network, plan)
    teacher = Teacher(network, Distillation("x", teacher_memory="gt"))
    known = teacher.roll_out(given, plan, user.asked, teacher.features(given))
    torch.testing.assert_close(known.steps[0].found.masks, done.steps[0].found.masks)
    assert not torch.allclose(known.steps[1].found.masks, done.steps[1].found.masks)


def test_a_teacher_may_look_at_another_size_and_be_of_another_family() -> None:
    """A SAM 2.1 network at 512 pixels teaches at 256; clicks fall on the same places."""
    plan = Plan(2, "point", corrected=(0,), corrections=1)
    given = batch(2, objects=1)
    user = SimulatedUser(plan, given.generators(0))
    student = starting_model(recipe().model, seed=5).eval()
    teacher = Teacher(lively_model("sam2.1-t", 256), Distillation("x", image_size=512))
    with torch.no_grad():
        done = roll_out(Verbs(student), make_task(given), plan, user, Rules())
        features = teacher.features(given)
        known = teacher.roll_out(given, plan, user.asked, features)
    assert features.stride16.shape == (2, 256, 32, 32)
    assert torch.isfinite(memory_distance(known, done, normalised=True)).all()
    assert torch.isfinite(mask_distance(known.steps, done.steps)).all()


def test_cached_features_are_those_of_the_network(network: EdgeTAM, tmp_path: Path) -> None:
    given = batch(2)
    fresh = Teacher(network, Distillation("x")).features(given)
    settings = Distillation("x", cache=str(tmp_path))
    Teacher(network, settings, owner="a").features(given)
    files = list(tmp_path.rglob("*.safetensors"))
    assert len(files) == 2
    teacher = Teacher(network, settings, owner="a")
    teacher.model.encode = None  # type: ignore[assignment]  (never called)
    try:
        torch.testing.assert_close(teacher.features(given).stride16, fresh.stride16, rtol=1e-2, atol=1e-3)
    finally:
        del teacher.model.encode
    files[0].write_bytes(b"damaged")
    torch.testing.assert_close(
        Teacher(network, settings, owner="a").features(given).stride16, fresh.stride16, rtol=1e-2, atol=1e-3
    )
    assert FeatureCache(tmp_path, "b").get("0" * 32) is None


def test_features_are_the_same_whether_they_were_kept_or_not(network: EdgeTAM, tmp_path: Path) -> None:
    teacher = Teacher(network, Distillation("x", cache=str(tmp_path)), owner="a")
    first, second = (teacher.features(batch(2)) for _ in range(2))
    for name in ("stride4", "stride8", "stride16"):
        made, kept = getattr(first, name), getattr(second, name)
        assert made.dtype == torch.float32 and torch.equal(made, kept), name


def test_a_full_disk_ends_the_cache_and_not_the_run(
    network: EdgeTAM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    teacher = Teacher(network, Distillation("x", cache=str(tmp_path)), owner="a")

    def full(path: Path, data: bytes) -> None:
        raise OutputError(f"{path}: the disk is full.")

    monkeypatch.setattr("edgetam.train.feature_cache.atomic_write", full)
    for first in (0, 1):
        features = teacher.features(batch(2, first=first))
        exact = Teacher(network, SETTINGS).features(batch(2, first=first)).stride16
        torch.testing.assert_close(features.stride16, exact, rtol=1e-2, atol=1e-3)
    assert caplog.text.count("the disk is full") == 1
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_teacher_keeps_its_networks_of_several_sizes(network: EdgeTAM) -> None:
    teacher = Teacher(network, SETTINGS)
    small = batch(1)
    large = replace(small, frames=small.frames.repeat_interleave(2, 2).repeat_interleave(2, 3))
    found = [teacher.features(given).stride16 for given in (small, large, small)]
    assert [x.shape[-1] for x in found] == [16, 32, 16]
    assert len({id(model) for model, _ in teacher.known.values()}) == 2
    torch.testing.assert_close(found[0], found[2])


def student(folder: Path, network: EdgeTAM, *overrides: str) -> Trainer:
    path = save_native(folder / "teacher.safetensors", network)
    made = recipe(f"distill.teacher={path}", "stages.0.clips=1", "stages.0.objects=1", "seed=1", *overrides)
    device = torch.device("cpu")
    assert made.distill is not None
    teacher = open_teacher(made.distill, device)
    return Trainer(made, starting_model(made.model, made.seed), Shapes, device, teacher)


def test_a_student_comes_closer_to_its_teacher(network: EdgeTAM, tmp_path: Path) -> None:
    one = student(
        tmp_path,
        network,
        "stages.0.steps=12",
        "stages.0.encoder_rate=2e-3",
        "stages.0.rate=2e-3",
        "stages.0.norms=frozen",
        "distill.image=100",
        "distill.memory=10",
    )
    losses = curve(one)
    assert set(losses[0]) == {
        "total", "focal", "dice", "score", "presence", "teacher_image", "teacher_memory",
    }  # fmt: skip
    for name in ("teacher_image", "teacher_memory"):
        first, last = (sum(terms[name] for terms in part) for part in (losses[:3], losses[-3:]))
        assert last < 0.5 * first, name


def test_extras_are_terms_too_and_distillation_fades(network: EdgeTAM, tmp_path: Path) -> None:
    extras = ("distill.mask=1", "distill.pointer=1", "distill.fade=1.0", "stages.0.steps=2")
    one = student(tmp_path, network, *extras)
    losses = curve(one)
    weights = {"focal": 20, "dice": 1, "score": 1, "presence": 1}
    for strength, terms in zip((1.0, 0.5), losses, strict=True):
        own = sum(weight * terms[name] for name, weight in weights.items())
        taught = sum(value for name, value in terms.items() if name.startswith("teacher_"))
        assert terms["total"] == pytest.approx(own + strength * taught, rel=1e-4)
        assert len(terms) == 9


def test_stages_may_do_without_the_teacher(network: EdgeTAM, tmp_path: Path) -> None:
    one = student(tmp_path, network, "stages.0.steps=1", "stages.0.distill=false")
    assert "teacher_image" not in curve(one)[0]


def test_teachers_that_cannot_be_used(network: EdgeTAM, tmp_path: Path) -> None:
    path = save_native(tmp_path / "tiny.safetensors", network)
    with pytest.raises(WeightsError, match=r"sam2\.1-t"):
        open_teacher(Distillation(str(path), variant="sam2.1-t"), torch.device("cpu"))
    with pytest.raises(WeightsError, match="missing"):
        open_teacher(Distillation("missing.pt"), torch.device("cpu"))
    (tmp_path / "junk.pt").write_bytes(b"junk")
    with pytest.raises(WeightsError, match=r"junk\.pt"):
        open_teacher(Distillation(str(tmp_path / "junk.pt")), torch.device("cpu"))


def test_the_cache_leaves_room_for_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=SPARE - 1))
    cache = FeatureCache(tmp_path, "a")
    maps = ImageFeatures(torch.zeros(2), torch.zeros(2), torch.zeros(2))
    for key in ("0" * 32, "1" * 32):
        cache.put(key, maps)
    assert cache.get("0" * 32) is None
    assert len(caplog.records) == 1 and "are for checkpoints" in caplog.text
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=SPARE))
    roomy = FeatureCache(tmp_path, "a")
    roomy.put("0" * 32, maps)
    assert roomy.get("0" * 32) is not None
