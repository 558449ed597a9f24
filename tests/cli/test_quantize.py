"""``edgetam quantize`` on a small network: what it prints, keeps and writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("openvino")
pytest.importorskip("nncf", reason="NNCF is not installed: pip install 'edgetam[quantize]'")

from edgetam.cli.errors import StoppedError
from edgetam.cli.main import app
from edgetam.engine import load_model
from edgetam.engine.openvino import capabilities
from edgetam.quantize.calibrate import FRAMES
from edgetam.weights import save_native
from tests.cli.conftest import refused, tree
from tests.eval.scenes import make_dataset, save_ids
from tests.model.lively import OWN, lively

OPENVINO = ("--engine", "openvino", "--threads", 1)


class Calibrated(NamedTuple):
    """Weights, and what the command with no more than them gave."""

    weights: Path
    report: Path
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Calibrated:
    folder = tmp_path_factory.mktemp("quantize")
    weights = save_native(folder / "mine.safetensors", lively(OWN))
    command = ["quantize", "--weights", str(weights), "--threads", "1", "-o", str(folder / "new" / "r.json")]
    done = CliRunner().invoke(app, command, prog_name="edgetam")
    assert done.exit_code == 0, (done.output, done.exception)
    return Calibrated(weights, folder / "new" / "r.json", done.stdout, done.stderr)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "set", frames=4)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_defaults_quantise_attention_on_the_bundled_clip(calibrated: Calibrated) -> None:
    precisions = ["fp32", "bf16", "int8"] if "BF16" in capabilities() else ["fp32", "int8"]
    report = read(calibrated.report)
    assert list(report["cases"]) == precisions
    assert (report["image_size"], report["frames"], report["calibrated"]) == (256, 23, FRAMES)
    exact, mixed = report["cases"]["fp32"], report["cases"]["int8"]
    assert exact["mean_iou"] == exact["least_iou"] == 1
    assert 0 < mixed["mean_iou"] < 1, "int8 was measured, and not fp32 again"
    assert mixed["megabytes"]["attend"] < exact["megabytes"]["attend"]
    assert mixed["megabytes"]["encode"] == exact["megabytes"]["encode"]
    assert exact["jf"] is None

    assert f"Tracking {FRAMES} frames of" in calibrated.stderr
    assert "Quantising 'attend' with" in calibrated.stderr
    lines = calibrated.stdout.splitlines()
    assert lines[0] == "256 pixels, 23 tracked frames; int8: attend"
    assert lines[1] == f"(int8 was calibrated on the first {FRAMES} frames of each clip)"
    assert [line.split()[0] for line in lines[2:]] == ["ms", *precisions, "MB", *precisions]
    row = next(line for line in lines if line.startswith("int8")).split()
    assert row[-3:] == [f"{mixed['mean_iou']:.4f}", f"{mixed['least_iou']:.4f}", "-"]


def test_what_was_calibrated_is_what_int8_runs(calibrated: Calibrated) -> None:
    engine = load_model(weights=calibrated.weights, engine="openvino", precision="int8", threads=1)
    assert "FakeQuantize" in (engine.runner.folder_of("attend") / "model.xml").read_text()
    assert "FakeQuantize" not in (engine.runner.folder_of("encode") / "model.xml").read_text()


def test_a_data_set_is_scored_as_eval_scores_it(run, calibrated: Calibrated, data: Path, tmp_path: Path):
    frames = data / "JPEGImages" / "a"
    words = ("quantize", "--weights", calibrated.weights, "--threads", 1, "--frames", frames, "--root", data)
    done = run(*words, "--parts", "remember,remember", "-o", "r.json", "--quiet")
    assert done.exit_code == 0, (done.output, done.exception)
    assert done.output == ""
    report = read(tmp_path / "r.json")
    assert (report["frames"], report["calibrated"]) == (2 * 3, 0)
    exact, mixed = report["cases"]["fp32"], report["cases"]["int8"]
    assert mixed["megabytes"]["remember"] < exact["megabytes"]["remember"]
    assert mixed["megabytes"]["attend"] == exact["megabytes"]["attend"]
    assert mixed["jf"] is not None

    words = ("eval", "vos", "--dataset", "generic", "--root", data, "--weights", calibrated.weights)
    done = run(*words, "--postprocess", *OPENVINO, "--precision", "fp32", "-o", "res")  # as people track
    assert done.exit_code == 0, (done.output, done.exception)
    expected = read(tmp_path / "res/scores.json")["summary"]["J&F"]
    assert exact["jf"] == pytest.approx(100 * expected, abs=0.006)
    assert expected > 0


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--root", "nowhere"], 2, ["no folder 'nowhere'", "expected a data set of yours"]),
        (["--root", "odd"], 2, ["'odd' holds no frames", "expected JPEGImages/", "found notes.txt, stuff/"]),
        (["--root", "odd/notes.txt"], 2, ["no folder 'odd/notes.txt'"]),
        (["--parts", "attend,answer"], 2, ["unknown answer", "expected some of encode,attend"]),
        (["--parts", ","], 2, ["are none"]),
        (["--frames", "nowhere.mp4"], 2, ["no file or folder 'nowhere.mp4'"]),
        (["--frames", "odd"], 2, ["'odd' holds no images"]),
        (["--frames", "odd/notes.txt"], 2, ["Cannot open 'odd/notes.txt' as a video"]),
        (["--weights", "nowhere.pt"], 3, ["nowhere.pt is neither a file nor one of"]),
        (["--imgsz", "300"], 2, ["image_size is 300"]),
        (["-o", "odd"], 4, ["'odd'", "a folder of that name is in the way"]),
        (["-o", "odd/notes.txt"], 4, ["'odd/notes.txt' exists; pass --overwrite"]),
        (["-o", "odd/notes.txt", "--overwrite", "--root", "nowhere"], 2, ["no folder 'nowhere'"]),
    ],
)
def test_mistakes_are_told_before_anything_is_computed(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], code: int, words: list[str]
) -> None:
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "odd" / "stuff").mkdir(parents=True)
    (tmp_path / "odd" / "notes.txt").write_text("mine")
    before = tree(tmp_path)
    refused(run("quantize", *options), code, *words)
    assert tree(tmp_path) == before
    assert (tmp_path / "odd" / "notes.txt").read_text() == "mine"


@pytest.fixture
def calibrating(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing long begins; what would begin is said."""

    def stop(*arguments: object, **options: object) -> None:
        raise StoppedError("calibrating")

    monkeypatch.setattr("edgetam.quantize.quantize", stop)


def break_mask(data: Path) -> None:
    (data / "Annotations" / "b" / "00002.png").write_bytes(b"not a picture")


def shrink_mask(data: Path) -> None:
    save_ids(data / "Annotations" / "b" / "00002.png", {1: np.ones((9, 9), bool)}, (9, 9))


def cut_frame(data: Path) -> None:
    (data / "JPEGImages" / "b" / "00003.jpg").write_bytes(b"not a picture")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (break_mask, ["Sequence 'b', frame 00002", "00002.png' cannot be read"]),
        (shrink_mask, ["Sequence 'b', frame 00002", "the mask is 9x9 and the frames are 32x24"]),
        (cut_frame, ["Frame 3 of 'b' cannot be read"]),
    ],
)
@pytest.mark.usefixtures("calibrating")
def test_a_data_set_is_read_before_anything_long(run, data: Path, spoil, words: list[str]) -> None:
    spoil(data)
    refused(run("quantize", "--root", data), 2, *words)


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({"a": 4, "b": 4}, None),
        ({"a": 4, "b": 1}, "1 of 2 sequences in '{}', such as 'b', have no mask between the prompts and"),
        ({"a": 2, "b": 1}, "2 of 2 sequences in '{}', such as 'a', have no mask between the prompts and"),
    ],
)
@pytest.mark.usefixtures("calibrating")
def test_sequences_that_cannot_be_scored_are_told_first(run, data: Path, kept: dict[str, int], said) -> None:
    for name, count in kept.items():
        for mask in sorted((data / "Annotations" / name).iterdir())[count:]:
            mask.unlink()
    done = run("quantize", "--root", data)
    assert isinstance(done.exception, SystemExit | StoppedError)
    if said is None:
        assert "no J&F" not in done.stderr
    else:
        assert said.format(data) in done.stderr


@pytest.fixture
def picture(tmp_path: Path) -> str:
    cv2.imwrite(str(tmp_path / "picture.png"), np.full((48, 64, 3), 90, np.uint8))
    return "picture.png"


def test_int8_needs_a_calibration_at_that_size(run, calibrated: Calibrated, picture: str) -> None:
    words = ("segment", picture, "--point", "9,9", "--weights", calibrated.weights, *OPENVINO)
    done = run(*words, "--precision", "int8", "-o", "out")
    assert done.exit_code == 0, (done.output, done.exception)
    done = run(*words, "--precision", "int8", "--imgsz", 512, "-o", "other")
    refused(done, 3, "--precision int8 needs a calibration", "run 'edgetam quantize' with the same")


@pytest.mark.parametrize("engine", ["torch", "compiled", "onnx"])
def test_engines_without_int8_name_the_one_that_has_it(run, picture: str, engine: str) -> None:
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
    done = run("segment", picture, "--point", "9,9", "--engine", engine, "--precision", "int8", "-o", "out")
    refused(done, 3, "int8", "--engine openvino")
