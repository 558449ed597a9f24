"""The OpenVINO engine beside the torch engine, and what it does when things are missing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openvino")

from edgetam.engine import load_model, openvino, select
from edgetam.engine.openvino import OpenVINORunner, openvino_engine
from edgetam.engine.source import Source
from edgetam.engine.torch import TorchEngine
from edgetam.engine.verbs import GraphEngine
from edgetam.errors import EngineError
from edgetam.model import EdgeTAM
from edgetam.structs import DecoderPrompt, FrameResult, ImageFeatures, MemoryContext
from edgetam.tracking import ImageSegmenter, TrackerOptions, VideoTracker
from edgetam.weights import save_native
from tests.model.lively import context_of, features_of, shared_model

FRAMES, WIDTH, HEIGHT = 9, 72, 56
IMAGE = np.random.default_rng(0).normal(size=(1, 3, 256, 256)).astype(np.float32)
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def fast(model: EdgeTAM) -> GraphEngine:
    return openvino_engine(Source.of_network(model), threads=1)


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """A bright square that moves over noise: uint8 ``[T, H, W, 3]``."""
    frames = np.random.default_rng(5).integers(0, 90, (FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    for t in range(FRAMES):
        frames[t, 10 + t : 30 + t, 8 + 2 * t : 28 + 2 * t] += np.uint8(150)
    return frames


def close(got: FrameResult, expected: FrameResult, tolerance: float) -> None:
    assert got.objects.keys() == expected.objects.keys()
    for object_id, each in expected.objects.items():
        seen = got.objects[object_id]
        assert np.abs(seen.logits - each.logits).max() <= tolerance
        assert seen.score == pytest.approx(each.score, abs=tolerance)
        assert seen.presence == pytest.approx(each.presence, abs=tolerance)


def track(engine: Any, clip: np.ndarray) -> list[FrameResult]:
    """A click, a box and a mask on different frames, and a correction."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:30, 8:28] = True
    with VideoTracker(engine, TrackerOptions(store="fp32")).open(clip) as session:
        session.prompt(0, 1, points=[[18, 20]])
        session.prompt(1, 3, mask=mask)
        session.prompt(2, 2, box=[20, 20, 60, 50])
        results = list(session.propagate(frames=5))
        results.append(session.prompt(4, 1, points=[[30, 30], [2, 2]], labels=[1, 0]))
        return results + list(session.propagate(start=5))


def test_tracking_equals_the_torch_engine(fast: GraphEngine, engine: TorchEngine, clip: np.ndarray) -> None:
    got, expected = track(fast, clip), track(engine, clip)
    assert {tuple(sorted(r.objects)) for r in got} == {(1,), (1, 3), (1, 2, 3)}
    for mine, wanted in zip(got, expected, strict=True):
        close(mine, wanted, 1e-4)


def test_options_that_need_other_graphs(fast: GraphEngine, engine: TorchEngine, clip: np.ndarray) -> None:
    """Objects that exclude each other in memory are remembered together."""

    def run(with_engine: Any) -> list[FrameResult]:
        options = TrackerOptions(store="fp32", exclusive_memory=True)
        with VideoTracker(with_engine, options).open(clip[:3]) as session:
            session.prompt(0, 1, points=[[18, 20]])
            session.prompt(0, 2, points=[[50, 40], [8, 8]], labels=[1, 0])
            return list(session.propagate())

    for mine, wanted in zip(run(fast), run(engine), strict=True):
        close(mine, wanted, 1e-4)


def test_images_equal_the_torch_engine(fast: GraphEngine, engine: TorchEngine, clip: np.ndarray) -> None:
    mine, theirs = ImageSegmenter(fast), ImageSegmenter(engine)
    mine.set_image(clip[0])
    theirs.set_image(clip[0])
    prompts: list[dict[str, Any]] = [
        {"points": [[18, 20]]},
        {"box": [20, 20, 60, 50], "multimask": False},
        {"points": [[18, 20], [3, 3]], "labels": [1, 0], "multimask": False},
        {"mask": np.eye(HEIGHT, WIDTH, dtype=bool)},
    ]
    for prompt in prompts:
        got, expected = mine.predict(**prompt), theirs.predict(**prompt)
        assert np.abs(got.logits - expected.logits).max() <= 1e-4
        assert got.scores == pytest.approx(expected.scores, abs=1e-4)


def test_memories_of_sam_2_1_are_read_too() -> None:
    """No tokens without a place, and pointers that know their age."""
    network = shared_model("sam2.1-t", 256)
    fast, slow = openvino_engine(Source.of_network(network), threads=1), TorchEngine(network)
    features, context = features_of(network), context_of(network, 2, 3, 4)
    seen = ImageFeatures(*(part.numpy() for part in astuple(features)))
    known = MemoryContext(*(None if part is None else part.numpy() for part in astuple(context)))
    assert np.abs(fast.attend(seen, known) - slow.attend(features, known).numpy()).max() <= 1e-4


@pytest.mark.parametrize("order", [("fast", "engine"), ("engine", "fast")])
def test_one_engine_goes_on_where_the_other_stopped(
    order: tuple[str, str], request: pytest.FixtureRequest, clip: np.ndarray, tmp_path: Path
) -> None:
    first, second = (request.getfixturevalue(name) for name in order)
    options = TrackerOptions(store="fp32")
    with VideoTracker(first, options).open(clip) as session:
        session.prompt(0, 1, points=[[18, 20]])
        list(session.propagate(frames=4))
        session.save(tmp_path)
        expected = list(session.propagate(start=4))
    with VideoTracker(second, options).resume(tmp_path, clip) as resumed:
        for got, wanted in zip(resumed.propagate(start=4), expected, strict=True):
            close(got, wanted, 1e-4)


def test_later_frames_leave_earlier_features_alone(fast: GraphEngine) -> None:
    first = fast.encode(IMAGE)
    before = [part.copy() for part in astuple(first)]
    second = fast.encode(IMAGE[..., ::-1])
    for part, copy, other in zip(astuple(first), before, astuple(second), strict=True):
        assert np.array_equal(part, copy)
        assert not np.array_equal(part, other)


def test_low_precision_is_close(model: EdgeTAM, fast: GraphEngine) -> None:
    if "BF16" not in openvino.capabilities():
        pytest.skip("this CPU has no bfloat16")
    low = openvino_engine(Source.of_network(model), "bf16", threads=1)
    assert low.precision == "bf16"
    expected, got = fast.encode(IMAGE).stride16, low.encode(IMAGE).stride16
    assert got.dtype == np.float32
    assert 1e-5 < np.abs(got - expected).max() / np.abs(expected).max() < 0.1


def test_threads_take_turns(fast: GraphEngine) -> None:
    expected = fast.encode(IMAGE).stride16
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(fast.encode(IMAGE).stride16)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.array_equal(each, expected) for each in found)


def test_the_number_of_threads_is_honoured(fast: GraphEngine) -> None:
    fast.encode(IMAGE)
    runner = fast.runner
    assert isinstance(runner, OpenVINORunner)
    compiled = runner._compiled["encode"].request.get_compiled_model()
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


WARM = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import numpy as np
from edgetam import ImageSegmenter, load_model
segmenter = ImageSegmenter(load_model(weights=sys.argv[1], engine="openvino", precision="fp32", threads=1))
segmenter.set_image(np.full((20, 30, 3), 90, np.uint8))
print(segmenter.predict(points=[[3, 4]], box=[1, 1, 9, 9], multimask=False).logits.sum())
"""


def test_a_warm_start_needs_no_torch(model: EdgeTAM, tmp_path: Path) -> None:
    weights = save_native(tmp_path / "w.safetensors", model)
    segmenter = ImageSegmenter(load_model(weights=weights, engine="openvino", precision="fp32", threads=1))
    segmenter.set_image(np.full((20, 30, 3), 90, np.uint8))
    expected = segmenter.predict(points=[[3, 4]], box=[1, 1, 9, 9], multimask=False).logits.sum()
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", WARM, str(weights)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(float(expected), rel=1e-5)


def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "_is_installed", lambda module: False)


def old_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "capabilities", lambda: ["FP32", "INT8"])


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (absent, {"engine": "openvino"}, r"openvino.*not installed.*pip install 'edgetam\[openvino\]'"),
        (old_cpu, {"engine": "openvino", "precision": "bf16"}, "does not compute in bf16.*precision='fp32'"),
        (None, {"engine": "openvino", "device": "cuda"}, "device is 'cuda'; use engine='torch'"),
    ],
)
def test_what_is_not_available_is_named(
    change: Callable[[pytest.MonkeyPatch], None] | None,
    arguments: dict[str, str],
    words: str,
    model: EdgeTAM,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if change is not None:
        change(monkeypatch)
    weights = save_native(tmp_path / "w.safetensors", model)
    with pytest.raises(EngineError, match=words):
        load_model(weights=weights, **arguments)


def test_what_is_left_open_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "_torch_device", lambda: "cpu")
    assert select.choose_engine()[:3] == ("openvino", "cpu", "fp32")
    assert select.choose_engine(precision="bf16")[:3] == ("openvino", "cpu", "bf16")
    assert select.choose_engine(engine="torch")[:3] == ("torch", "cpu", "fp32")
    assert select.choose_engine(device="mps")[:3] == ("torch", "mps", "fp32")
    monkeypatch.setattr(select, "_torch_device", lambda: "cuda")
    assert select.choose_engine()[:3] == ("torch", "cuda", "bf16")
    absent(monkeypatch)
    monkeypatch.setattr(select, "_torch_device", lambda: "cpu")
    choice = select.choose_engine()
    assert choice[:3] == ("torch", "cpu", "fp32")
    assert "not installed" in choice.reason


def test_masks_of_many_prompts_on_one_image(fast: GraphEngine, engine: TorchEngine) -> None:
    points = np.array([[[40, 50]], [[60, 70]]], np.float32)
    prompt = DecoderPrompt(points, np.ones((2, 1), np.int64))
    results = []
    for each in (fast, engine):
        features = each.encode(IMAGE)
        results.append(each.decode(each.attend(features, None), features, prompt, "several"))
    for got, expected in zip(*(astuple(r) for r in results), strict=True):
        assert np.abs(got - expected).max() <= 1e-4
