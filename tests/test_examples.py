"""What the README and the examples show really runs, with the bundled weights."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetam.io.overlay_video import encode_video

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


def example(name: str) -> Callable[..., None]:
    """The ``main`` of a script in examples/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: Callable[..., None] = module.main
    return main


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
