"""Everything people get wrong: one sentence, an exit code, and nothing half-written."""

from __future__ import annotations

import errno
import json
import os

import cv2
import numpy as np
import pytest
import torch

import edgetam
from edgetam import atomic
from tests.cli.conftest import FRAMES, refused, tree
from tests.io.clips import damage, make_video
from tests.weights.conftest import random_state

POINT = ("--point", "20,20")


def picture(path, height=30, width=40):
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))


def missing(folder):
    return folder / "gone.mp4", "gone.mp4"


def empty(folder):
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4", "empty.mp4"


def no_video(folder):
    (folder / "notes.mp4").write_text("hello " * 99)
    return folder / "notes.mp4", "notes.mp4"


def cut_off(folder):
    path = make_video(folder / "cut.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path, "cut.mp4"


def no_frames(folder):
    path = folder / "none.mp4"
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    return path, "none.mp4"


def sound_only(folder):
    import av

    path = folder / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((2, 2048), np.float32), format="fltp", layout="stereo")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return path, "sound.mp4"


def folder_without_images(folder):
    (folder / "docs").mkdir()
    (folder / "docs/a.txt").write_text("a")
    return folder / "docs", "docs"


def folder_of_mixed_sizes(folder):
    (folder / "mixed").mkdir()
    picture(folder / "mixed/a.png")
    picture(folder / "mixed/b.png", 31)
    return folder / "mixed", "b.png"


def pattern_without_match(folder):
    return "nothing/*.png", "nothing/*.png"


@pytest.mark.parametrize(
    "make",
    [
        missing,
        empty,
        no_video,
        cut_off,
        no_frames,
        sound_only,
        folder_without_images,
        folder_of_mixed_sizes,
        pattern_without_match,
    ],
)
def test_sources(run, engine, tmp_path, make):
    source, named = make(tmp_path)
    before = tree(tmp_path)
    refused(run("track", source, *POINT), 2, named)
    assert tree(tmp_path) == before
    assert not engine.loads


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--point x,y"),
        (("--point", "64.5,20"), "(64.5, 20) is outside the frame of 64 x 48"),
        (("--point", "-1,20"), "outside"),
        (("--point", "nan,20"), "NaN"),
        (("--point", "inf,20"), "infinity"),
        (("--frame", "8", "--point", "1,1"), "frames 0 to 7"),
        (("--start", "8", "--point", "1,1"), "frames 0 to 7"),
        (("--box", "5,5,5,9"), "no area"),
        (("--box", "9,9,5,5"), "corners"),
        (("--box", "5,5,70,9"), "outside"),
        (("--label", "1"), "--point it belongs to"),
        (("--point", "1,1", "--object", "3"), "--object 3"),
        (("--object", "300", "--point", "1,1"), "Object 300"),
        (("--object", "0", "--point", "1,1"), "Object 0"),
        (("--mask", "small.png"), "small.png: mask has shape (30, 40)"),
        (("--mask", "black.png"), "black.png"),
        (("--mask", "gone.png"), "gone.png"),
        (("--mask", "text.png"), "text.png"),
        (("--object", "7", "--mask", "several.png"), "no object 7"),
        (("--mask", "good.png", "--point", "1,1"), "one or the other"),
        (("--prompts", "gone.json"), "gone.json"),
        ((*POINT, "--save", "png,gif"), "gif"),
        ((*POINT, "--save", ""), "png,objects"),
        ((*POINT, "--reverse"), "--frame"),
        ((*POINT, "--reverse", "--both"), "--both"),
        ((*POINT, "--on-bad-frame", "guess"), "stop or skip"),
        ((*POINT, "--memory", "all"), "--memory is 'all'; expected auto, recent or confident"),
        ((*POINT, "--model", "edgetan"), "edgetan"),
        ((*POINT, "--imgsz", "500"), "multiple of 256"),
    ],
)
def test_prompts_and_options(run, engine, video, tmp_path, words, told):
    masks = {
        "small.png": np.full((30, 40), 255, np.uint8),
        "black.png": np.zeros((48, 64), np.uint8),
        "good.png": np.full((48, 64), 255, np.uint8),
    }
    for name, pixels in masks.items():
        cv2.imwrite(str(tmp_path / name), pixels)
    (tmp_path / "text.png").write_text("no picture")
    _palette(tmp_path / "several.png")
    before = tree(tmp_path)
    refused(run("track", video, *words), 2, told)
    assert tree(tmp_path) == before
    assert not engine.loads


def _palette(path):
    from PIL import Image

    labels = np.zeros((48, 64), np.uint8)
    labels[:10], labels[20:] = 1, 2
    image = Image.fromarray(labels)
    image.putpalette([0] * 768)
    image.save(path)


@pytest.mark.parametrize("words", [("--engine", "abacus"), ("--precision", "int1"), ("--device", "abacus")])
def test_engines(run, video, tmp_path, words, weights_file):
    before = tree(tmp_path)
    refused(run("track", video, *POINT, "--weights", weights_file, *words), 3, words[1])
    assert tree(tmp_path) == before


@pytest.mark.parametrize("words", [("--frames", "0"), ("--start", "-1"), ("--threads", "0"), ("--nonsense",)])
def test_what_the_parser_refuses(run, engine, video, tmp_path, words):
    before = tree(tmp_path)
    result = run("track", video, *POINT, *words)
    assert result.exit_code == 2
    assert words[0] in result.stderr
    assert tree(tmp_path) == before


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory):
    """A complete checkpoint with random content, as published."""
    path = tmp_path_factory.mktemp("cli") / "edgetam.pt"
    torch.save({"model": random_state("official_edgetam")}, path)
    return path


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def _truncated(path, state):
    torch.save({"model": state}, path)
    path.write_bytes(path.read_bytes()[:-5000])


def _lacking(path, state):
    state.pop(next(iter(state)))
    torch.save({"model": state}, path)


def _more(path, state):
    torch.save({"model": {**state, "stranger": torch.zeros(1)}}, path)


def _harmful(path, state):
    torch.save({"model": state, "run": Harmful()}, path)


def _other(path, state):
    torch.save({"model": {"fc.weight": torch.zeros(3, 3)}}, path)


@pytest.mark.parametrize("spoil", [_truncated, _lacking, _more, _harmful, _other])
def test_checkpoints(run, video, tmp_path, weights_file, spoil):
    path = tmp_path / "bad.pt"
    spoil(path, dict(torch.load(weights_file, weights_only=True, mmap=True)["model"]))
    before = tree(tmp_path)
    refused(run("track", video, *POINT, "--weights", path), 3, "bad.pt")
    assert tree(tmp_path) == before


def test_a_checkpoint_of_another_model(run, video, tmp_path, weights_file):
    before = tree(tmp_path)
    words = ("--model", "sam2.1-t", "--weights", weights_file)
    refused(run("track", video, *POINT, *words), 3, "edgetam", "sam2.1-t")
    refused(run("track", video, *POINT, "--weights", "gone.pt"), 3, "gone.pt")
    assert tree(tmp_path) == before


def test_a_folder_that_cannot_be_written(run, engine, video, tmp_path):
    (tmp_path / "file").write_text("in the way")
    before = tree(tmp_path)
    refused(run("track", video, *POINT, "-o", "file"), 4, "'file'")
    refused(run("track", video, *POINT, "-o", "file/deep/down"), 4, "file")
    assert tree(tmp_path) == before
    assert not engine.loads


def test_a_folder_of_someone_else(run, engine, video, tmp_path, monkeypatch):
    (tmp_path / "theirs").mkdir()
    # Root may write anywhere, so the system's answer is given here.
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path / "theirs"))
    before = tree(tmp_path)
    refused(run("track", video, *POINT, "-o", "theirs/out"), 4, "theirs")
    assert tree(tmp_path) == before


def test_a_corrupt_frame_in_the_middle(run, engine, video, tmp_path):
    damage(video, 5)
    result = run("track", video, *POINT, "-o", "res", "--save", "png,coco,overlay")
    refused(result, 2, "Frame 5", "--on-bad-frame skip")
    assert "ended early at frame 4; results so far are in res" in result.stderr
    assert "the same command" not in result.stderr  # it would stop there again
    assert {p.name for p in (tmp_path / "res/masks").iterdir()} == {f"{i:05d}.png" for i in range(5)}
    assert len(json.loads((tmp_path / "res/masks.json").read_text())["images"]) == 5


def test_a_video_that_breaks_off(run, engine, tmp_path):
    path = make_video(tmp_path / "cut.mkv", count=FRAMES, options={"g": "2"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.75)])
    result = run("track", path, *POINT, "-o", "res")
    assert result.exit_code in (0, 2), result.output
    assert len(tree(tmp_path / "res/masks")) < FRAMES


def test_a_full_disk(run, engine, video, tmp_path, monkeypatch):
    real, calls = os.fsync, []

    def fsync(handle):
        calls.append(handle)
        if len(calls) > 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(atomic.os, "fsync", fsync)
    result = run("track", video, *POINT, "-o", "res", "--save", "png")
    refused(result, 4, "disk is full")
    kept = {p.name for p in (tmp_path / "res/masks").iterdir()}
    assert kept
    assert kept == {f"{i:05d}.png" for i in range(len(kept))}
    monkeypatch.undo()


def test_something_unexpected(run, engine, video, monkeypatch):
    engine.fail = "attend"
    message = refused(run("track", video, *POINT, "-o", "res"), 1, "attend is broken", "--traceback")
    assert "RuntimeError" in message
    result = run("--traceback", "track", video, *POINT, "-o", "res2")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    monkeypatch.setenv("EDGETAM_DEBUG", "1")
    assert "Traceback" in run("track", video, *POINT, "-o", "res3").stderr


def test_errors_are_not_quiet(run, engine, tmp_path):
    refused(run("track", "gone.mp4", *POINT, "-q"), 2, "gone.mp4")


def test_no_weights_at_all(run, video, tmp_path, monkeypatch):
    monkeypatch.setattr(edgetam.weights.bundled, "__file__", str(tmp_path / "bundled.py"))
    before = tree(tmp_path)
    refused(run("track", video, *POINT), 3, "no default weights", "--weights")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("option", ["--weights", "-o"])
def test_a_name_that_is_too_long(run, engine, video, tmp_path, option):
    result = run("track", video, *POINT, option, "x" * 300)
    assert result.exit_code in (2, 3, 4)
    assert "too long" in result.stderr and "should not have" not in result.stderr
