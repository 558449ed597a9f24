"""The torch engine: NumPy in and out, and tracking on a real network."""

from __future__ import annotations

import warnings
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgetam.engine import load_model
from edgetam.engine.torch import TorchEngine, best_device
from edgetam.errors import ConfigError, EngineError
from edgetam.model import EdgeTAM
from edgetam.structs import DecoderPrompt, FrameResult, MemoryContext, Prompt
from edgetam.tracking import ImageSegmenter, Stream, TrackerOptions, TrackingSession, VideoTracker
from edgetam.weights import load_network
from tests.model.lively import lively_model

FRAMES = 9
WIDTH, HEIGHT = 72, 56
IMAGE = np.random.default_rng(0).normal(size=(1, 3, 256, 256)).astype(np.float32)


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """A bright square that moves over noise: uint8 ``[T, H, W, 3]``."""
    generator = np.random.default_rng(5)
    frames = generator.integers(0, 90, (FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    for t in range(FRAMES):
        frames[t, 10 + t : 30 + t, 8 + 2 * t : 28 + 2 * t] += np.uint8(150)
    return frames


def point(engine: TorchEngine, *at: float) -> DecoderPrompt[Any]:
    points = np.array(at, np.float32).reshape(-1, 1, 2)
    return DecoderPrompt(points, np.ones((len(points), 1), np.int64))


def test_a_network_is_the_same_when_it_is_made_inside_autocast(engine: TorchEngine, model: EdgeTAM) -> None:
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        made = TorchEngine(model).encode(IMAGE)
    for mine, wanted in zip(astuple(made), astuple(engine.encode(IMAGE)), strict=True):
        assert torch.equal(mine, wanted)


def test_all_but_features_crosses_as_numpy(engine: TorchEngine) -> None:
    features = engine.encode(IMAGE)
    decoded = engine.decode(engine.attend(features, None), features, point(engine, 40, 50, 60, 70), "several")
    assert all(isinstance(part, np.ndarray) for part in astuple(decoded))
    assert [part.dtype.name for part in astuple(decoded)] == ["float32"] * 4 + ["int64"]
    assert decoded.masks.shape == (2, 3, 64, 64)
    assert decoded.masks.dtype == np.float32
    memory = engine.remember(
        features, decoded.masks[:, :1], decoded.presence, decoded.pointer, binarize=True, exclusive=False
    )
    assert memory.tokens.shape == (2, 512, 64)
    assert isinstance(memory.tokens, np.ndarray)
    context = MemoryContext(
        memory.tokens[:, None],
        np.zeros((2, 1), np.int64),
        memory.pointer[:, None],
        np.zeros((2, 1), np.float32),
    )
    fused = engine.attend(features, context)
    assert fused.shape == (2, 256, 16, 16)
    adopted = engine.adopt(features, np.ones((2, 1, 256, 256), np.float32))
    assert adopted.masks.shape == (2, 1, 64, 64)
    assert engine.absent_pointer.shape == (256,)


def test_the_network_given_is_left_untouched(model: EdgeTAM) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    TorchEngine(model).encode(IMAGE)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())


def test_folding_changes_no_answer(model: EdgeTAM, engine: TorchEngine) -> None:
    plain = TorchEngine(model, fold=False)
    for folded, unfolded in zip(astuple(engine.encode(IMAGE)), astuple(plain.encode(IMAGE)), strict=True):
        assert (folded - unfolded).abs().max() <= 1e-5 * unfolded.abs().max()


def test_low_precision_is_close(model: EdgeTAM, engine: TorchEngine) -> None:
    low = TorchEngine(model, precision="bf16")
    expected, got = engine.encode(IMAGE).stride16, low.encode(IMAGE).stride16.float()
    error = (got - expected).abs().max() / expected.abs().max()
    assert 1e-5 < error < 0.1


def test_real_memories_hold_in_half_precision() -> None:
    """Those of the weights that come with the package, whose maps have channels longer than 256."""
    network = load_network(image_size=256)
    plain, half = TorchEngine(network), TorchEngine(network, precision="fp16")
    features = plain.encode(IMAGE)
    masks = np.full((1, 1, 64, 64), -8, np.float32)
    masks[:, :, 20:40, 20:40] = 8
    given = masks, np.ones((1, 1), np.float32), plain.absent_pointer[None]
    expected, got = (e.remember(features, *given, binarize=False, exclusive=False) for e in (plain, half))
    assert np.abs(got.tokens - expected.tokens).max() < 0.01 * np.abs(expected.tokens).max()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "int3"}, "precision is 'int3'.*fp32, bf16, fp16"),
        ({"device": "toaster"}, "'toaster'"),
        ({"device": "cuda:99"}, "'cuda:99'"),
    ],
)
def test_what_is_not_available_is_named(model: EdgeTAM, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        TorchEngine(model, **arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "sam9"}, ConfigError, "sam9.*edgetam"),
        ({"image_size": 1000}, ConfigError, "image_size is 1000"),
        ({"engine": "tensorrt"}, EngineError, "engine is 'tensorrt'; expected one of auto, torch"),
        ({"precision": "fp8"}, EngineError, "precision is 'fp8'; expected one of auto, fp32"),
    ],
)
def test_loading_names_what_it_does_not_know(
    arguments: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        load_model(**{"weights": tmp_path / "none.pt"} | arguments)


def test_the_best_device_exists() -> None:
    TorchEngine(lively_model("edgetam", 256), best_device())


def test_batched_attention_and_decoding_equal_one_by_one_at_the_boundary(engine: TorchEngine) -> None:
    """Memories of different number, padded and masked."""
    features = engine.encode(IMAGE)
    generator = np.random.default_rng(3)
    tokens = generator.normal(size=(2, 3, 512, 64)).astype(np.float32)
    pointers = generator.normal(size=(2, 4, 256)).astype(np.float32)
    ages = np.array([[0, 2, 1], [0, 0, 0]])
    distances = np.zeros((2, 4), np.float32)
    valid = np.array([[True] * 3, [True, False, False]]), np.array([[True] * 4, [True] * 2 + [False] * 2])
    together = engine.attend(features, MemoryContext(tokens, ages, pointers, distances, *valid))
    first = engine.attend(features, MemoryContext(tokens[:1], ages[:1], pointers[:1], distances[:1]))
    second = engine.attend(
        features, MemoryContext(tokens[1:, :1], ages[1:, :1], pointers[1:, :2], distances[1:, :2])
    )
    scale = together.abs().max()
    assert (together[:1] - first).abs().max() <= 1e-5 * scale
    assert (together[1:] - second).abs().max() <= 1e-5 * scale


def compare(got: FrameResult, expected: FrameResult, tolerance: float) -> None:
    assert got.frame == expected.frame
    assert got.objects.keys() == expected.objects.keys()
    for object_id, each in expected.objects.items():
        seen = got.objects[object_id]
        assert np.abs(seen.logits - each.logits).max() <= tolerance
        assert seen.score == pytest.approx(each.score, abs=tolerance)
        assert seen.presence == pytest.approx(each.presence, abs=tolerance)


FIRST = Prompt(points=[[18, 20]])
SECOND = Prompt(box=[20, 20, 60, 50])
CORRECTION = Prompt(points=[[30, 30], [2, 2]], labels=[1, 0])


def test_streams_equal_sessions_on_a_network(engine: TorchEngine, clip: np.ndarray) -> None:
    """Two objects from different frames, one corrected on the way."""
    stream = Stream(engine)
    events = {0: {1: FIRST}, 2: {2: SECOND}, 4: {1: CORRECTION}}
    streamed = [stream.step(image, events.get(t)) for t, image in enumerate(clip)]
    with VideoTracker(engine).open(clip) as session:
        session.prompt(0, 1, FIRST.points)
        session.prompt(2, 2, box=SECOND.box)
        for result in session.propagate():
            if result.frame == 4:
                result = session.prompt(4, 1, CORRECTION.points, CORRECTION.labels)
            compare(streamed[result.frame], result, 1e-5)
    assert {tuple(r.objects) for r in streamed} == {(1,), (1, 2)}


def test_objects_together_equal_objects_alone_on_a_network(engine: TorchEngine, clip: np.ndarray) -> None:
    """Ragged: the second object starts later, so its memories are padded.

    Memories are kept in full precision: rounding would turn differences of 1e-7 into some of 1e-2.
    """
    options = TrackerOptions(store="fp32")

    def run(*objects: int) -> dict[int, FrameResult]:
        with VideoTracker(engine, options).open(clip[:6]) as session:
            if 1 in objects:
                session.prompt(0, 1, FIRST.points)
            if 2 in objects:
                session.prompt(2, 2, box=SECOND.box)
            return {r.frame: r for r in session.propagate()}

    together = run(1, 2)
    for object_id in (1, 2):
        for frame, alone in run(object_id).items():
            seen = FrameResult(frame, {object_id: together[frame].objects[object_id]})
            scale = max(1.0, float(np.abs(alone.objects[object_id].logits).max()))
            compare(seen, alone, 1e-5 * scale)


def test_a_resumed_session_goes_on_alike(engine: TorchEngine, clip: np.ndarray, tmp_path: Path) -> None:
    tracker = VideoTracker(engine)
    with tracker.open(clip) as session:
        session.prompt(0, 1, FIRST.points)
        list(session.propagate(frames=4))
        session.prompt(5, 2, box=SECOND.box)
        session.save(tmp_path)
        expected = list(session.propagate(start=5, frames=2))
    with tracker.resume(tmp_path, clip) as resumed:
        for got, wanted in zip(resumed.propagate(start=5, frames=2), expected, strict=True):
            compare(got, wanted, 1e-6)


def test_no_array_is_handed_to_torch_that_it_may_not_write(engine: TorchEngine, clip: np.ndarray) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:30, 8:28] = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        segmenter = ImageSegmenter(engine)
        segmenter.set_image(clip[0])
        segmenter.predict(points=[[18, 20]], mask=mask)
        with VideoTracker(engine).open(clip) as session:
            session.prompt(0, 1, mask=mask)
            session.prompt(0, 1, points=[[18, 20]])
            list(session.propagate(frames=2))


def test_sessions_take_any_frames(engine: TorchEngine, clip: np.ndarray) -> None:
    with VideoTracker(engine).open(list(clip[:2])) as session:
        assert isinstance(session, TrackingSession)
        assert session.size == (WIDTH, HEIGHT)
        assert len(session) == 2
