"""Every other engine beside the torch engine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import astuple
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgetam.engine import load_model
from edgetam.engine.source import Source
from edgetam.engine.torch import TorchEngine
from edgetam.engine.verbs import GraphEngine
from edgetam.model import EdgeTAM
from edgetam.structs import DecoderPrompt, FrameResult, ImageFeatures, MemoryContext
from edgetam.tracking import ImageSegmenter, TrackerOptions, VideoTracker
from edgetam.weights import save_native
from tests.model.lively import context_of, features_of, shared_model

FRAMES, WIDTH, HEIGHT = 9, 72, 56
IMAGE = np.random.default_rng(0).normal(size=(1, 3, 256, 256)).astype(np.float32)
ROOT = Path(__file__).parent.parent.parent
MODULES = {"openvino": ["openvino"], "onnx": ["onnxruntime", "onnx", "onnxscript"]}


@pytest.fixture(scope="module", params=["openvino", "onnx"])
def runtime(request: pytest.FixtureRequest) -> str:
    """An engine by name; those whose libraries are not installed are skipped."""
    for module in MODULES[request.param]:
        pytest.importorskip(module)
    return request.param


@pytest.fixture(scope="module")
def fast(runtime: str, model: EdgeTAM) -> GraphEngine:
    return make_engine(runtime, model)


def make_engine(runtime: str, network: EdgeTAM) -> GraphEngine:
    """The engine of a network in memory."""
    make = getattr(import_module(f"edgetam.engine.{runtime}"), f"{runtime}_engine")
    return make(Source.of_network(network), threads=1)


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


def test_backwards_too(fast: GraphEngine, engine: TorchEngine, clip: np.ndarray) -> None:
    def run(with_engine: Any) -> list[FrameResult]:
        with VideoTracker(with_engine, TrackerOptions(store="fp32")).open(clip[:4]) as session:
            session.prompt(3, 1, points=[[18, 20]])
            return list(session.propagate(start=3, reverse=True))

    got, expected = run(fast), run(engine)
    assert [result.frame for result in got] == [3, 2, 1, 0]
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


def test_conversion_is_the_same_inside_autocast(
    fast: GraphEngine, runtime: str, model: EdgeTAM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is converted there would stay in the cache for good."""
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path))
    prompt = DecoderPrompt(np.full((1, 1, 2), 60, np.float32), np.ones((1, 1), np.int64))

    def answers(engine: GraphEngine) -> tuple[np.ndarray, np.ndarray]:
        features = engine.encode(IMAGE)
        return features.stride4, engine.decode(
            engine.attend(features, None), features, prompt, "several"
        ).masks

    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        got = answers(make_engine(runtime, model))
    for mine, wanted in zip(got, answers(fast), strict=True):
        assert np.abs(mine - wanted).max() < 1e-5


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


def test_memories_of_sam_2_1_are_read_too(runtime: str) -> None:
    """No tokens without a place, and pointers that know their age."""
    network = shared_model("sam2.1-t", 256)
    fast, slow = make_engine(runtime, network), TorchEngine(network)
    features, context = features_of(network), context_of(network, 2, 3, 4)
    seen = ImageFeatures(*(part.numpy() for part in astuple(features)))
    known = MemoryContext(*(None if part is None else part.numpy() for part in astuple(context)))
    assert np.abs(fast.attend(seen, known) - slow.attend(features, known).numpy()).max() <= 1e-4


def test_more_memories_than_usual_are_read(fast: GraphEngine, engine: TorchEngine, model: EdgeTAM) -> None:
    """Nine remembered frames and seventeen pointers: shapes beyond those of an ordinary video."""
    features, context = features_of(model), context_of(model, 1, 9, 17)
    seen = ImageFeatures(*(part.numpy() for part in astuple(features)))
    known = MemoryContext(*(None if part is None else part.numpy() for part in astuple(context)))
    expected = engine.attend(features, known).numpy()
    assert np.abs(fast.attend(seen, known) - expected).max() <= 1e-4


@pytest.mark.parametrize("from_torch", [False, True])
def test_one_engine_goes_on_where_the_other_stopped(
    from_torch: bool, fast: GraphEngine, engine: TorchEngine, clip: np.ndarray, tmp_path: Path
) -> None:
    first, second = (engine, fast) if from_torch else (fast, engine)
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


def test_threads_take_turns(fast: GraphEngine) -> None:
    images = [np.roll(IMAGE, 20 * i, -1) for i in range(4)]
    expected = [fast.encode(image).stride16 for image in images]
    found: dict[int, np.ndarray] = {}

    def encode(i: int) -> None:
        found[i] = fast.encode(images[i]).stride16

    threads = [threading.Thread(target=encode, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[i], each) for i, each in enumerate(expected))


WARM = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import numpy as np
from edgetam import ImageSegmenter, load_model
segmenter = ImageSegmenter(load_model(weights=sys.argv[1], engine=sys.argv[2], precision="fp32", threads=1))
segmenter.set_image(np.full((20, 30, 3), 90, np.uint8))
print(segmenter.predict(points=[[3, 4]], box=[1, 1, 9, 9], multimask=False).logits.sum())
"""


def test_a_warm_start_needs_no_torch(runtime: str, model: EdgeTAM, tmp_path: Path) -> None:
    weights = save_native(tmp_path / "w.safetensors", model)
    segmenter = ImageSegmenter(load_model(weights=weights, engine=runtime, precision="fp32", threads=1))
    segmenter.set_image(np.full((20, 30, 3), 90, np.uint8))
    expected = segmenter.predict(points=[[3, 4]], box=[1, 1, 9, 9], multimask=False).logits.sum()
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", WARM, str(weights), runtime],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(float(expected), rel=1e-5)


def test_masks_of_many_prompts_on_one_image(fast: GraphEngine, engine: TorchEngine) -> None:
    points = np.array([[[40, 50]], [[60, 70]]], np.float32)
    prompt = DecoderPrompt(points, np.ones((2, 1), np.int64))
    results = []
    for each in (fast, engine):
        features = each.encode(IMAGE)
        results.append(each.decode(each.attend(features, None), features, prompt, "several"))
    for got, expected in zip(*(astuple(r) for r in results), strict=True):
        assert np.abs(got - expected).max() <= 1e-4
