"""``edgetam export`` on the command line."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from edgetam.cli.main import app
from edgetam.export.parity import drawn_clip
from edgetam.weights import save_native
from tests.cli.conftest import refused
from tests.model.lively import OWN, lively

RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--target", "tensorrt"], 3, "expected one of onnx, openvino, coreml, executorch"),
        (["--target", "onnx", "--precision", "bf16"], 3, "a bundle for onnx can be in fp32, fp16"),
        (["--target", "openvino", "--imgsz", "300"], 2, "image_size is 300"),
        (["--target", "openvino", "--objects", "65"], 2, "objects is 65; expected at most 64"),
        (["--target", "openvino", "--weights", "nowhere.pt"], 3, "nowhere.pt is neither a file"),
    ],
)
def test_mistakes_are_told_in_one_sentence(options: list[str], code: int, words: str, tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["export", *options, "-o", str(tmp_path / "bundle")])
    assert done.exit_code == code
    assert words in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "manifest",
    [None, '{"name": "app", "icons": []}', '{"format": 3}', '{"format": "3", "programs": []}', "[3", "[]"],
)
def test_a_folder_in_the_way_is_left_alone(manifest: str | None, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    command = ["export", "--target", "openvino", "--weights", "nowhere.pt", "--overwrite"]
    done = RUNNER.invoke(app, [*command, "-o", str(tmp_path)])
    assert done.exit_code == 4
    assert "exists and is no bundle" in done.output
    assert (tmp_path / "mine.txt").read_text() == "precious"


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/small/torchinductor_me")
NOWHERE = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/small', '/tmp']")


@pytest.mark.parametrize(
    ("disk", "words"),
    [
        (FULL, ["PyTorch cannot write to '/small/torchinductor_me' (No space left on device)", "TMPDIR"]),
        (NOWHERE, ["cannot write to any temporary folder (No usable temporary directory found in ['/small'"]),
    ],
)
def test_a_full_temporary_folder_is_named(
    disk: OSError, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library)

    def export(*arguments: Any, **options: Any) -> None:
        """As PyTorch fails: it imports a module again that could not make its folder."""
        try:
            try:
                raise disk
            finally:
                raise AssertionError("already registered")
        except AssertionError as error:
            raise RuntimeError("Failed to export the model") from error

    monkeypatch.setattr(torch.onnx, "export", export)
    weights = save_native(tmp_path / "own.safetensors", lively(OWN))
    command = ["export", "--target", "onnx", "--weights", str(weights), "-o", str(tmp_path / "bundle")]
    refused(RUNNER.invoke(app, command), 4, *words)
    assert list(tmp_path.iterdir()) == [weights]


@pytest.mark.slow
def test_exporting_the_bundled_weights_and_using_them(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    bundle = tmp_path / "bundle"
    command = ["export", "--target", "openvino", "--objects", "1", "-o", str(bundle)]
    done = RUNNER.invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "mask IoU" in done.output
    assert "limits: 1 objects" in done.output
    again = RUNNER.invoke(app, command)
    assert (again.exit_code, "pass --overwrite" in again.output) == (4, True)
    Image.fromarray(drawn_clip()[0]).save(tmp_path / "picture.png")
    picture, out = str(tmp_path / "picture.png"), str(tmp_path / "out")
    use = ["segment", picture, "--point", "80,90", "--weights", str(bundle), "-o", out]
    done = RUNNER.invoke(app, use)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out").is_dir()
