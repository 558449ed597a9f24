"""Cameras and streams."""

from __future__ import annotations

import errno
import json

import numpy as np
import pytest

from edgetam.cli import live
from edgetam.engine.manifest import Limits
from edgetam.errors import MediaError
from edgetam.io import LiveSource, overlay_video
from edgetam.locks import sole_writer
from tests.cli.conftest import refused, tree


@pytest.fixture
def camera(monkeypatch):
    """A camera that Ctrl-C ends after some frames; `last` holds how many it gave."""
    opened = []

    def frames(count, end):
        for index in range(count):
            yield np.full((48, 64, 3), 10 * index, np.uint8), index / 25
        if end is not None:
            raise end

    def plug(count, end=KeyboardInterrupt):
        def open_live(source):
            opened.append(source)
            return LiveSource(frames(count, end), name="camera 0", newest=False)

        monkeypatch.setattr(live, "open_live", open_live)
        return opened

    return plug


def test_a_camera_until_ctrl_c(run, engine, camera, tmp_path):
    opened = camera(5)
    result = run("track", "0", "--point", "20,20", "-o", "res", "--save", "png,coco,overlay")
    assert result.exit_code == 0, result.output
    assert opened == ["0"]
    assert "5 frames" in result.stdout
    assert len(tree(tmp_path / "res/masks")) == 5
    times = [entry["time"] for entry in json.loads((tmp_path / "res/masks.json").read_text())["images"]]
    assert times == [0, 0.04, 0.08, 0.12, 0.16]
    assert result.stderr.startswith("edgetam: encoding res/overlay.mp4 ...")
    assert not (tmp_path / "res/.edgetam/overlay").exists()  # this is the end, not an interruption


@pytest.mark.parametrize(
    ("trouble", "code", "told"),
    [
        (KeyboardInterrupt(), 130, "stopped while the results were completed"),
        (OSError(errno.ENOSPC, "No space left on device"), 4, "the disk is full"),
    ],
)
def test_what_goes_wrong_while_encoding_is_said(
    run, engine, camera, tmp_path, monkeypatch, trouble, code, told
):
    def encode(*_):
        raise trouble

    monkeypatch.setattr(overlay_video, "_encode", encode)
    camera(5)
    result = run("track", "0", "--point", "20,20", "-o", "res", "--save", "overlay,png,coco")
    assert result.exit_code == code, result.output
    assert told in result.stderr
    assert result.stdout == ""
    assert len(tree(tmp_path / "res/masks")) == 5
    assert len(json.loads((tmp_path / "res/masks.json").read_text())["images"]) == 5
    assert len(tree(tmp_path / "res/.edgetam/overlay")) == 5


def test_a_stream_for_some_frames(run, engine, camera, tmp_path):
    opened = camera(100)
    result = run("track", "rtsp://cam.local:554/live", "--point", "20,20", "--frames", 3)
    assert result.exit_code == 0, result.output
    assert opened == ["rtsp://cam.local:554/live"]
    assert len(tree(tmp_path / "out/cam.local/masks")) == 3


def test_a_stream_that_breaks_off_keeps_what_came(run, engine, camera, tmp_path):
    camera(3, MediaError("The stream broke off: no answer."))
    result = run("track", "0", "--point", "20,20", "-o", "res")
    refused(result, 2, "broke off")
    assert "ended early at frame 2; results so far are in res" in result.stderr
    assert len(tree(tmp_path / "res/masks")) == 3
    assert (tmp_path / "res/overlay.mp4").is_file()
    assert not (tmp_path / "res/.edgetam/overlay").exists()


def test_cameras_of_one_network_have_folders_of_their_own(run, engine, camera, tmp_path):
    for host in ("192.168.1.20", "192.168.1.21"):
        camera(2, None)
        assert run("track", f"rtsp://{host}/live", "--point", "20,20").exit_code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"192.168.1.20", "192.168.1.21"}


def test_passwords_are_written_nowhere(run, engine, camera, tmp_path):
    camera(2, None)
    address = "rtsp://bob:secret@cam/live"
    assert run("track", address, "--point", "20,20", "-o", "res").exit_code == 0
    about = (tmp_path / "res/.edgetam/run.json").read_text()
    assert "rtsp://cam/live" in about and "secret" not in about
    for words in (("--start", 3), ("--frame", 2)):
        said = refused(run("track", address, *words, "--point", "20,20"), 2, "rtsp://cam/live")
        assert "secret" not in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--point", "99,99"), "outside"),
        (("--frame", "2", "--point", "9,9"), "first frame"),
        (("--point", "9,9", "--reverse"), "live"),
        (("--point", "9,9", "--start", "3"), "live"),
        ((), "--point"),
    ],
)
def test_bad_prompts_leave_nothing(run, engine, camera, tmp_path, words, told):
    camera(3)
    refused(run("track", "0", *words), 2, told)
    assert tree(tmp_path) == set()


def test_prompts_beyond_the_limits_of_a_bundle_leave_nothing(run, engine, camera, tmp_path):
    engine.limits = Limits(objects=1, prompted=1, points=2, memories=7, pointers=16)
    camera(3)
    words = ("--point", "9,9", "--object", 2, "--point", "20,20")
    refused(run("track", "0", *words, "-o", "res"), 2, "object number 2")
    assert tree(tmp_path) == set()


def test_a_camera_without_pictures(run, engine, camera, tmp_path):
    camera(0, None)
    refused(run("track", "0", "--point", "9,9"), 2, "camera 0")
    assert tree(tmp_path) == set()


def test_two_recordings_do_not_write_to_one_folder(run, engine, camera, tmp_path):
    camera(2)
    with sole_writer(tmp_path / "res"):
        refused(run("track", "0", "--point", "20,20", "-o", "res"), 4, "Another run is writing to 'res'")


def test_a_recording_is_not_replaced(run, engine, camera):
    camera(2)
    assert run("track", "0", "--point", "9,9", "-o", "res").exit_code == 0
    refused(run("track", "0", "--point", "9,9", "-o", "res"), 4, "res", "--overwrite")
    assert run("track", "0", "--point", "9,9", "-o", "res", "--overwrite").exit_code == 0


def test_a_file_named_like_a_camera_is_a_file(run, engine, tmp_path):
    (tmp_path / "0").write_text("no video")
    refused(run("track", "0", "--point", "9,9"), 2, "'0'")
