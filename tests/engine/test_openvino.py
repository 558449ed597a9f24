"""What is OpenVINO's own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openvino")

import openvino as ov
import torch

from edgetam.engine import openvino
from edgetam.engine.openvino import OpenVINORunner, openvino_engine
from edgetam.engine.source import Source
from edgetam.engine.verbs import GraphEngine
from edgetam.model import EdgeTAM
from edgetam.structs import ImageFeatures, MemoryContext
from tests.model.lively import context_of, features_of

IMAGE = np.random.default_rng(0).normal(size=(1, 3, 256, 256)).astype(np.float32)


@pytest.fixture(scope="module")
def fast(model: EdgeTAM) -> GraphEngine:
    return openvino_engine(Source.of_network(model), threads=1)


def test_low_precision_is_close(model: EdgeTAM, fast: GraphEngine) -> None:
    if "BF16" not in openvino.capabilities():
        pytest.skip("this CPU has no bfloat16")
    low = openvino_engine(Source.of_network(model), "bf16", threads=1)
    assert low.precision == "bf16"
    expected, got = fast.encode(IMAGE).stride16, low.encode(IMAGE).stride16
    assert got.dtype == np.float32
    assert 1e-5 < np.abs(got - expected).max() / np.abs(expected).max() < 0.1


@pytest.mark.parametrize(
    ("graph", "gone", "kept"),
    [
        ("track", "transformer.layers.0.self_attn.", "transformer.layers.1.self_attn."),
        ("track", "transformer.layers.0.token_to_image.q_proj", "transformer.layers.0.image_to_token.k_proj"),
        ("remember", "perceiver.layers.0.attn.to_q", "perceiver.layers.1.attn.to_q"),
    ],
)
def test_what_weights_alone_decide_is_computed_once(
    fast: GraphEngine, graph: str, gone: str, kept: str
) -> None:
    assert isinstance(fast.runner, OpenVINORunner)
    compiled = fast.runner._compile(graph).get_compiled_model().get_runtime_model()
    names = " ".join(
        op.get_friendly_name()
        for op in compiled.get_ops()
        if op.get_rt_info()["layerType"].astype(str) == "FullyConnected"
    )
    assert kept in names
    assert gone not in names


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(("frames", "pointers"), [(4, 16), (3, 16), (4, 5)])
def test_memories_with_and_without_padding(
    model: EdgeTAM, fast: GraphEngine, missing: bool, frames: int, pointers: int
) -> None:
    """Full memories have a graph of their own."""
    features, context = features_of(model), context_of(model, 2, frames, pointers)
    if missing:
        real = torch.ones(2, frames, dtype=torch.bool), torch.ones(2, pointers, dtype=torch.bool)
        real[0][1, 1:], real[1][1, 2:] = False, False
        context = replace(context, tokens_valid=real[0], pointers_valid=real[1])
    with torch.inference_mode():
        expected = model.attend(features, context).numpy()
    given = MemoryContext(*(None if x is None else x.numpy() for x in vars(context).values()))
    assert isinstance(fast.runner, OpenVINORunner)
    fast.runner._requests.clear()
    got = fast.attend(ImageFeatures(*(x.numpy() for x in vars(features).values())), given)
    assert np.abs(got - expected).max() < 2e-5 * np.abs(expected).max()
    [(graph, fixed)] = fast.runner._requests
    assert graph == "attend"
    assert (fixed is not None) == (not missing and (frames, pointers) == (4, 16))


def test_few_numbers_of_objects_have_graphs_of_their_own(
    model: EdgeTAM, fast: GraphEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "FIXED", 2)
    assert isinstance(fast.runner, OpenVINORunner)
    fast.runner._requests.clear()
    features = features_of(model)
    for count in (1, 3, 1, 2, 3, 4):
        context = context_of(model, count, 4, 16)
        with torch.inference_mode():
            expected = model.attend(features, context).numpy()
        given = MemoryContext(*(None if x is None else x.numpy() for x in vars(context).values()))
        got = fast.attend(ImageFeatures(*(x.numpy() for x in vars(features).values())), given)
        assert np.abs(got - expected).max() < 2e-5 * np.abs(expected).max()
    fixed = [shapes and dict(shapes)["tokens"][0] for _, shapes in fast.runner._requests]
    assert fixed == [1, 3, None]


INTERRUPTED = """
import signal, sys
from pathlib import Path
import numpy as np
import openvino as ov
from openvino import opset13 as op
from edgetam.engine.openvino import OpenVINORunner, save

given = op.parameter([1, 4], np.float32, name="x")
save(ov.Model([op.relu(given)], [given]), Path())
runners = [OpenVINORunner(lambda graph: Path(), "fp32", 1) for _ in "12"]
for runner in runners:
    runner.run("encode", {"x": np.ones((1, 4), np.float32)})
while runners:
    del runner, runners[0]
    runner = None
signal.signal(signal.SIGINT, lambda *_: print("caught"))
signal.raise_signal(signal.SIGINT)
"""


def test_ctrl_c_is_heard_after_engines_have_come_and_gone(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "caught\n"), done.stderr


REPORTS = """
from openvino_telemetry.utils.sender import TelemetrySender
TelemetrySender.send = lambda *_: print("sent")
import torch
from edgetam.engine.graphs import Graph, Port
from edgetam.engine.openvino import convert
port = Port("x", (1, 4))
convert(Graph("toy", torch.nn.ReLU(), (port,), (Port("y", (1, 4)),)))
print("converted")
"""


def test_nobody_is_told_that_a_model_is_converted(tmp_path: Path) -> None:
    """OpenVINO's converter would post that to Google Analytics, from processes of its own."""
    pytest.importorskip("openvino_telemetry")
    outside = {k: v for k, v in os.environ.items() if k not in ("CI", "TF_BUILD", "JENKINS_URL", "NNCF_CI")}
    environment = {**outside, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", REPORTS], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "converted\n"), done.stderr
    assert not list(tmp_path.iterdir()), "nor is anything noted"


def test_int8_products_that_overflow_are_found(tmp_path: Path) -> None:
    """As CPUs without VNNI have them; oneDNN can be told to forget newer instructions."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("only older x86 CPUs do")
    code = "from edgetam.engine.openvino import int8_overflows as found; print(found())"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


def test_the_number_of_threads_is_honoured(fast: GraphEngine) -> None:
    fast.encode(IMAGE)
    runner = fast.runner
    assert isinstance(runner, OpenVINORunner)
    compiled = runner._requests["encode", None].get_compiled_model()
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="takes a disk that is always full")
def test_a_full_disk_is_an_error_like_others(tmp_path: Path) -> None:
    (tmp_path / "model.bin").symlink_to("/dev/full")
    constant = ov.opset13.constant(np.ones((1000, 1000), np.float32))
    model = ov.Model([ov.opset13.relu(constant)], [])
    with pytest.raises(OSError, match="perhaps because the disk is full"):
        openvino.save(model, tmp_path)
