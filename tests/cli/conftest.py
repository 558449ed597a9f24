"""The command line on small clips, with an engine of a few lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import edgetam
from edgetam.cli.main import app
from tests.io.clips import make_video
from tests.tracking.fake_engine import FakeEngine

FRAMES, WIDTH, HEIGHT = 8, 64, 48

Run = Callable[..., object]


def tree(folder: Path) -> set[str]:
    """Every file and folder below, hidden ones as well."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def refused(result, code: int, *words: str) -> str:
    """Check that a command failed with one sentence on stderr that holds the words; returns it."""
    assert result.exit_code == code, (result.output, result.exception)
    lines = [line for line in result.stderr.splitlines() if line.startswith("edgetam: error: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    for word in words:
        assert word in lines[0], lines[0]
    return lines[0]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run ``edgetam ...`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("EDGETAM_DEBUG", raising=False)

    def run(*arguments: object) -> object:
        return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="edgetam")

    return run


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """What `load_model` hands out; ``loads`` collects how it was asked."""
    fake = FakeEngine()
    fake.loads = []

    def load(*arguments, **options) -> FakeEngine:
        fake.loads.append((arguments, options))
        return fake

    monkeypatch.setattr(edgetam, "load_model", load)
    return fake


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4", count=FRAMES, size=(HEIGHT, WIDTH))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
    return path
