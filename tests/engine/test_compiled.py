"""The compiled engine: the answers of the torch engine, from programs of fixed shapes."""

from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from edgetam.engine import load_model, select
from edgetam.engine.torch import TorchEngine
from edgetam.engine.torch_compiled import CompiledEngine, _limit
from edgetam.structs import DecoderPrompt, ImageFeatures, MemoryContext
from edgetam.tracking import VideoTracker
from tests.model.lively import lively_model

SIZE = 256


@pytest.fixture(scope="module")
def engines() -> tuple[TorchEngine, CompiledEngine]:
    network = lively_model("edgetam", SIZE)
    return TorchEngine(network), CompiledEngine(network, backend="eager")


@pytest.fixture(scope="module")
def features(engines: tuple[TorchEngine, CompiledEngine]) -> tuple[ImageFeatures[Any], ...]:
    image = np.random.default_rng(0).normal(size=(1, 3, SIZE, SIZE)).astype(np.float32)
    return tuple(engine.encode(image) for engine in engines)


def close(found: Any, expected: Any) -> bool:
    found, expected = (np.asarray(x, np.float32) for x in (found, expected))
    return found.shape == expected.shape and bool(np.abs(found - expected).max() < 2e-3)


def test_features_are_the_same(features: tuple[ImageFeatures[Any], ...]) -> None:
    plain, compiled = features
    for name in ("stride4", "stride8", "stride16"):
        assert close(getattr(compiled, name), getattr(plain, name))


def test_memories_of_uneven_length_are_read_alike(
    engines: tuple[TorchEngine, CompiledEngine], features: tuple[ImageFeatures[Any], ...]
) -> None:
    numbers = np.random.default_rng(1)
    context = MemoryContext(
        numbers.normal(size=(2, 3, 512, 64)).astype(np.float32),
        np.array([[0, 2, 1], [0, 1, 0]]),
        numbers.normal(size=(2, 2, 256)).astype(np.float32),
        np.zeros((2, 2), np.float32),
        np.array([[True, True, True], [True, True, False]]),
        np.array([[True, True], [True, False]]),
    )
    plain, compiled = (e.attend(f, context) for e, f in zip(engines, features, strict=True))
    assert close(compiled, plain)


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_tracked_frame_is_answered_and_remembered_alike(
    exclusive: bool, engines: tuple[TorchEngine, CompiledEngine], features: tuple[ImageFeatures[Any], ...]
) -> None:
    nothing = DecoderPrompt(np.zeros((1, 1, 2), np.float32), np.full((1, 1), -1))
    outcomes = []
    for engine, seen in zip(engines, features, strict=True):
        answer = engine.decode(seen.stride16, seen, nothing, "best")
        memory = engine.remember(
            seen, answer.masks, answer.presence, answer.pointer, binarize=False, exclusive=exclusive
        )
        outcomes.append((answer, memory))
    (plain, remembered), (compiled, memory) = outcomes
    for name in ("masks", "scores", "presence", "pointer", "best"):
        assert close(getattr(compiled, name), getattr(plain, name))
    assert close(memory.tokens, remembered.tokens)


def test_what_is_handed_out_stays_when_the_program_runs_again(
    engines: tuple[TorchEngine, CompiledEngine], features: tuple[ImageFeatures[Any], ...]
) -> None:
    kept = features[1].stride16.clone()
    engines[1].encode(np.zeros((1, 3, SIZE, SIZE), np.float32))
    assert torch.equal(features[1].stride16, kept)


def test_prompts_need_no_program(
    engines: tuple[TorchEngine, CompiledEngine], features: tuple[ImageFeatures[Any], ...]
) -> None:
    click = DecoderPrompt(np.array([[[90.0, 120.0]]], np.float32), np.ones((1, 1), np.int64))
    plain, compiled = (
        engine.decode(seen.stride16, seen, click, "several")
        for engine, seen in zip(engines, features, strict=True)
    )
    assert compiled.masks.shape == (1, 3, SIZE // 4, SIZE // 4)
    assert close(compiled.masks, plain.masks)


def test_what_earlier_releases_call_the_number_of_shapes_is_known() -> None:
    assert hasattr(torch._dynamo.config, _limit(torch._dynamo.config))
    assert _limit(SimpleNamespace(cache_size_limit=8)) == "cache_size_limit"
    assert _limit(SimpleNamespace(cache_size_limit=8, recompile_limit=8)) == "recompile_limit"


def test_it_is_loaded_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "missing_compiler", lambda device: None)
    engine = load_model(engine="compiled", device="cpu", image_size=SIZE)
    assert isinstance(engine, CompiledEngine)
    assert (engine.name, engine.precision) == ("compiled", "fp32")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_generated_code_tracks_as_written_code_does() -> None:
    numbers = np.random.default_rng(5)
    frames = numbers.integers(0, 90, (4, 56, 72, 3), np.uint8)
    for t, frame in enumerate(frames):
        frame[10 + t : 30 + t, 8 + 2 * t : 28 + 2 * t] += np.uint8(150)
    network = lively_model("edgetam", SIZE)
    tracked = []
    for engine in (TorchEngine(network), CompiledEngine(network)):
        with VideoTracker(engine).open(list(frames)) as session:
            session.prompt(0, 1, points=[[15, 18]])
            session.prompt(0, 2, points=[[50, 40]])
            tracked.append([[r.objects[k].logits for k in (1, 2)] for r in session.propagate()])
    assert np.abs(np.array(tracked[0]) - np.array(tracked[1])).max() < 5e-3
