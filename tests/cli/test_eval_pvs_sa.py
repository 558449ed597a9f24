"""``edgetam eval pvs`` and ``edgetam eval sa`` from the data set to the scores."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgetam.eval import pvs_run
from tests.cli.conftest import refused, tree
from tests.eval.scenes import HEIGHT, WIDTH, make_dataset, save_frame, save_ids, square

MINE = """
import numpy as np
from tests.eval.scenes import FakeTracker, square
from tests.eval.test_clicks import Script

def learner():
    # finds a square that does not move, and nothing before the fourth click
    return FakeTracker(lambda frame, number, prompts: square(4 if len(prompts) > 3 else 99, 8))

def segmenter():
    whole, half = square(4, 8), square(4, 8)
    half[:, 7:] = False
    return Script([half, whole], [0.9, 0.1], {100: whole, 200: whole, 101: whole, 201: whole})
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "clicker.py").write_text(MINE)
    return make_dataset(tmp_path / "set", frames=3)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "clicker.py").write_text(MINE)
    for i in range(3):
        save_frame(tmp_path / f"pics/images/{i}.jpg", i)
        save_ids(tmp_path / f"pics/masks/{i}.png", {1: square(4, 8)})
    return tmp_path / "pics"


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def test_the_curve_of_a_simulated_annotator(run, data, tmp_path):
    words = (
        "eval",
        "pvs",
        "--dataset",
        "generic",
        "--root",
        data,
        "--tracker",
        "clicker:learner",
        "-o",
        "res",
    )
    result = run(*words, "--rounds", 2)
    assert result.exit_code == 0, result.output
    table = read(tmp_path / "res/scores.json")
    first, second = table["curve"]
    # a square of 6 x 6 that moves by a pixel a frame, and one that stays
    stays = (1 + 5 / 7 + 4 / 8) / 3
    assert (first["region"], second["region"]) == (0, pytest.approx(stays))
    assert table["mean J&F"] == pytest.approx((first["jf"] + second["jf"]) / 2)
    assert first["seconds"] == pytest.approx(30 * 3 / 300 + 1 + 4.5) and second["prompted"] == 2
    assert read(tmp_path / "res/sequences/a.json")["objects"]["1"][1]["prompted"] == ["00000", "00001"]
    assert f"{100 * stays:.1f}" in result.stdout and "mean" in result.stdout
    svg = ElementTree.parse(tmp_path / "res/curve.svg").getroot()
    texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert "offline on a data set of yours" in texts and f"J {100 * stays:.1f}" in texts


def test_online_and_our_tracker(run, engine, data, tmp_path):
    words = ("eval", "pvs", "--dataset", "generic", "--root", data, "-o", "res", "--mode", "online")
    result = run(*words, "--rounds", 2, "--clicks", 1, "--imgsz", 256, "--sequences", "a")
    assert result.exit_code == 0, result.output
    assert "stand-in" in result.stderr
    assert [point["frames"] for point in read(tmp_path / "res/scores.json")["curve"]] == [1, 2]


def test_pvs_goes_on_after_an_interruption(run, data, tmp_path, monkeypatch):
    words = (
        "eval",
        "pvs",
        "--dataset",
        "generic",
        "--root",
        data,
        "--tracker",
        "clicker:learner",
        "-o",
        "res",
    )
    offline, seen = pvs_run.offline, []

    def watched(tracker, video, *arguments):
        seen.append(video.name)
        if seen == ["a", "b"]:
            raise KeyboardInterrupt
        return offline(tracker, video, *arguments)

    monkeypatch.setattr(pvs_run, "offline", watched)
    assert run(*words, "--rounds", 1).exit_code == 130
    assert tree(tmp_path / "res/sequences") == {"a.json"}
    assert run(*words, "--rounds", 1).exit_code == 0
    assert seen == ["a", "b", "b"]
    refused(run(*words, "--rounds", 2), 4, "another run", "annotator")


def test_clicks_on_images(run, pictures, tmp_path):
    words = ("eval", "sa", "--root", pictures, "--tracker", "clicker:segmenter", "-o", "res")
    result = run(*words, "--clicks", "1,3")
    assert result.exit_code == 0, result.output
    table = read(tmp_path / "res/scores.json")
    assert table["sets"]["pics"]["masks"] == 3
    assert table["mean"] == {"predicted": {"1": 0.5, "3": 1.0}, "oracle": {"1": 1.0, "3": 1.0}}
    assert "pics, 3 masks: 1 click 50.0 (oracle 100.0); 3 clicks 100.0 (oracle 100.0)" in result.stdout


def test_our_segmenter_and_several_sets(run, engine, pictures, tmp_path):
    save_frame(tmp_path / "more/images/0.jpg", 0)
    save_ids(tmp_path / "more/masks/0.png", {1: square(1, 1), 2: square(12, 12)})
    result = run("eval", "sa", "--root", pictures, "--root", "more", "-o", "res")
    assert result.exit_code == 0, result.output
    table = read(tmp_path / "res/scores.json")
    assert engine.loads[0][1]["partial"] == "image"
    sets = [table["sets"][name]["predicted"]["5"] for name in ("pics", "more")]
    assert table["mean"]["predicted"]["5"] == pytest.approx(sum(sets) / 2)  # not weighted by masks
    assert "mean of 2 sets" in result.stdout


def test_black_and_white_masks_are_explained_and_read(run, pictures, tmp_path):
    for i in range(3):
        save_ids(tmp_path / f"pics/masks/{i}.png", {255: square(4, 8)})
    words = (
        "eval",
        "sa",
        "--root",
        pictures,
        "--tracker",
        "clicker:segmenter",
        "--clicks",
        "1,3",
        "-o",
        "res",
    )
    refused(run(*words), 2, "pics' has no masks", "255 is void", "foreground")
    assert not (tmp_path / "res").exists()
    result = run(*words, "--foreground")
    assert result.exit_code == 0, result.output
    table = read(tmp_path / "res/scores.json")
    assert table["sets"]["pics"]["masks"] == 3 and table["mean"]["predicted"]["3"] == 1.0
    save_ids(tmp_path / "pics/masks/2.png", {1: square(4, 8)})
    refused(run(*words), 4, "another run", "foreground")


def test_help_offers_trackers_that_take_clicks(run):
    for command, offers in (("vos", True), ("pvs", False), ("sa", False)):
        assert ("copy, flow" in run("eval", command, "--help").stdout) is offers


def test_bad_input_is_one_sentence(run, data, pictures, tmp_path):
    pvs = ("eval", "pvs", "--dataset", "generic", "--root", data, "-o", "res", "--tracker")
    refused(run(*pvs, "copy"), 2, "'copy'", "takes no clicks")
    refused(run(*pvs, "flow", "--root", tmp_path / "nowhere"), 2, "'flow'", "takes no clicks")
    refused(run(*pvs, "copy", "--mode", "sideways"), 2, "--mode is 'sideways'", "offline, online")
    sa = ("eval", "sa", "-o", "out", "--root")
    refused(run(*sa, pictures, "--tracker", "flow"), 2, "'flow'", "takes no clicks")
    refused(run(*sa, pictures, "--clicks", "0,5"), 2, "--clicks is '0,5'")
    refused(run(*sa, tmp_path / "nowhere"), 2, "no folder")
    refused(run(*sa, pictures, "--root", tmp_path / "other" / "pics"), 2, "same name")
    (pictures / "masks/1.png").unlink()
    refused(
        run(*sa, pictures, "--tracker", "clicker:segmenter", "--clicks", 1), 2, "Image '1.jpg'", "no file"
    )


def test_lenient_runs_leave_out_what_is_broken_and_say_so(run, data, tmp_path):
    save_ids(data / "Annotations/a/00000.png", {}, (WIDTH, HEIGHT))
    (data / "Annotations/a/00001.png").write_bytes(b"")
    for command, tracker in (("vos", "copy"), ("pvs", "clicker:learner")):
        words = ("eval", command, "--dataset", "generic", "--root", data, "--tracker", tracker, "-o", command)
        refused(run(*words), 2, "Sequence 'a', frame 00001")
        result = run(*words, "--lenient")
        assert result.exit_code == 0, result.output
        assert "left out: Sequence 'a', frame 00001" in result.stderr
    assert set(read(tmp_path / "vos/scores.json")["sequences"]) == {"b"}
    assert len(read(tmp_path / "pvs/scores.json")["missing"]) == 1


def test_lenient_needs_something_that_is_not_broken(run, data, pictures):
    words = ("--lenient", "--tracker")
    for name in "ab":
        (data / f"Annotations/{name}/00000.png").write_bytes(b"no picture")
    broken = run("eval", "pvs", "--dataset", "generic", "--root", data, "-o", "p", *words, "clicker:learner")
    refused(broken, 2, "Sequence 'a', frame 00000")
    (pictures / "masks/1.png").write_bytes(b"no picture")
    broken = run("eval", "sa", "--root", pictures, "-o", "s", "--clicks", 1, *words, "clicker:segmenter")
    refused(broken, 2, "Image '1.jpg'")
