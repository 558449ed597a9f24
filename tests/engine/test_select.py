"""Which engine is chosen, and what is said where one is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from edgetam.engine import load_model, requirements, select
from edgetam.errors import ConfigError, EngineError
from edgetam.model import EdgeTAM
from edgetam.weights import save_native


def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "missing", list)


def old_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = pytest.importorskip("edgetam.engine.openvino")
    monkeypatch.setattr(openvino, "capabilities", lambda: ["FP32", "INT8"])


def overflowing_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = pytest.importorskip("edgetam.engine.openvino")
    monkeypatch.setattr(openvino, "int8_overflows", lambda: True)
    monkeypatch.setattr(openvino, "quantised_graphs", lambda store: {})


def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "missing_compiler", lambda device: "a C++ compiler")


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (no_compiler, {"engine": "compiled", "device": "cpu"}, r"needs a C\+\+ compiler.*engine='torch'"),
        (None, {"engine": "compiled", "precision": "int8"}, "'int8', which PyTorch does not run"),
        (absent, {"engine": "openvino"}, r"openvino.*not installed.*pip install 'edgetam\[openvino\]'"),
        (absent, {"engine": "onnx"}, r"onnx engine is not installed.*pip install 'edgetam\[onnx\]'"),
        (
            None,
            {"engine": "onnx", "precision": "bf16"},
            "'bf16'; the ONNX engine computes in fp32",
        ),
        (None, {"engine": "onnx", "device": "cuda"}, "device is 'cuda'; use engine='torch'"),
        (old_cpu, {"engine": "openvino", "precision": "bf16"}, "does not compute in bf16.*precision='fp32'"),
        (
            overflowing_cpu,
            {"engine": "openvino", "precision": "int8"},
            "no exact int8 products.*precision='fp32'",
        ),
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


@pytest.mark.parametrize("runtime", ["openvino", "onnx", "torch"])
def test_a_first_start_without_pytorch_says_so(
    runtime: str, model: EdgeTAM, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights = save_native(tmp_path / "w.safetensors", model)
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path / "cache"))  # another test may have saved the same bytes
    monkeypatch.setattr(requirements, "missing", lambda modules: [m for m in modules if m == "torch"])
    with pytest.raises(EngineError, match="needs PyTorch, which is not installed; run: pip install torch"):
        load_model(weights=weights, engine=runtime)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"threads": 0}, "threads is 0; expected a whole number of at least 1"),
        ({"threads": 1.5}, "threads is 1.5; expected"),
        ({"image_size": "256"}, "image_size is '256'; expected a positive multiple of 256"),
        ({"image_size": 256.0}, "image_size is 256.0; expected"),
    ],
)
def test_numbers_that_are_none(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_model(**arguments)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (0, "device is 0; .* use 'cuda:0'"),
        (True, "device is True; expected 'auto'"),
        (b"cpu", "device is b'cpu'"),
    ],
)
def test_devices_that_are_none(device: Any, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        load_model(device=device)


def test_devices_of_pytorch_are_taken() -> None:
    assert select.choose_engine("torch", torch.device("cpu")) == select.choose_engine("torch", "cpu")
    assert select.choose_engine("torch", torch.device("cuda", 1), "fp32").device == "cuda:1"
    assert select.choose_engine(device=None) == select.choose_engine()
    assert select.choose_engine(device="cpu:0") == select.choose_engine(device="cpu")


def test_a_gpu_without_pytorch_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "_DRIVERS", (__file__,))
    monkeypatch.setattr(select, "missing", lambda modules: [m for m in modules if m == "torch"])
    assert select.choose_engine()[1:3] == ("cpu", "fp32")


def test_what_is_left_open_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "_torch_device", lambda: "cpu")
    monkeypatch.setattr("edgetam.engine.native.library.pays", lambda precision: False)
    assert select.choose_engine()[:3] == ("openvino", "cpu", "fp32")
    assert select.choose_engine(precision="bf16")[:3] == ("openvino", "cpu", "bf16")
    assert select.choose_engine(engine="onnx")[:3] == ("onnx", "cpu", "fp32")
    assert select.choose_engine(engine="torch")[:3] == ("torch", "cpu", "fp32")
    assert select.choose_engine(device="mps")[:3] == ("torch", "mps", "fp32")
    monkeypatch.setattr(select, "_torch_device", lambda: "cuda")
    for able, precision in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation, able=able: able)
        assert select.choose_engine()[:3] == ("torch", "cuda", precision)
    absent(monkeypatch)
    monkeypatch.setattr(select, "_torch_device", lambda: "cpu")
    choice = select.choose_engine()
    assert choice[:3] == ("torch", "cpu", "fp32")
    assert "not installed" in choice.reason
