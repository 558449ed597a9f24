"""What is not whole is refused before a runtime sees it, whatever the target.

On bundles whose programs are noise, so that no target's libraries are needed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgetam import ImageSegmenter, load_bundle
from edgetam.engine import bundle
from edgetam.engine.bundle import RUNTIMES
from edgetam.engine.fixed_graph import FixedGraph
from edgetam.engine.manifest import FORMAT, OPENED
from edgetam.errors import BundleError, EngineError
from edgetam.export import TARGETS, BundleSpec, export_bundle
from edgetam.export.parity import drawn_clip
from edgetam.export.targets import Target
from edgetam.model import EdgeTAM
from tests.export.damage import (
    constants_with,
    edited,
    first_program,
    manifest_with,
    no_manifest,
    torn_manifest,
)

NOISE = bytes(range(256)) * 8
FILES = [(target, file) for target in RUNTIMES for file in OPENED[target]]


class NoiseTarget(Target):
    """Writes the files of a target without its libraries."""

    def converter(self) -> Callable[[FixedGraph, Path, str], None]:
        def convert(graph: FixedGraph, folder: Path, precision: str) -> None:
            for file in OPENED[self.name]:
                (folder / file).write_bytes(NOISE)

        return convert


@pytest.fixture(scope="module")
def noise(model: EdgeTAM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle for each target."""
    folder = tmp_path_factory.mktemp("noise")
    with pytest.MonkeyPatch.context() as patch:
        for name in RUNTIMES:
            patch.setitem(TARGETS, name, NoiseTarget(name, ("fp32",), (), "", runs_here=False))
            export_bundle(model, BundleSpec(name, objects=2, prompted=2, points=8), folder / name)
    return folder


@pytest.fixture(params=list(RUNTIMES))
def target(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def copied(noise: Path, target: str, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(noise / target, tmp_path / "copied", copy_function=os.link))


@pytest.fixture
def no_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "missing", list)


def test_a_runtime_that_is_missing_is_named(copied: Path, target: str, no_runtime: None) -> None:
    """Which also shows that the bundles of these tests are whole until they are damaged."""
    words = rf"for {target} and \w+ is not installed; run: pip install 'edgetam\[{target}\]'"
    with pytest.raises(EngineError, match=words):
        load_bundle(copied)


def unlisted(folder: Path, file: str) -> None:
    edited(lambda data: data["files"].pop(f"encode/{file}"))(folder)


def lost(folder: Path, file: str) -> None:
    (folder / "encode" / file).unlink()


def cut_off(folder: Path, file: str) -> None:
    replaced(folder / "encode" / file, NOISE[:1000])


def altered(folder: Path, file: str) -> None:
    replaced(folder / "encode" / file, NOISE[:1000] + b"?" + NOISE[1001:])


def replaced(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize(("target", "file"), FILES)
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (unlisted, "does not list 'encode/{}'"),
        (lost, "lacks 'encode/{}'; copy or export it again"),
        (cut_off, "'encode/{}' .* has 1000 bytes, expected 2048"),
        (altered, "'encode/{}' .* was altered: its SHA-256"),
    ],
)
def test_files_of_programs_are_whole(
    damage: Callable[[Path, str], None], words: str, copied: Path, file: str, no_runtime: None
) -> None:
    damage(copied, file)
    with pytest.raises(BundleError, match=words.format(file)):
        load_bundle(copied)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_manifest, r"is not a bundle: it has no manifest\.json"),
        (torn_manifest, r"manifest\.json' cannot be read"),
        (
            manifest_with(format=FORMAT + 1),
            rf"has format {FORMAT + 1} and this version.*pip install -U edgetam",
        ),
        (manifest_with(format=1), "has format 1, of an earlier edgetam.*edgetam export"),
        (manifest_with(format="new"), "says nothing about its format"),
        (manifest_with(limits={"objects": 2}), "is damaged"),
        (manifest_with(programs=[]), "has no program for adopt"),
        (manifest_with(surprise=1), "is damaged"),
        (
            edited(lambda d: d["files"].update({"../x": {"sha256": "0", "size": 1}})),
            r"'\.\./x', which is outside",
        ),
        (manifest_with(files=[]), "is damaged"),
        (manifest_with(files={}), r"does not list 'constants\.json'"),
        (first_program(name="../t1/encode"), r"damaged.*'\.\./t1/encode' is no name of a program"),
        (first_program(name="track"), "damaged.*two programs have the same name"),
        (first_program(verb=["encode"]), "damaged.*should be a text"),
        (first_program(inputs=[]), "its program 'encode' has inputs of another model or size"),
        (manifest_with(image_size=512), "edgetam at 512 pixels, and its program 'encode' has inputs of"),
        (manifest_with(image_size=300), r"is of no known model \(image_size is 300"),
        (manifest_with(model="sam9", network=None), r"is of no known model \(Unknown model 'sam9'"),
        (manifest_with(network=["edgetam"]), r"is damaged.*network is \['edgetam'\]"),
        (manifest_with(network={"colour": 1}), r"has 'colour', which this version.*pip install -U edgetam"),
        (manifest_with(network={}), r"is of no known model \(The configuration cannot be read"),
        (
            manifest_with(model="sam2.1-t", network=None),
            "is sam2.1-t.*'attend-7' has inputs of another",
        ),
        (manifest_with(precision="int4"), "precision is 'int4'; expected one of fp32"),
        (manifest_with(model=None), "damaged.*None should be a text"),
        (edited(lambda d: d["limits"].update(objects="9")), r"damaged.*objects is '9'"),
        (edited(lambda d: d["limits"].update(objects=0)), "damaged.*objects is 0"),
        (edited(lambda d: d["limits"].update(objects=3)), "limit of objects is 3.*made for 2"),
        (edited(lambda d: d["limits"].update(memories=12)), "limit of memories is 12.*made for 8"),
        (edited(lambda d: d["limits"].update(pointers=99)), r"limit of pointers is 99.*made for \d+"),
        (edited(lambda d: d["limits"].update(points=9)), "limit of points is 9.*made for 8"),
        (constants_with(no_memory=[0.5]), "'no_memory' should be 256 finite numbers"),
        (constants_with(absent_pointer=[float("nan")] * 256), "'absent_pointer' should be 256 finite"),
    ],
)
def test_what_a_bundle_says_of_itself_is_whole(
    damage: Callable[[Path], None], words: str, copied: Path, no_runtime: None
) -> None:
    damage(copied)
    with pytest.raises(BundleError, match=words):
        load_bundle(copied)


def test_a_bundle_that_is_replaced_is_not_mixed_with_the_one_before(copied: Path, target: str) -> None:
    pytest.importorskip(RUNTIMES[target])
    segmenter = ImageSegmenter(load_bundle(copied, threads=1))
    altered(copied, OPENED[target][-1])
    with pytest.raises(BundleError, match=r"has changed since .* 'encode' cannot be opened; load it again"):
        segmenter.set_image(drawn_clip()[0])


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_program_that_does_not_run_is_told_in_a_sentence(copied: Path, target: str) -> None:
    pytest.importorskip(RUNTIMES[target])
    segmenter = ImageSegmenter(load_bundle(copied, threads=1))
    words = rf"^The program 'encode' .* does not run in {target} \([^\n]+ again"
    with pytest.raises(BundleError, match=words):
        segmenter.set_image(drawn_clip()[0])


@pytest.mark.parametrize("target", ["executorch"])
def test_executorch_needs_torch_too(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "missing", lambda modules: [m for m in modules if m == "torch"])
    with pytest.raises(
        EngineError, match="for executorch and torch is not installed; run: pip install torch"
    ):
        load_bundle(copied)


@pytest.mark.parametrize("target", ["onnx"])
def test_a_target_that_runs_elsewhere(copied: Path) -> None:
    manifest_with(target="coreml")(copied)
    with pytest.raises(EngineError, match="coreml, which has no runtime here"):
        load_bundle(copied)
