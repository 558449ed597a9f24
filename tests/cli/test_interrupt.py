"""Ctrl-C ends cleanly, and the same command completes what it left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import av
import pytest

from edgetam.cli.interrupts import held_back
from edgetam.cli.main import main
from edgetam.io import ResultWriter
from edgetam.weights import save_native
from tests.cli.conftest import FRAMES
from tests.io.clips import make_video


def frames_in(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.fixture
def interruptible():
    """Let SIGINT mean Ctrl-C, also where the tests run in the background and inherited that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def impatient(engine, monkeypatch):
    """An engine that is interrupted when it looks at its n-th frame."""
    engine.patience = 4
    encode = engine.encode

    def interrupted(image):
        if engine.encoded >= engine.patience:
            raise KeyboardInterrupt
        return encode(image)

    engine.encode = interrupted
    return engine


def test_what_was_done_is_complete_and_can_be_completed(run, impatient, video, tmp_path):
    words = ("track", video, "--point", "20,20", "-o", "res", "--save", "png,overlay,coco")
    result = run(*words)
    assert result.exit_code == 130
    assert "stopped at frame 3; results so far are in res" in result.stderr
    assert "error" not in result.stderr
    assert len(list((tmp_path / "res/masks").iterdir())) == 4
    assert frames_in(tmp_path / "res/overlay.mp4") == 4
    impatient.patience = 99
    assert run(*words).exit_code == 0
    completed = {p.name: p.read_bytes() for p in (tmp_path / "res/masks").iterdir()}
    assert frames_in(tmp_path / "res/overlay.mp4") == FRAMES
    assert run("track", video, "--point", "20,20", "-o", "whole", "--save", "png").exit_code == 0
    assert completed == {p.name: p.read_bytes() for p in (tmp_path / "whole/masks").iterdir()}


def test_a_second_pass_is_completed_too(run, impatient, video, tmp_path):
    prompts = ("--point", "20,20", "--object", 2, "--frame", 5, "--box", "9,9,30,30")
    words = ("track", video, *prompts, "--both", "--save", "objects", "-o")
    impatient.patience = FRAMES + 2  # on the way back, where all frames have been seen once
    assert run(*words, "res").exit_code == 130
    found = len(list((tmp_path / "res/objects/002").iterdir()))
    assert FRAMES - 5 < found < FRAMES
    impatient.patience = 99
    result = run(*words, "res")
    assert (result.exit_code, "already" in result.stdout) == (0, False)
    assert len(list((tmp_path / "res/objects/002").iterdir())) == FRAMES
    assert "already" in run(*words, "res").stdout


def test_before_the_first_frame(run, impatient, video):
    impatient.patience = 0
    result = run("track", video, "--point", "20,20", "-o", "res")
    assert result.exit_code == 130
    assert "before the first frame" in result.stderr
    result = run("track", video, "--point", "20,20", "-o", "quiet", "-q")
    assert (result.exit_code, result.output) == (130, "")


def test_while_loading(run, engine, video, monkeypatch, tmp_path):
    import edgetam

    def load(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(edgetam, "load_model", load)
    result = run("track", video, "--point", "20,20", "-o", "res")
    assert result.exit_code == 130
    assert "edgetam: stopped." in result.stderr
    assert not (tmp_path / "res").exists()


def test_a_frame_is_written_whole(run, engine, video, monkeypatch, tmp_path, interruptible):
    real = ResultWriter.write

    def write(self, result, image=None):
        if result.frame == 3:
            signal.raise_signal(signal.SIGINT)
        real(self, result, image)

    monkeypatch.setattr(ResultWriter, "write", write)
    result = run("track", video, "--point", "20,20", "-o", "res")
    assert result.exit_code == 130
    assert "stopped at frame 3" in result.stderr
    assert len(list((tmp_path / "res/masks").iterdir())) == 4
    assert frames_in(tmp_path / "res/overlay.mp4") == 4


def test_nothing_to_hold_back_on_other_threads():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(_held).result() == "done"


def _held():
    with held_back():
        return "done"


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), held_back():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_schedulers_end_it_cleanly_too(engine, video, monkeypatch, tmp_path):
    encode = engine.encode

    def terminated(image):
        if engine.encoded == 3:
            signal.raise_signal(signal.SIGTERM)
        return encode(image)

    engine.encode = terminated
    words = ("track", str(video), "--point", "20,20", "-o", str(tmp_path / "res"))
    monkeypatch.setattr(sys, "argv", ["edgetam", *words])
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as end:
            main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert end.value.code == 130
    assert frames_in(tmp_path / "res/overlay.mp4") == 3


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_real_signal_to_a_real_run(model, tmp_path):
    weights = save_native(tmp_path / "w.safetensors", model, dtype="float16")
    video = make_video(tmp_path / "clip.mp4", count=600)
    words = ("track", video, "--point", "20,20", "--weights", weights, "--threads", "1", "-o", "res")
    process = subprocess.Popen(
        [sys.executable, "-m", "edgetam", *map(str, words)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Runners started in the background ignore the signal, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    third = tmp_path / "res/masks/00002.png"
    while process.poll() is None and not third.exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    masks = len(list((tmp_path / "res/masks").iterdir()))
    assert 3 <= masks < 600
    assert f"stopped at frame {masks - 1}" in said
    assert "Traceback" not in said
    assert frames_in(tmp_path / "res/overlay.mp4") == masks
    assert not list((tmp_path / "res").rglob("*.part*"))
