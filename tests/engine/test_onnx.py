"""What is ONNX Runtime's own: a program for each set of lengths, made once."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from edgetam.engine import onnx, requirements
from edgetam.engine.onnx import ONNXRunner, ProgramsOnDemand, onnx_engine
from edgetam.engine.source import Source
from edgetam.engine.verbs import GraphEngine
from edgetam.errors import EngineError
from edgetam.model import EdgeTAM
from edgetam.structs import ImageFeatures, MemoryContext
from tests.model.lively import shared_model

IMAGE = np.random.default_rng(0).normal(size=(1, 3, 256, 256)).astype(np.float32)


@pytest.fixture
def no_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation with the runtime alone."""
    monkeypatch.setattr(requirements, "missing", lambda modules: [m for m in modules if m != "torch"])


@pytest.fixture
def converted(model: EdgeTAM) -> None:
    """A cache that knows how to encode."""
    onnx_engine(Source.of_network(model), threads=1).encode(IMAGE)


def test_a_later_start_converts_nothing(
    converted: None, no_converter: None, model: EdgeTAM, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgetam.engine")
    features = onnx_engine(Source.of_network(model), threads=1).encode(IMAGE)
    assert features.stride16.shape == (1, 256, 16, 16)
    assert "Converting" not in caplog.text


def test_converting_says_so(
    model: EdgeTAM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path))
    caplog.set_level(logging.INFO, "edgetam.engine")
    onnx_engine(Source.of_network(model), threads=1).encode(IMAGE)
    assert caplog.text.count("Converting 'encode' for ONNX Runtime") == 1


def test_libraries_that_converting_needs_are_named(
    no_converter: None, model: EdgeTAM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path))
    engine = onnx_engine(Source.of_network(model), threads=1)
    words = r"needs onnx and onnxscript, which are not installed; run: pip install 'edgetam\[onnx\]'"
    with pytest.raises(EngineError, match=words):
        engine.encode(IMAGE)
    assert [path for path in tmp_path.rglob("*.onnx") if path.is_file()] == []


def test_other_weights_and_sizes_are_other_programs(model: EdgeTAM) -> None:
    engines = [onnx_engine(Source.of_network(n), threads=1) for n in (model, shared_model("edgetam", 512))]
    first, second = (engine.runner._store.folder for engine in engines)
    assert first != second


def test_the_number_of_threads_is_honoured(converted: None, model: EdgeTAM) -> None:
    runner = onnx_engine(Source.of_network(model), threads=1).runner
    assert isinstance(runner, ProgramsOnDemand)
    runner.run("encode", {"image": IMAGE.transpose(0, 2, 3, 1)})
    inner = runner._runner
    assert isinstance(inner, ONNXRunner)
    options = inner._sessions["encode"].get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


class Recorder:
    """Stands in for the runner of programs."""

    def __init__(self) -> None:
        self.programs: list[tuple[str, dict[str, tuple[int, ...]]]] = []

    def run(self, program: str, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.programs.append((program, {name: array.shape for name, array in inputs.items()}))
        return [np.zeros((1, 16, 16, 256), np.float32)]


@pytest.mark.parametrize(
    ("frames", "pointers", "program"),
    [(1, 1, "attend-T7-P16"), (7, 16, "attend-T7-P16"), (8, 17, "attend-T8-P32")],
)
def test_one_program_serves_an_ordinary_video(
    frames: int, pointers: int, program: str, model: EdgeTAM
) -> None:
    engine: GraphEngine = onnx_engine(Source.of_network(model), threads=1)
    recorder = engine.runner._runner = Recorder()
    maps = [np.zeros((1, c, n, n), np.float32) for c, n in ((32, 64), (64, 32), (256, 16))]
    context = MemoryContext(
        np.zeros((2, frames, 512, 64), np.float32),
        np.zeros((2, frames), np.int64),
        np.zeros((2, pointers, 256), np.float32),
        np.zeros((2, pointers), np.float32),
    )
    fused = engine.attend(ImageFeatures(*maps), context)
    assert [name for name, _ in recorder.programs] == [program] * 2  # object by object
    assert recorder.programs[0][1]["tokens"] == (1, int(program.split("-")[1][1:]), 512, 64)
    assert fused.shape == (2, 256, 16, 16)


def test_only_the_last_programs_of_a_graph_stay_open(
    model: EdgeTAM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path))
    opened: list[str] = []

    class Session:
        def __init__(self, program: str) -> None:
            opened.append(program)

        def get_inputs(self) -> list[object]:
            return []

        def run(self, outputs: object, inputs: object) -> list[np.ndarray]:
            return [np.zeros((1, 1), np.float32)]

    monkeypatch.setattr(ONNXRunner, "_open", lambda runner, program: Session(program))
    runner = onnx_engine(Source.of_network(model), threads=1).runner
    runner.run("encode", {"image": IMAGE})
    for points in (1, 2, 3, 4, 1, 5, 1, 2):
        runner.run("answer", {"labels": np.zeros((1, points), np.int32)})
    runner.run("encode", {"image": IMAGE})
    assert opened == ["encode", *(f"answer-P{points}" for points in (1, 2, 3, 4, 5, 2))]
    assert len(runner._runner._sessions) == 1 + onnx.KEPT
