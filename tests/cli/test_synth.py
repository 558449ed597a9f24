"""``edgetam synth``: one training clip as a video."""

from __future__ import annotations

import numpy as np
import pytest

from edgetam.io import open_frames
from tests.cli.conftest import refused, tree
from tests.train.data import fabricate

SMALL = ("--size", "64", "--frames", "5", "--objects", "2")


def frames_of(path) -> list[np.ndarray]:
    with open_frames(path) as frames:
        return [frames[i].astype(int) for i in range(len(frames))]


def test_a_drawn_clip_and_its_masks_side_by_side(run, tmp_path):
    result = run("synth", "-o", "clip.mp4", *SMALL)
    assert result.exit_code == 0, result.output
    assert "5 frames" in result.stdout and "clip.mp4" in result.stdout
    frames = frames_of(tmp_path / "clip.mp4")
    assert [frame.shape for frame in frames] == [(64, 128, 3)] * 5
    plain, painted = frames[0][:, :64], frames[0][:, 64:]
    changed = np.abs(plain - painted).max(-1) > 40
    assert 0.005 < changed.mean() < 0.9
    assert np.abs(frames[0] - frames[4]).max() > 20


def test_a_seed_is_a_clip(run, tmp_path):
    for name, seed in (("a.mp4", 1), ("b.mp4", 1), ("c.mp4", 2)):
        assert run("synth", "-o", name, "--seed", seed, *SMALL, "--quiet").exit_code == 0
    a, b, c = (frames_of(tmp_path / name) for name in ("a.mp4", "b.mp4", "c.mp4"))
    assert all((x == y).all() for x, y in zip(a, b, strict=True))
    assert np.abs(a[0] - c[0]).mean() > 5


@pytest.mark.parametrize(("kind", "make"), [("pseudo", "static_images"), ("davis", "palette_videos")])
def test_clips_of_your_data(run, tmp_path, kind, make):
    getattr(fabricate, make)(tmp_path / "data")
    result = run("synth", "-o", "clip.mp4", "--kind", kind, "--data", "data", *SMALL)
    assert result.exit_code == 0, result.output
    assert len(frames_of(tmp_path / "clip.mp4")) == 5


def test_files_are_not_replaced_unless_told(run, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"mine")
    refused(run("synth", "-o", "clip.mp4", *SMALL), 4, "exists", "--overwrite")
    assert (tmp_path / "clip.mp4").read_bytes() == b"mine"
    assert run("synth", "-o", "clip.mp4", *SMALL, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-o", "clip.gif"), ("clip.gif", ".mp4")),
        (("-o", "clip.mp4", "--kind", "nothing"), ("'nothing'", "synthetic")),
        (("-o", "clip.mp4", "--kind", "davis"), ("root",)),
        (("-o", "clip.mp4", "--kind", "davis", "--data", "none"), ("'none' does not exist",)),
        (("-o", "clip.mp4", "--size", "100"), ("multiple of 32",)),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(run, tmp_path, arguments, words):
    refused(run("synth", *arguments), 2, *words)
    assert tree(tmp_path) == set()
