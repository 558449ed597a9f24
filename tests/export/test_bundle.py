"""A bundle tracks as PyTorch does, says what is in it, and is refused when it is not whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetam import ImageSegmenter, Prompt, TrackerOptions, VideoTracker, load_bundle, load_model
from edgetam.cli.options import ModelChoice
from edgetam.config import get_config
from edgetam.engine import bundle
from edgetam.engine.bundle import BundleEngine
from edgetam.engine.graphs import make_graph
from edgetam.engine.manifest import MANIFEST, read_manifest
from edgetam.engine.torch import TorchEngine
from edgetam.errors import BundleError, ConfigError, EngineError, OutputError, PromptError, WeightsError
from edgetam.export import BundleSpec, export_bundle
from edgetam.export.parity import compare, drawn_clip, rehearse
from edgetam.hashing import sha256_of
from edgetam.model import EdgeTAM, build_model
from tests.export.conftest import OBJECTS
from tests.export.damage import edited, list_again, manifest_with, rewrite
from tests.model.lively import OWN, lively

ROOT = Path(__file__).parent.parent.parent
CLIP = drawn_clip()


@pytest.fixture(scope="module")
def loaded(exported: Path) -> BundleEngine:
    return load_bundle(exported, threads=1)


def test_it_tracks_two_objects_with_a_correction_as_pytorch_does(
    loaded: BundleEngine, engine: TorchEngine
) -> None:
    agreements = compare(rehearse(loaded, loaded.limits), rehearse(engine, loaded.limits))
    assert len(agreements) == 13  # 1 + 3 x 2, the correction's 2, 2 x 2
    assert max(each.logits for each in agreements) < 1e-4
    assert min(each.iou for each in agreements) > 0.999


def test_it_is_rehearsed_within_its_limits(loaded: BundleEngine, engine: TorchEngine) -> None:
    """A bundle that reads one prompted frame is corrected on another one all the same."""
    one = replace(loaded.limits, prompted=1)
    narrow = BundleEngine(loaded.config, loaded.constants, loaded.runner, one)
    agreements = compare(rehearse(narrow, one), rehearse(engine, one))
    assert len(agreements) == 13
    assert min(each.iou for each in agreements) > 0.999


def test_the_comparison_notices_a_difference(loaded: BundleEngine) -> None:
    got = rehearse(loaded, replace(loaded.limits, objects=1))
    with VideoTracker(loaded).open(CLIP) as session:
        session.prompt(0, 1, box=[190, 120, 270, 200])
        other = list(session.propagate(frames=1))
    assert compare(got[:1], other)[0].logits > 0.01


def test_images_as_pytorch_does(loaded: BundleEngine, engine: TorchEngine) -> None:
    prompts = [Prompt(points=[[80, 90]]), Prompt(points=[[230, 160]]), Prompt(points=[[9, 9]])]
    answers = []
    for each in (loaded, engine):
        segmenter = ImageSegmenter(each)
        segmenter.set_image(CLIP[0])
        answers.append([*segmenter.predict_batch(prompts), segmenter.predict(box=[40, 40, 120, 130])])
    for got, expected in zip(*answers, strict=True):
        assert np.abs(got.logits - expected.logits).max() < 1e-4
        assert got.scores == pytest.approx(expected.scores, abs=1e-4)


def test_objects_that_exclude_each_other_are_seen_together(loaded: BundleEngine, engine: TorchEngine) -> None:
    results = []
    for each in (loaded, engine):
        options = TrackerOptions(store="fp32", exclusive_memory=True)
        with VideoTracker(each, options).open(CLIP[:3]) as session:
            session.prompt(0, 1, points=[[80, 90]])
            session.prompt(0, 2, points=[[160, 50], [9, 9]], labels=[1, 0])
            results.append(list(session.propagate()))
    assert max(each.logits for each in compare(*results)) < 1e-4


def test_the_report_is_in_the_bundle(exported: Path) -> None:
    report = json.loads((exported / "parity.json").read_text())
    assert report["compared"] is True
    assert len(report["frames"]) == 13
    assert report["largest_logit_difference"] == max(f["logits"] for f in report["frames"]) < 1e-4
    assert report["least_mask_iou"] > 0.999
    assert report["mean_mask_iou"] > 0.999
    names = [program.name for program in read_manifest(exported).programs]
    assert [each["program"] for each in report["programs"]] == names
    assert {"attend-8", "adopt", "remember-exclusive"} <= set(names)  # that a short clip does not reach
    assert max(each["relative"] for each in report["programs"]) < 1e-4


def test_the_manifest_tells_everything(exported: Path) -> None:
    told = read_manifest(exported)
    assert (told.target, told.precision, told.image_size) == ("openvino", "fp32", 256)
    assert told.limits.objects == OBJECTS
    assert told.limits.prompted >= 2
    assert told.licence["code"] == "Apache-2.0"
    assert len(told.preprocessing["mean"]) == 3
    found = {p.relative_to(exported).as_posix() for p in exported.rglob("*") if p.is_file()}
    assert found == {*told.files, MANIFEST}
    for name, contents in told.files.items():
        assert sha256_of(exported / name) == contents.sha256
    for program in told.programs:
        assert all(isinstance(n, int) and n > 0 for s in program.inputs for n in s.shape)


def test_a_network_of_an_own_configuration_comes_back(tmp_path: Path) -> None:
    spec = BundleSpec("openvino", objects=1, prompted=1, points=8)
    _, frames = export_bundle(lively(OWN), spec, tmp_path / "bundle")
    assert load_bundle(tmp_path / "bundle").config == OWN
    assert min(frame.iou for frame in frames) > 0.999


def test_the_format_before_is_read(loaded: BundleEngine, copied: Path) -> None:
    edited(lambda data: (data.pop("network"), data.update(format=2)))(copied)
    assert load_bundle(copied).config == loaded.config


def test_a_bundle_is_found_after_the_process_went_elsewhere(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported.parent)
    segmenter = ImageSegmenter(load_bundle(exported.name, threads=1))
    monkeypatch.chdir("/")
    segmenter.set_image(CLIP[0])


def test_weights_of_another_program_are_told_in_a_sentence(copied: Path) -> None:
    rewrite(copied / "encode" / "model.bin", "<net")
    list_again(copied, "encode/model.bin")
    segmenter = ImageSegmenter(load_bundle(copied))
    with pytest.raises(
        BundleError, match=r"^The program 'encode' .* does not run in openvino \([^\n]+ again"
    ):
        segmenter.set_image(CLIP[0])


@pytest.mark.parametrize("name", ["edgetam", "sam2-t", "sam2.1-t"])
def test_what_bundles_should_take_is_what_graphs_take(name: str) -> None:
    config = get_config(name, 256)
    network = build_model(config)
    for verb, inputs in bundle._inputs(config).items():
        ports = make_graph(verb, network).inputs
        assert [
            (port.name, tuple(None if isinstance(n, str) else n for n in port.shape)) for port in ports
        ] == list(inputs.items())


@pytest.mark.parametrize("threads", [0, -1, 2.0, "2"])
def test_threads_are_counted(threads: Any, exported: Path) -> None:
    with pytest.raises(ConfigError, match=f"threads is {threads!r}; expected a whole number of at least 1"):
        load_bundle(exported, threads=threads)


def test_a_bundle_is_no_checkpoint(exported: Path) -> None:
    with pytest.raises(WeightsError, match=r"is a folder without model\.safetensors.*load_bundle"):
        load_model(weights=exported)


def test_folders_that_are_no_bundles(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BundleError, match="is not a bundle"):
            load_bundle(path)


def test_a_cpu_without_the_precision_computes_in_fp32(
    copied: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    manifest_with(precision="bf16")(copied)
    monkeypatch.setattr("edgetam.engine.openvino.capabilities", lambda: ["FP32"])
    assert load_bundle(copied).precision == "fp32"
    assert "does not compute in bf16" in caplog.text


def test_too_many_objects(loaded: BundleEngine) -> None:
    with VideoTracker(loaded).open(CLIP) as session:
        session.prompt(0, 1, points=[[80, 90]])
        session.prompt(0, 2, points=[[230, 160]])
        with pytest.raises(
            PromptError, match=r"number 3 and the bundle was exported for at most 2.*--objects"
        ):
            session.prompt(0, 3, points=[[160, 50]])
        assert session.objects == [1, 2]
        session.remove_object(1)
        session.prompt(0, 3, points=[[160, 50]])
    stream = VideoTracker(loaded).stream()
    with pytest.raises(PromptError, match="number 3"):
        stream.step(CLIP[0], {i: Prompt(points=[[80, 90]]) for i in (1, 2, 3)})
    assert stream.objects == []
    stream.step(CLIP[0], {i: Prompt(points=[[80, 90]]) for i in (1, 2)})
    assert list(stream.step(CLIP[1], {3: Prompt(points=[[80, 90]])}, remove=[1]).objects) == [2, 3]


def test_too_many_prompted_frames(loaded: BundleEngine) -> None:
    most = loaded.limits.prompted
    frames = np.repeat(CLIP[:1], most + 2, axis=0)
    with VideoTracker(loaded).open(frames) as session:
        for frame in range(most):
            session.prompt(frame, 1, points=[[80, 90]])
        session.prompt(0, 1, points=[[82, 92]])
        with pytest.raises(PromptError, match=rf"number {most + 1} of object 1.*max_prompted={most}"):
            session.prompt(most, 1, points=[[80, 90]])
        assert len(list(session.propagate(start=0))) == most + 2
    with VideoTracker(loaded, TrackerOptions(max_prompted=most)).open(frames) as session:
        for frame in range(most + 1):
            session.prompt(frame, 1, points=[[80, 90]])
        assert len(list(session.propagate(start=most + 1))) == 1


def test_too_many_points(loaded: BundleEngine) -> None:
    segmenter = ImageSegmenter(loaded)
    segmenter.set_image(CLIP[0])
    segmenter.predict(points=[[i, i] for i in range(8)], labels=[1] * 8)
    with pytest.raises(PromptError, match="at most 8 points"):
        segmenter.predict(points=[[i, i] for i in range(9)], labels=[1] * 9)


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        (BundleSpec("tensorrt"), EngineError, "target is 'tensorrt'; expected one of onnx, openvino"),
        (BundleSpec("onnx", "bf16"), EngineError, "a bundle for onnx can be in fp32, fp16"),
        (BundleSpec("openvino", objects=0), ConfigError, "objects is 0"),
        (BundleSpec("openvino", objects=1000), ConfigError, "at most 64"),
        (BundleSpec("openvino", prompted=True), ConfigError, "prompted is True"),
        (BundleSpec("openvino", prompted=10**6), ConfigError, "prompted is 1000000; expected at most 64"),
        (BundleSpec("openvino", points=10**6), ConfigError, "points is 1000000; expected at most 256"),
    ],
)
def test_wrong_wishes_write_nothing(
    spec: BundleSpec, error: type[Exception], words: str, model: EdgeTAM, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        export_bundle(model, spec, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_replaced(model: EdgeTAM, copied: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists; pass --overwrite"):
        export_bundle(model, BundleSpec("openvino"), copied)
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputError, match="exists and is no bundle"):
        export_bundle(model, BundleSpec("openvino"), tmp_path / "mine", overwrite=True)


def test_a_failure_leaves_nothing(model: EdgeTAM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgetam.export import openvino

    def fail(*arguments: Any) -> None:
        raise EngineError("no")

    monkeypatch.setattr(openvino, "convert", fail)
    with pytest.raises(EngineError, match="no"):
        export_bundle(model, BundleSpec("openvino"), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_a_choice_of_weights(exported: Path) -> None:
    assert isinstance(ModelChoice(weights=str(exported)).load(), BundleEngine)
    with pytest.raises(ConfigError, match="is an exported bundle, which settles --imgsz"):
        ModelChoice(weights=str(exported), image_size=512).load()


WITHOUT_TORCH = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import numpy as np
import edgetam

clip = np.load(sys.argv[2])
with edgetam.VideoTracker(edgetam.load_bundle(sys.argv[1], threads=1)).open(clip) as session:
    session.prompt(0, 1, points=[[80, 90]])
    session.prompt(1, 2, box=[188, 115, 272, 200])
    results = list(session.propagate(frames=4))
    results.append(session.prompt(3, 1, points=[[100, 90], [20, 20]], labels=[1, 0]))
    results += session.propagate(start=4)
assert "torch" not in sys.modules
np.savez(sys.argv[3], *[r.objects[i].mask for r in results for i in r.objects])
"""


def test_it_tracks_where_torch_is_not_installed(exported: Path, engine: TorchEngine, tmp_path: Path) -> None:
    check_without_torch(sys.executable, exported, engine, tmp_path)


def check_without_torch(
    python: str, folder: Path, engine: TorchEngine, tmp_path: Path, path: str = str(ROOT / "src")
) -> None:
    """Run the clip in another process and compare its masks with PyTorch's."""
    np.save(tmp_path / "clip.npy", CLIP)
    arguments = [str(folder), str(tmp_path / "clip.npy"), str(tmp_path / "masks.npz")]
    done = subprocess.run(
        [python, "-c", WITHOUT_TORCH, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    masks = np.load(tmp_path / "masks.npz")
    options = TrackerOptions()
    with VideoTracker(engine, options).open(CLIP) as session:
        session.prompt(0, 1, points=[[80, 90]])
        session.prompt(1, 2, box=[188, 115, 272, 200])
        results = list(session.propagate(frames=4))
        results.append(session.prompt(3, 1, points=[[100, 90], [20, 20]], labels=[1, 0]))
        results += session.propagate(start=4)
    expected = [r.objects[i].mask for r in results for i in r.objects]
    assert len(masks.files) == len(expected) == 13
    for name, wanted in zip(masks.files, expected, strict=True):
        assert (masks[name] != wanted).mean() < 1e-3
        assert 0 < wanted.mean() < 1


def test_the_command_line_tracks_with_a_bundle(exported: Path, tmp_path: Path) -> None:
    for number, frame in enumerate(CLIP[:2]):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    blocked = "import sys; sys.modules['torch'] = None; from edgetam.cli.main import main; main()"
    done = subprocess.run(
        [
            *(sys.executable, "-c", blocked, "track", str(tmp_path), "--point", "80,90", "--save", "png"),
            *("--weights", str(exported), "--threads", "1", "-o", str(tmp_path / "out")),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 2
