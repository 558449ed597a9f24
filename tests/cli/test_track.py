"""``edgetam track`` from the first word to the last file."""

from __future__ import annotations

import json
import os

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from edgetam.cli import options
from edgetam.engine.manifest import Limits
from edgetam.io import read_mask
from edgetam.locks import LOCK, sole_writer
from tests.cli.conftest import FRAMES, HEIGHT, WIDTH, refused, tree
from tests.io.clips import damage


def frames_in(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_masks_and_a_playable_overlay(run, engine, video, tmp_path):
    result = run("track", video, "--point", "20,20", "-o", "res")
    assert result.exit_code == 0, result.output
    assert {p.name for p in (tmp_path / "res/masks").iterdir()} == {f"{i:05d}.png" for i in range(FRAMES)}
    assert frames_in(tmp_path / "res/overlay.mp4") == FRAMES
    assert read_mask(tmp_path / "res/masks/00003.png").keys() == {1}
    for text in ("res/masks", "res/overlay.mp4", f"{FRAMES} frames in", "frames per second"):
        assert text in result.stdout
    assert "stand-in" in result.stderr
    assert "edgetam weights download edgetam" in result.stderr


def test_the_folder_is_named_after_the_video(run, engine, video, tmp_path):
    assert run("track", video, "--point", "20,20", "-q").exit_code == 0
    assert (tmp_path / "out/clip/overlay.mp4").is_file()


def test_quiet_says_nothing(run, engine, video):
    result = run("track", video, "--point", "20,20", "-o", "res", "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_options_reach_the_model(run, engine, video):
    options = ("--weights", "w.pt", "--model", "sam2.1-t", "--device", "cpu", "--precision", "fp32")
    result = run("track", video, "--point", "9,9", "-o", "res", "--imgsz", 512, "--engine", "torch", *options)
    assert result.exit_code == 0, result.output
    ((arguments, given),) = engine.loads
    assert arguments == ("sam2.1-t", "w.pt")
    assert given == {
        "engine": "torch",
        "device": "cpu",
        "precision": "fp32",
        "image_size": 512,
        "partial": None,
        "threads": None,
    }
    assert "stand-in" not in result.output


def test_published_weights_bring_their_model(run, engine, video):
    assert run("track", video, "--point", "9,9", "-o", "res", "--weights", "sam2.1-s").exit_code == 0
    assert engine.loads[0][0] == ("sam2.1-s", "sam2.1-s")


def test_several_objects_on_several_frames(run, engine, video, tmp_path):
    words = (
        "--point",
        "20,20",
        "--point",
        "5,5",
        "--label",
        "0",
        "--object",
        2,
        "--frame",
        3,
        "--box",
        "9,9,30,30",
    )
    result = run("track", video, *words, "-o", "res", "--save", "coco,objects,npz,cutout")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "res/masks.json").read_text())
    present = {entry["frame"]: set(entry["presence"]) for entry in content["images"]}
    assert present == {f: {"1"} if f < 3 else {"1", "2"} for f in range(FRAMES)}
    for place in ("objects/002/00007.png", "npz/00000.npz", "cutout/00005.png"):
        assert (tmp_path / "res" / place).is_file()
    assert engine.prompts[0][0].labels.tolist() == [[1, 0]]


def test_prompts_from_a_file(run, engine, video, tmp_path):
    (tmp_path / "p.json").write_text('{"prompts": [{"frame": 2, "object": 4, "points": [[9, 9]]}]}')
    result = run("track", video, "--prompts", "p.json", "-o", "res", "--save", "coco")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "res/masks.json").read_text())
    assert {entry["frame"]: list(entry["presence"]) for entry in content["images"]} == {
        f: ["4"] for f in range(2, FRAMES)
    }


def test_a_palette_mask_gives_every_object(run, engine, video, tmp_path):
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:10], labels[20:30] = 2, 5
    image = Image.fromarray(labels)
    image.putpalette([0, 0, 0, 9, 9, 9] * 128)
    image.save(tmp_path / "m.png")
    assert run("track", video, "--mask", "m.png", "-o", "res", "--save", "objects", "-q").exit_code == 0
    assert {p.name for p in (tmp_path / "res/objects").iterdir()} == {"002", "005"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--frames", 3), [0, 1, 2]),
        (("--start", 5), [5, 6, 7]),
        (("--start", 2, "--frames", 2), [2, 3]),
        (("--reverse",), [0, 1, 2, 3, 4]),
        (("--reverse", "--frames", 2), [3, 4]),
        (("--both",), list(range(FRAMES))),
    ],
)
def test_which_frames(run, engine, video, tmp_path, options, expected):
    frame = (
        ()
        if "--start" in options
        else ("--frame", 4 if "--frames" not in options or "--reverse" in options else 0)
    )
    result = run("track", video, *frame, "--point", "9,9", "-o", "res", *options)
    assert result.exit_code == 0, result.output
    assert sorted(int(p.stem) for p in (tmp_path / "res/masks").iterdir()) == expected
    assert frames_in(tmp_path / "res/overlay.mp4") == len(expected)
    assert f"{len(expected)} frames in" in result.stdout


def test_both_directions_keep_what_the_first_found(run, engine, video, tmp_path):
    words = ("--frame", 1, "--point", "9,9", "--object", 2, "--frame", 5, "--point", "30,30")
    assert run("track", video, *words, "--both", "-o", "res", "--save", "coco").exit_code == 0
    content = json.loads((tmp_path / "res/masks.json").read_text())
    assert {entry["frame"]: set(entry["presence"]) for entry in content["images"]} == {
        f: {"1", "2"} for f in range(FRAMES)
    }


def test_images_keep_their_names(run, engine, tmp_path):
    (tmp_path / "shots").mkdir()
    for name in ("a2.png", "a10.png", "b.png"):
        cv2.imwrite(str(tmp_path / "shots" / name), np.zeros((30, 40, 3), np.uint8))
    assert run("track", "shots", "--point", "9,9", "-o", "res", "-q").exit_code == 0
    assert {p.name for p in (tmp_path / "res/masks").iterdir()} == {"a2.png", "a10.png", "b.png"}
    assert run("track", "shots/a*.png", "--point", "9,9", "-o", "res2", "-q").exit_code == 0
    assert len(tree(tmp_path / "res2/masks")) == 2


def test_images_of_one_name_are_numbered(run, engine, tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        cv2.imwrite(str(tmp_path / place / "0.png"), np.zeros((30, 40, 3), np.uint8))
    assert run("track", "?/*.png", "--point", "9,9", "-o", "res", "-q").exit_code == 0
    assert {p.name for p in (tmp_path / "res/masks").iterdir()} == {"00000.png", "00001.png"}


def test_the_same_run_again_does_nothing(run, engine, video, tmp_path):
    words = ("track", video, "--point", "20,20", "-o", "res")
    assert run(*words).exit_code == 0
    stamp = (tmp_path / "res/masks/00000.png").stat().st_mtime_ns
    encoded = engine.encoded
    result = run(*words)
    assert result.exit_code == 0
    assert "already" in result.stdout
    assert engine.encoded == encoded
    assert (tmp_path / "res/masks/00000.png").stat().st_mtime_ns == stamp


def test_the_same_run_again_restores_what_is_missing(run, engine, video, tmp_path):
    words = ("track", video, "--point", "20,20", "-o", "res")
    assert run(*words).exit_code == 0
    whole = {p.name: p.read_bytes() for p in (tmp_path / "res/masks").iterdir()}
    stamp = (tmp_path / "res/masks/00000.png").stat().st_mtime_ns
    (tmp_path / "res/masks/00004.png").unlink()
    assert run(*words).exit_code == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "res/masks").iterdir()} == whole
    assert (tmp_path / "res/masks/00000.png").stat().st_mtime_ns == stamp
    assert frames_in(tmp_path / "res/overlay.mp4") == FRAMES


def test_results_of_another_run_are_kept_unless_told(run, engine, video, tmp_path):
    assert run("track", video, "--point", "20,20", "-o", "res").exit_code == 0
    before = tree(tmp_path)
    refused(run("track", video, "--point", "21,20", "-o", "res"), 4, "res", "other prompts", "--overwrite")
    refused(run("track", video, "--point", "20,20", "--start", 1, "-o", "res"), 4, "prompts, frames")
    assert tree(tmp_path) == before
    assert run("track", video, "--point", "21,20", "--frames", 2, "-o", "res", "--overwrite").exit_code == 0
    assert {p.name for p in (tmp_path / "res/masks").iterdir()} == {"00000.png", "00001.png"}


def test_two_runs_do_not_write_to_one_folder(run, engine, video, tmp_path):
    words = ("track", video, "--point", "20,20", "-o", "res")
    with sole_writer(tmp_path / "res"):
        refused(run(*words), 4, "Another run is writing to 'res'", "-o")
        assert tree(tmp_path / "res") == {LOCK}
    assert run(*words).exit_code == 0


def test_kinds_of_one_run_stand_side_by_side_and_are_replaced_together(run, engine, video, tmp_path):
    words = ("track", video, "-o", "res", "--save")
    for kind in ("png", "coco"):
        assert run(*words, kind, "--point", "20,20").exit_code == 0
    assert {"masks", "masks.json"} <= tree(tmp_path / "res")
    assert run(*words, "npz", "--point", "21,20", "--frames", 2, "--overwrite").exit_code == 0
    assert tree(tmp_path / "res/masks") == set()
    assert not (tmp_path / "res/masks.json").exists()
    assert tree(tmp_path / "res/npz") == {"00000.npz", "00001.npz"}


def test_files_of_others_are_kept_unless_told(run, engine, video, tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/00000.png").write_bytes(b"precious")
    refused(run("track", video, "--point", "20,20", "-o", "."), 4, "masks", "--overwrite")
    assert (tmp_path / "masks/00000.png").read_bytes() == b"precious"


def test_which_frames_are_remembered_can_be_chosen(run, engine, video, tmp_path):
    engine.unsure = True  # but of the first two answers
    decode, answers = engine.decode, []

    def unsure_later(*arguments):
        answers.append(arguments)
        engine.unsure = len(answers) > 2
        return decode(*arguments)

    engine.decode = unsure_later
    for memory, ages in (("recent", [0, 1, 2, 3, 4, 5, 6]), ("confident", [0, 1])):
        answers.clear()
        words = ("--point", "20,20", "-o", "res", "--memory", memory, "--overwrite")
        assert run("track", video, *words).exit_code == 0
        assert sorted(engine.contexts[-1].ages[0].tolist()) == ages
    assert "other options" in refused(run("track", video, "--point", "20,20", "-o", "res"), 4, "--overwrite")


def test_a_bad_frame_can_be_skipped(run, engine, video, tmp_path):
    damage(video, 3)
    result = run("track", video, "--point", "9,9", "-o", "res", "--on-bad-frame", "skip")
    assert result.exit_code == 0, result.output
    assert len(tree(tmp_path / "res/masks")) == FRAMES
    assert "edgetam: warning: Frame 3 of" in result.stderr


def test_a_run_that_met_a_bad_frame_goes_on_by_skipping_it(run, engine, video, tmp_path):
    damage(video, 3)
    words = ("track", video, "--point", "9,9", "-o", "res")
    refused(run(*words), 2, "Frame 3", "--on-bad-frame skip")
    assert run(*words, "--on-bad-frame", "skip").exit_code == 0
    assert len(tree(tmp_path / "res/masks")) == FRAMES


def test_people_see_a_bar_and_logs_do_not(run, engine, video, monkeypatch):
    words = ("track", video, "--point", "20,20", "--overwrite", "-o", "res")
    assert "8/8" not in run(*words).output
    monkeypatch.setenv("FORCE_COLOR", "1")  # what rich takes for a terminal
    monkeypatch.setenv("TERM", "xterm")
    seen = run(*words).stderr
    assert "clip.mp4" in seen
    assert "8/8" in seen
    assert "fps" in seen
    assert run(*words, "-q").output == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--object", 2, "--point", "9,9"), "object number 2"),
        (("--frame", 3, "--point", "9,9"), "prompted frame number 2 of object 1"),
        (("--box", "5,5,30,30"), "at most 2 points"),
    ],
)
def test_prompts_beyond_the_limits_of_a_bundle_leave_nothing(run, engine, video, tmp_path, words, told):
    engine.limits = Limits(objects=1, prompted=1, points=2, memories=7, pointers=16)
    before = tree(tmp_path)
    refused(run("track", video, "--point", "20,20", *words, "-o", "res"), 2, told)
    assert tree(tmp_path) == before
    assert run("track", video, "--point", "20,20", "-o", "res").exit_code == 0


@pytest.mark.parametrize("text", ["{", "[" * 100_000], ids=["cut off", "deep"])
def test_a_run_that_cannot_be_told_is_another(run, engine, video, tmp_path, text):
    words = ("track", video, "--point", "20,20", "-o", "res")
    assert run(*words).exit_code == 0
    (tmp_path / "res/.edgetam/run.json").write_text(text)
    refused(run(*words), 4, "results of another run", "--overwrite")


def test_other_pictures_in_the_same_folder_are_another_run(run, engine, tmp_path):
    frames = tmp_path / "frames.left"
    frames.mkdir()
    for index in range(3):
        cv2.imwrite(str(frames / f"{index}.png"), np.full((HEIGHT, WIDTH, 3), 10, np.uint8))
    words = ("track", "frames.left", "--point", "20,20")
    assert run(*words).exit_code == 0
    assert (tmp_path / "out/frames.left/masks/0.png").is_file()
    assert "already" in run(*words).stdout
    cv2.imwrite(str(frames / "1.png"), np.full((HEIGHT, WIDTH, 3), 200, np.uint8))
    os.utime(frames / "1.png", ns=(1, 1))
    refused(run(*words), 4, "other source")
    pattern = ("track", "frames.left/*.png", "--point", "20,20", "-o", "pattern")
    assert run(*pattern).exit_code == 0
    os.utime(frames / "1.png", ns=(2, 2))
    refused(run(*pattern), 4, "other source")


def test_other_bundled_weights_are_another_run(run, engine, video, tmp_path, monkeypatch):
    words = ("track", video, "--point", "20,20", "-o", "res")
    for content, code in ((b"old", 0), (b"old", 0), (b"new", 4)):
        (tmp_path / "default.safetensors").write_bytes(content)
        monkeypatch.setattr(options, "bundled_path", lambda: tmp_path / "default.safetensors")
        assert run(*words).exit_code == code


def test_both_directions_from_the_first_frame_are_one(run, engine, video, tmp_path):
    result = run("track", video, "--point", "9,9", "--both", "-o", "res")
    assert result.exit_code == 0 and "--both finds nothing before the first frame" in result.stderr
    assert (
        "--both finds" not in run("track", video, "--frame", 4, "--point", "9,9", "--both", "-o", "b").stderr
    )
