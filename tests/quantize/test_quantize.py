"""int8 on a small network: calibrate, keep, load, compare, and what is said when something is missing."""

from __future__ import annotations

import importlib.util
import json
import logging
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("openvino")

import openvino as ov
from openvino import opset13 as op

from edgetam.engine import load_model, requirements
from edgetam.engine.native.engine import native_engine
from edgetam.engine.native.library import why_not
from edgetam.engine.openvino import graph_store, openvino_engine
from edgetam.engine.source import Source
from edgetam.engine.verbs import GraphEngine
from edgetam.errors import ConfigError, EngineError, MediaError, OutputError
from edgetam.eval.datasets import get_benchmark, open_dataset
from edgetam.model import EdgeTAM
from edgetam.quantize import Clip, check_parts, measure, quantize
from edgetam.quantize.attention import attention_abs_max
from edgetam.structs import MemoryContext
from tests.eval.scenes import make_video, square

needs_nncf = pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None, reason="NNCF is not installed: pip install 'edgetam[quantize]'"
)
PART = "remember"
"""The smallest graph that every tracked frame runs."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """A bright square that moves over noise."""
    folder = tmp_path_factory.mktemp("clip")
    numbers = np.random.default_rng(3)
    for t in range(4):
        frame = numbers.integers(0, 90, (48, 64, 3), np.uint8)
        frame[14 + t : 34 + t, 22 + t : 42 + t] += np.uint8(150)
        cv2.imwrite(str(folder / f"{t:05d}.png"), frame)
    return Clip(str(folder))


@pytest.fixture(scope="module")
def source(model: EdgeTAM) -> Source:
    return Source.of_network(model)


@pytest.fixture(scope="module")
def quantised(source: Source, clip: Clip) -> GraphEngine:
    quantize(source, [clip], [PART], frames=3, threads=1)
    return openvino_engine(source, "int8", threads=1)


@needs_nncf
def test_quantised_part_is_used_and_smaller(quantised: GraphEngine, source: Source) -> None:
    assert quantised.precision == "int8"
    theirs = quantised.runner.folder_of(PART)
    ours = graph_store(source).folder / PART
    assert "FakeQuantize" in (theirs / "model.xml").read_text()
    assert (theirs / "model.bin").stat().st_size < 0.6 * (ours / "model.bin").stat().st_size
    assert quantised.runner.folder_of("encode") == graph_store(source).folder / "encode"


@needs_nncf
def test_native_kernels_leave_quantised_parts_to_openvino(quantised: GraphEngine, source: Source) -> None:
    if reason := why_not():
        pytest.skip(reason)
    engine = native_engine(source, "int8", threads=1)
    assert engine.precision == "int8"
    exact = native_engine(source, "bf16", threads=1)
    image = np.random.default_rng(0).normal(size=(1, 3, 256, 256)).astype(np.float32)
    features = engine.encode(image)
    assert np.array_equal(features.stride16, exact.encode(image).stride16)

    def memory(of: GraphEngine) -> np.ndarray:
        mask = cv2.resize(image[0, 0], (64, 64))[None, None]
        present, pointer = np.ones((1, 1), np.float32), np.zeros((1, 256), np.float32)
        return of.remember(features, mask, present, pointer, binarize=False, exclusive=False).tokens

    assert np.array_equal(memory(engine), memory(quantised))
    assert not np.array_equal(memory(engine), memory(exact))


@needs_nncf
def test_memories_are_close_but_not_the_same(quantised: GraphEngine, source: Source, clip: Clip) -> None:
    exact = openvino_engine(source, "fp32", threads=1)
    image = np.random.default_rng(0).normal(size=(1, 3, 256, 256)).astype(np.float32)
    masks = np.random.default_rng(1).normal(size=(1, 1, 64, 64)).astype(np.float32) * 4
    tokens = [
        each.remember(
            exact.encode(image),
            masks,
            np.ones((1, 1), np.float32),
            np.zeros((1, 256), np.float32),
            binarize=False,
            exclusive=False,
        ).tokens
        for each in (exact, quantised)
    ]
    difference = np.abs(tokens[0] - tokens[1]).mean() / np.abs(tokens[0]).mean()
    assert 0 < difference < 0.3


@needs_nncf
def test_logging_is_as_before(source: Source, clip: Clip) -> None:
    pytest.importorskip("nncf")  # its logger is of its own class
    logger = logging.getLogger("nncf")
    before = logger.level, [handler.level for handler in (*logger.handlers, *logging.root.handlers)]
    quantize(source, [clip], [PART], frames=3, threads=1)
    assert before == (logger.level, [handler.level for handler in (*logger.handlers, *logging.root.handlers)])


@needs_nncf
def test_attention_compares_in_int8(source: Source, clip: Clip) -> None:
    quantize(source, [clip], ["attend"], frames=3, threads=1)
    mixed, exact = (openvino_engine(source, each, threads=1) for each in ("int8", "fp32"))
    text = (mixed.runner.folder_of("attend") / "model.xml").read_text()
    assert 'type="ScaledDotProductAttention"' not in text
    assert text.count('type="FakeQuantize"') >= 8 + 2  # queries and keys of four attentions, linear layers
    numbers = np.random.default_rng(0)
    features = exact.encode(numbers.normal(size=(1, 3, 256, 256)).astype(np.float32))
    context = MemoryContext(
        numbers.normal(size=(2, 2, exact.config.memory_layout.tokens, 64)).astype(np.float32),
        np.array([[0, 1]] * 2),
        numbers.normal(size=(2, 1, 256)).astype(np.float32),
        np.zeros((2, 1), np.float32),
    )
    expected, found = (engine.attend(features, context) for engine in (exact, mixed))
    assert 0 < np.abs(found - expected).mean() < 0.1 * np.abs(expected).mean()


def test_reach_is_the_largest_number_compared() -> None:
    shapes = {"q": [-1, 1, 7, 8], "k": [-1, 1, -1, 8], "v": [-1, 1, -1, 5]}
    inputs = [op.parameter(shape, np.float32, name=name) for name, shape in shapes.items()]
    model = ov.Model([op.scaled_dot_product_attention(*inputs)], inputs)
    numbers = np.random.default_rng(0)
    samples = [
        {name: numbers.normal(size=(1, 1, 7, shape[3])).astype(np.float32) for name, shape in shapes.items()}
        for _ in range(3)
    ]
    (abs_max,) = attention_abs_max(model, samples).values()
    assert abs_max.query == pytest.approx(max(np.abs(sample["q"]).max() for sample in samples))
    assert abs_max.key == pytest.approx(max(np.abs(sample["k"]).max() for sample in samples))


def test_without_attention_there_is_no_reach() -> None:
    given = op.parameter([2], np.float32)
    assert attention_abs_max(ov.Model([op.abs(given)], [given]), []) == {}


def test_clips_of_one_video_are_all_compared(source: Source, clip: Clip) -> None:
    corner = replace(clip, point=(5.0, 5.0))
    report = measure({"fp32": openvino_engine(source, "fp32", threads=1)}, [clip, corner], frames=3)
    assert report.frames == 4


def test_objects_that_come_later_are_left_out_where_the_benchmark_says_so(
    source: Source, tmp_path: Path
) -> None:
    masks = [{1: square(4 + t, 8)} | ({2: square(22, 14)} if t == 1 else {}) for t in range(4)]
    make_video(tmp_path, "a", dict(enumerate(masks)), len(masks))
    generic = get_benchmark("generic")
    dataset = open_dataset(generic, tmp_path)
    first_only = replace(dataset, benchmark=replace(generic, late=False))
    engines = {"fp32": openvino_engine(source, "fp32", threads=1)}
    assert measure(engines, [], first_only).frames == 3


@needs_nncf
def test_report_compares_with_fp32(quantised: GraphEngine, source: Source, clip: Clip) -> None:
    engines = {"fp32": openvino_engine(source, "fp32", threads=1), "int8": quantised}
    report = measure(engines, [clip], frames=4)
    json.dumps(report.as_json(), allow_nan=False)  # too short to be timed, and still valid
    exact, mixed = report.cases["fp32"], report.cases["int8"]
    assert (report.image_size, report.frames) == (256, 3)
    assert exact.mean_iou == exact.least_iou == 1.0
    assert mixed.mean_iou is not None and 0 <= mixed.mean_iou <= 1
    assert mixed.megabytes[PART] < exact.megabytes[PART]
    assert mixed.megabytes["encode"] == exact.megabytes["encode"]
    assert exact.jf is None


@needs_nncf
def test_damage_is_named(quantised: GraphEngine) -> None:
    (quantised.runner.folder_of(PART) / "model.bin").write_bytes(b"x")
    with pytest.raises(EngineError, match=r"'remember' is missing or damaged.*edgetam quantize"):
        quantised.runner.folder_of(PART)


def test_without_calibration(model: EdgeTAM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path))
    with pytest.raises(EngineError, match="edgetam quantize"):
        openvino_engine(Source.of_network(model), "int8", threads=1)


def test_torch_has_no_int8() -> None:
    with pytest.raises(EngineError, match=r"int8.*engine='openvino'"):
        load_model(engine="torch", precision="int8")


def test_unknown_parts() -> None:
    with pytest.raises(ConfigError, match="The parts are none; expected some of encode"):
        check_parts([])
    with pytest.raises(ConfigError, match="unknown answer; expected some of encode"):
        check_parts(["encode", "answer"])


def test_without_nncf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "missing", lambda modules: ["nncf"])
    with pytest.raises(EngineError, match=r"edgetam\[quantize\]"):
        check_parts(["encode"])


@needs_nncf
def test_a_cache_that_cannot_be_written_is_said_before_anything_is_tracked(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path / "file"))
    said: list[str] = []
    with pytest.raises(OutputError, match=r"cannot be written .* EDGETAM_CACHE"):
        quantize(source, [Clip("nowhere")], [PART], say=said.append)
    assert said == []


@needs_nncf
def test_one_frame_does_not_calibrate_what_later_frames_run(source: Source, clip: Clip) -> None:
    with pytest.raises(MediaError, match="enough frames to calibrate 'track'"):
        quantize(source, [clip], ["encode", "track"], frames=1, threads=1)
