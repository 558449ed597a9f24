"""``edgetam demo`` and the clip that comes with the package."""

from __future__ import annotations

from edgetam.cli import demo
from edgetam.cli.prompts import read_prompt_file
from edgetam.io import open_frames
from tests.cli.conftest import refused, tree


def test_the_bundled_clip(run, engine, tmp_path):
    result = run("demo")
    assert result.exit_code == 0, result.output
    assert len(tree(tmp_path / "out/demo/masks")) == 102
    for text in ("Blender Foundation", "CC BY 3.0", "out/demo/overlay.mp4", "frames per second"):
        assert text in result.stdout
    assert "small budget" in result.stderr


def test_the_clip_is_small_and_described():
    clip, prompts = demo.demo_clip()
    assert clip.stat().st_size < 1_000_000
    assert "Creative Commons Attribution 3.0" in (clip.parent / "README.md").read_text()
    with open_frames(clip) as frames:
        assert (frames.width, frames.height, len(frames), frames.fps) == (640, 360, 102, 25)
    (item,) = read_prompt_file(prompts)
    assert item.frame == 0
    assert item.prompt.points == [[280, 215], [80, 240]] and item.prompt.labels == [1, 0]


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


def test_only_a_demo_is_replaced(run, engine, video, tmp_path):
    assert run("track", video, "--point", "20,20", "-o", "mine", "--save", "objects,coco").exit_code == 0
    before = tree(tmp_path / "mine")
    refused(run("demo", "--video", video, "-o", "mine"), 4, "mine", "--overwrite")
    assert tree(tmp_path / "mine") == before
    assert run("demo", "--video", video, "-o", "mine", "--overwrite").exit_code == 0
    assert run("demo", "--video", video, "-o", "mine", "--point", "9,9").exit_code == 0
