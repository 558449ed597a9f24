"""``edgetam demo`` and the clip that comes with the package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from edgetam.cli import demo
from edgetam.cli.prompts import read_prompt_file
from edgetam.io import open_frames
from tests.cli.conftest import refused, tree

TOOL = Path(__file__).parents[2] / "tools" / "make_demo_clip.py"


def test_the_bundled_clip(run, engine, tmp_path):
    result = run("demo")
    assert result.exit_code == 0, result.output
    assert len(tree(tmp_path / "out/demo/masks")) == 84
    for text in ("this project drew", "out/demo/overlay.mp4", "frames per second"):
        assert text in result.stdout
    assert "stand-in" in result.stderr


def test_the_clip_is_small_and_described():
    clip, prompts = demo.demo_clip()
    assert clip.stat().st_size < 1_000_000
    assert (clip.parent / "README.md").is_file()
    with open_frames(clip) as frames:
        assert (frames.width, frames.height, len(frames), frames.fps) == (640, 360, 84, 25)
    (item,) = read_prompt_file(prompts)
    assert item.frame == 0


@pytest.mark.skipif(not TOOL.is_file(), reason="installed without the tools")
def test_the_clip_and_the_mask_are_what_the_script_draws(monkeypatch):
    spec = importlib.util.spec_from_file_location("make_demo_clip", TOOL)
    tool = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, tool)
    spec.loader.exec_module(tool)
    image, visible = next(tool.draw())
    clip, prompts = demo.demo_clip()
    (item,) = read_prompt_file(prompts)
    assert np.array_equal(item.prompt.mask, visible)
    assert 0.01 < visible.mean() < 0.1
    with open_frames(clip) as frames:
        shown = frames[0]
    assert np.abs(shown.astype(float) - image).mean() < 4


def test_a_video_of_yours(run, engine, video, tmp_path):
    result = run("demo", "--video", video, "-o", "mine")
    assert result.exit_code == 0, result.output
    assert "the centre, 32,24" in result.stdout
    assert (tmp_path / "mine/overlay.mp4").is_file()
    result = run("demo", "--video", video, "--point", "5,6", "-o", "mine")
    assert result.exit_code == 0, result.output
    assert "centre" not in result.stdout
    assert engine.prompts[-1][0].points is not None


def test_demos_that_cannot_be(run, engine, video, tmp_path):
    before = tree(tmp_path)
    refused(run("demo", "--point", "1,1"), 2, "--video")
    refused(run("demo", "--video", "gone.mp4"), 2, "gone.mp4")
    refused(run("demo", "--video", video, "--point", "99,99"), 2, "outside")
    assert tree(tmp_path) == before
