"""What the README and the examples show really runs, with the bundled weights."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from edgetam.cli.eval_trackers import TrackerChoice
from edgetam.cli.options import ModelChoice
from edgetam.errors import WeightsError
from edgetam.eval.datasets import EvalVideo, get_benchmark, open_dataset
from edgetam.eval.protocols.vos import follow
from edgetam.io.overlay_video import encode_video
from edgetam.weights import bundled_path

ROOT = Path(__file__).resolve().parent.parent
SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photo.jpg and video.mp4: a bright disc that moves to the right."""
    folder = tmp_path_factory.mktemp("media")
    y, x = np.mgrid[:360, :640]
    frames = []
    for t in range(3):
        frame = np.full((360, 640, 3), 40, np.uint8)
        frame[(x - 320 - 4 * t) ** 2 + (y - 180) ** 2 < 60**2] = (230, 180, 60)
        frames.append(frame)
    Image.fromarray(frames[0]).save(folder / "photo.jpg")
    encode_video(folder / "video.mp4", [(t / 10, frame) for t, frame in enumerate(frames)], fps=10)
    return folder


def example(name: str, function: str = "main") -> Callable[..., Any]:
    """A function of a script in examples/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., Any] = getattr(module, function)
    return found


def test_the_readme_shows_an_image_and_a_video() -> None:
    assert len(SNIPPETS) == 2
    assert "ImageSegmenter" in SNIPPETS[0] and "VideoTracker" in SNIPPETS[1]


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_readme_snippets_run(number: int, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(media)
    names: dict[str, Any] = {}
    exec(compile(SNIPPETS[number], "README.md", "exec"), names)
    assert names["mask"].shape == (360, 640)
    assert names["mask"].dtype == bool


def test_segment_image(media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("segment_image")(str(media / "photo.jpg"), 320, 180, str(media / "mask.png"))
    assert Image.open(media / "mask.png").size == (640, 360)
    assert "score" in capsys.readouterr().out


def test_track_video(media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("track_video")(str(media / "video.mp4"), 320, 180)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "frame 0",
        "frame 1",
        "frame 2",
    ]


def test_live_stream(media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("live_stream")(str(media / "video.mp4"), 320, 180, frames=2)
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.fixture
def sequence(tmp_path: Path) -> EvalVideo:
    """A texture that moves to the right by two pixels a frame, with a mask that moves along."""
    noise = np.random.default_rng(0).integers(0, 255, (96, 160), np.uint8)
    texture = cv2.GaussianBlur(noise, (0, 0), 2)
    for t in range(4):
        frame = cv2.normalize(texture[:, 16 - 2 * t :][:, :128], None, 0, 255, cv2.NORM_MINMAX)
        mask = np.zeros((96, 128), np.uint8)
        mask[30:60, 40 + 2 * t : 80 + 2 * t] = 1
        for kind, pixels in (("JPEGImages", frame), ("Annotations", mask)):
            (tmp_path / kind / "a").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / kind / "a" / f"{t:05d}.png")
    return open_dataset(get_benchmark("generic"), tmp_path).video("a")


@pytest.mark.parametrize("name", ["measure_your_tracker", "measure_sam2"])
def test_other_trackers_are_followed(
    name: str, sequence: EvalVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = example(name, "make")
    if name == "measure_sam2":
        monkeypatch.setitem(make.__globals__, "CHECKPOINT", str(tmp_path / "none.pt"))
        with pytest.raises(WeightsError, match=r"none\.pt"):
            make()
        monkeypatch.setitem(make.__globals__, "CHECKPOINT", str(bundled_path()))
    results = list(follow(make(), sequence))
    assert [(each.frame, list(each.objects)) for each in results] == [(t, [1]) for t in range(4)]
    assert results[0].objects[1].shape == (96, 128)
    if name == "measure_your_tracker":
        found, truth = results[3].objects[1] > 0, sequence.masks(3)[1]
        assert (found & truth).sum() / (found | truth).sum() > 0.95


@pytest.mark.parametrize("name", ["measure_your_tracker", "measure_sam2"])
def test_the_commands_name_trackers_that_are_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "examples" / f"{name}.py").read_text()
    trackers = set(re.findall(r"--tracker (\S+:\w+)", text))
    assert trackers == {f"examples.{name}:make"}
    TrackerChoice(trackers.pop(), ModelChoice()).check()
