"""``edgetam look``."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetam.io import read_image
from edgetam.io.rulers import _EDGE, MARGIN, _scale, _step, ruled
from tests.cli.conftest import FRAMES, HEIGHT, WIDTH, refused, tree

SCALE = 11  # of 64 x 48 pixels


def at(picture: np.ndarray, x: float, y: float) -> tuple[int, ...]:
    """What is drawn where a pixel of the frame is."""
    return tuple(int(v) for v in picture[MARGIN + round(y * SCALE), MARGIN + round(x * SCALE)])


def test_a_frame_is_shown_with_what_was_prompted_on_it(run, video, tmp_path):
    words = ("--frame", 3, "--point", "20,10", "--point", "50,30", "--label", 0, "--box", "5,5,30,40")
    result = run("look", video, *words)
    assert result.exit_code == 0, result.output
    assert f"frame 3 of {FRAMES}, {WIDTH} x {HEIGHT} pixels, at 0." in result.stdout
    picture = read_image(tmp_path / "out/look/clip_3.png")
    assert picture.shape == (HEIGHT * SCALE + MARGIN + _EDGE, WIDTH * SCALE + MARGIN + _EDGE, 3)
    red, green = at(picture, 50, 30), at(picture, 20, 10)
    assert green[1] > 150 > 2 * green[0] and red[0] > 150 > 2 * red[1]
    assert at(picture, 5, 20) == at(picture, 15, 5) != at(picture, 4, 20)  # sides of the box
    assert run("look", video, "--frame", 3).exit_code == 0  # replaces its own
    bare = read_image(tmp_path / "out/look/clip_3.png")
    assert at(bare, 20, 10) != green


def test_prompts_of_other_frames_are_checked_and_left_out(run, video, tmp_path):
    content = {"prompts": [{"frame": 2, "points": [[20, 10]]}, {"frame": 5, "points": [[40, 20]]}]}
    (tmp_path / "p.json").write_text(json.dumps(content))
    assert run("look", video, "--prompts", "p.json").exit_code == 0  # the first one's frame
    first = read_image(tmp_path / "out/look/clip_2.png")
    assert run("look", video, "--prompts", "p.json", "--frame", 5, "-o", "x.png").exit_code == 0
    other = read_image(tmp_path / "x.png")
    assert at(first, 20, 10)[1] > 150 > 2 * at(first, 20, 10)[0]
    assert at(other, 40, 20)[1] > 150 > 2 * at(other, 40, 20)[0]
    assert at(first, 40, 20) != at(other, 40, 20)


def test_a_picture_with_a_mask(run, image, tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:40, 10:50] = 255
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    assert run("look", image, "--mask", "m.png", "-q").output == ""
    plain, painted = ruled(read_image(image)), read_image(tmp_path / "out/look/photo_0.png")
    changed = (plain != painted).any(2)[MARGIN:, MARGIN:]
    assert changed[12 * SCALE : 38 * SCALE, 12 * SCALE : 48 * SCALE].mean() > 0.9
    assert not changed[: 5 * SCALE].any()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--frame", 8), 2, "frames 0 to 7"),
        (("--frame", "x"), 2, "whole number"),
        (("--point", "70,10"), 2, "70"),
        (("--frame", 9, "--point", "1,1"), 2, "frames 0 to 7"),
        (("--object", 2), 2, "no point"),
        (("-o", "clip.mp4"), 2, ".png"),
        (("-o", "a.jpg"), 2, ".png"),
        (("-o", "there.png"), 4, "--overwrite"),
    ],
)
def test_what_cannot_be_shown(words, code, said, run, video, tmp_path):
    (tmp_path / "there.png").write_bytes(b"mine")
    before = tree(tmp_path)
    refused(run("look", video, *words), code, said)
    assert tree(tmp_path) == before
    assert (tmp_path / "there.png").read_bytes() == b"mine"


def test_prompt_files_may_be_written_as_for_tracking(run, video, tmp_path):
    content = {"prompts": [{"points": [20, 10], "labels": [0]}, {"object": 2, "box": [5, 5, 30, 40]}]}
    (tmp_path / "p.json").write_text(json.dumps(content))
    result = run("look", video, "--prompts", "p.json", "-o", "new/x.png")
    assert result.exit_code == 0, result.output
    red = at(read_image(tmp_path / "new/x.png"), 20, 10)
    assert red[0] > 150 > 2 * red[1]


def test_no_frame_of_a_folder_is_replaced(run, tmp_path):
    frames = tmp_path / "out/look"
    frames.mkdir(parents=True)
    cv2.imwrite(str(frames / "look_0.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    before = (frames / "look_0.png").read_bytes()
    refused(run("look", "out/look"), 4, "one of the frames")
    assert (frames / "look_0.png").read_bytes() == before


def test_a_damaged_frame_is_named_and_others_can_be_chosen(run, tmp_path):
    (tmp_path / "shots").mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"shots/{name}.png"), picture)
    damaged = tmp_path / "shots/b.png"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    refused(run("look", "shots", "--frame", 1), 2, "Frame 1", "--frame")
    assert run("look", "shots").exit_code == 0


def test_missing_and_broken_sources(run, tmp_path):
    refused(run("look", "0"), 2, "camera")
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    refused(run("look", "none.mp4"), 2, "none.mp4")
    refused(run("look", "bad.mp4"), 2, "bad.mp4")


@given(st.integers(1, 40_000))
def test_rulers_have_round_numbers_and_room_between_them(longest: int) -> None:
    step = _step(longest)
    assert str(step).rstrip("0") in ("1", "2", "5")
    assert longest / step <= 14
    assert step * _scale(longest) >= 24  # pixels, for numbers of four digits


@given(st.integers(1, 90), st.integers(1, 90))
def test_any_picture_can_be_ruled(width: int, height: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    before = image.copy()
    points, box = [(width - 1.0, height - 1.0, True)], (0, 0, width - 1, height - 1)
    assert ruled(image, points, {1: box}).dtype == np.uint8
    assert np.array_equal(image, before)
