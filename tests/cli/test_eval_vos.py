"""``edgetam eval vos`` from the data set to the scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgetam.eval import vos_run
from edgetam.eval.metrics.labels import read_labels
from tests.cli.conftest import refused, tree
from tests.eval.scenes import make_dataset, make_video, square

GENERIC = ("eval", "vos", "--dataset", "generic", "--root")
OURS = """
from tests.eval.scenes import FakeTracker

def follow():
    return FakeTracker(lambda frame, number, prompts: prompts[0].mask)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "set")


def scores(folder: Path) -> dict:
    return json.loads((folder / "scores.json").read_text())


def about(folder: Path) -> dict:
    return json.loads((folder / ".edgetam/run.json").read_text())


def test_predictions_and_scores(run, data, tmp_path):
    result = run(*GENERIC, data, "--tracker", "copy", "-o", "res")
    assert result.exit_code == 0, result.output
    assert {p.name for p in (tmp_path / "res/predictions/a").iterdir()} == {f"{t:05d}.png" for t in range(5)}
    table = scores(tmp_path / "res")
    # a square of 6 x 6 that is t pixels off on frame t overlaps by (6 - t) / (6 + t); the ends do not count
    expected = np.mean([5 / 7, 4 / 8, 3 / 9])
    assert table["summary"]["J"] == pytest.approx(expected, abs=1e-12)
    assert table["sequences"]["b"]["J"] == pytest.approx(expected, abs=1e-12)
    assert table["summary"]["J&F"] == pytest.approx((expected + table["summary"]["F"]) / 2)
    assert f"{100 * expected:.1f}" in result.stdout and "vos-benchmark-void, percent" in result.stdout
    assert {"objects.csv", "sequences.csv"} <= tree(tmp_path / "res")
    assert "res/scores.json" in result.stdout and "res/report.html" in result.stdout
    page = (tmp_path / "res/report.html").read_text()
    assert '"title":"res on ' in page and "data:image" in page


def test_our_tracker_gets_its_options(run, engine, data, tmp_path):
    words = ("--imgsz", 256, "--prompt", "3click", "--memory", "confident")
    result = run(*GENERIC, data, "-o", "res", *words)
    assert result.exit_code == 0, result.output
    assert engine.loads[0][1]["image_size"] == 256
    clicks = [len(prompt.points[0]) for prompt, _ in engine.prompts]
    assert max(clicks) >= 3
    assert "stand-in" in result.stderr
    assert about(tmp_path / "res")["prompt"] == "3click"
    assert "memory_selection='confident'" in str(about(tmp_path / "res"))


def test_a_tracker_of_ones_own(run, data, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(OURS)
    words = (*GENERIC, data, "--tracker")
    assert run(*words, "mine:follow", "-o", "res").exit_code == 0
    assert run(*words, "copy", "-o", "copied").exit_code == 0
    assert scores(tmp_path / "res")["summary"] == scores(tmp_path / "copied")["summary"]
    refused(run(*words, "mine:other", "-o", "x"), 2, "mine:other", "MODULE:FUNCTION")
    refused(run(*words, "magic", "-o", "x"), 2, "magic", "edgetam, copy, flow")
    refused(run(*words, "os:getcwd", "-o", "x1"), 2, "returns a str; expected a tracker with the method open")
    refused(run(*words, "os:sep", "-o", "x2"), 2, "it is a str and no function", "MODULE:FUNCTION")


def test_a_changed_tracker_of_ones_own_is_another_run(run, data, tmp_path):
    words = (*GENERIC, data, "--tracker", "changing:follow", "-o", "res")
    (tmp_path / "changing.py").write_text(OURS)
    assert run(*words).exit_code == 0
    assert "2 of 2 parts are finished already" in run(*words).stderr
    (tmp_path / "changing.py").write_text(OURS + "# better now\n")
    refused(run(*words), 4, "another run", "tracker", "--overwrite")
    assert run(*words, "--overwrite").exit_code == 0


@pytest.mark.parametrize("protocol", ["davis2016", "davis2017"])
def test_objects_that_come_later_are_left_out_where_the_protocol_wants_it(run, tmp_path, protocol):
    first, later = {1: square(4, 8)}, {1: square(4, 8), 2: square(20, 2)}
    make_video(tmp_path / "set", "v", {t: later if t == 3 else first for t in range(4)}, 4)
    words = (*GENERIC, "set", "--tracker", "copy", "-o")
    result = run(*words, "res", "--protocol", protocol)
    assert result.exit_code == 0, result.output
    assert f"{protocol} takes the objects of each first mask" in result.stderr
    assert scores(tmp_path / "res")["summary"]["J&F"] == 1.0
    assert read_labels(tmp_path / "res/predictions/v/00003.png").max() == 1
    refused(run(*words, "res"), 4, "another run", "late objects")
    everything = run(*words, "all")
    assert everything.exit_code == 0 and "first mask" not in everything.stderr
    assert read_labels(tmp_path / "all/predictions/v/00003.png").max() == 2


def test_the_only_object_may_come_later(run, tmp_path):
    truth = {t: {255: square(4, 8)} if t else {} for t in range(4)}
    make_video(tmp_path / "set", "v", truth, 4)
    words = (*GENERIC, "set", "--tracker", "copy", "-o", "res")
    result = run(*words, "--foreground")
    assert result.exit_code == 0 and "first mask" not in result.stderr
    assert scores(tmp_path / "res")["summary"]["J"] == 1.0


def test_the_same_command_goes_on(run, data, tmp_path, monkeypatch):
    words = (*GENERIC, data, "--tracker", "copy", "-o", "res")
    follow = vos_run.follow

    def interrupted(tracker, video, **options):
        if video.name == "b":
            raise KeyboardInterrupt
        return follow(tracker, video, **options)

    monkeypatch.setattr(vos_run, "follow", interrupted)
    stopped = run(*words)
    assert stopped.exit_code == 130 and "stopped after 1 of 2 parts" in stopped.stderr
    assert tree(tmp_path / "res/predictions") == {"a", *(f"a/{t:05d}.png" for t in range(5))}
    seen = []
    monkeypatch.setattr(
        vos_run, "follow", lambda t, video, **o: (seen.append(video.name), follow(t, video, **o))[1]
    )
    again = run(*words)
    assert again.exit_code == 0 and seen == ["b"] and "1 of 2 parts are finished already" in again.stderr
    assert set(scores(tmp_path / "res")["sequences"]) == {"a", "b"}


def test_shards_score_when_all_are_done(run, data, tmp_path):
    words = (*GENERIC, data, "--tracker", "copy", "-o", "res")
    first = run(*words, "--shard", "1/2")
    assert first.exit_code == 0 and "1 of 2 sequences" in first.stdout
    assert not (tmp_path / "res/scores.json").exists()
    assert run(*words, "--shard", "2/2").exit_code == 0
    assert set(scores(tmp_path / "res")["sequences"]) == {"a", "b"}


def test_results_of_another_run_are_kept_unless_asked(run, data, tmp_path):
    words = (*GENERIC, data, "-o", "res", "--tracker")
    assert run(*words, "copy").exit_code == 0
    refused(run(*words, "flow"), 4, "another run", "tracker", "--overwrite")
    assert run(*words, "flow", "--overwrite").exit_code == 0
    assert about(tmp_path / "res")["tracker"] == ["flow"]
    wrong = ("--protocol", "nope"), ("--protocol", "mosev2", "--meta", "nowhere.json")
    for more in wrong:  # seen before anything is removed
        refused(run(*words, "copy", "--overwrite", *more), 2, more[-1])
        assert set(scores(tmp_path / "res")["sequences"]) == {"a", "b"}
        assert (tmp_path / "res/predictions/a").is_dir()


def test_sets_of_a_server_give_a_submission(run, tmp_path):
    make_video(tmp_path / "set/valid", "v", {0: {1: square(2, 2)}}, 3)
    result = run("eval", "vos", "--dataset", "mose", "--root", "set", "--tracker", "copy", "-o", "res")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "res/submission.zip").is_file() and not (tmp_path / "res/scores.json").exists()
    assert "nothing is scored" in result.stdout


def test_lenient_needs_something_that_is_not_broken(run, data, tmp_path):
    words = (*GENERIC, data, "--tracker", "copy", "--lenient")
    (data / "Annotations/b/00000.png").write_bytes(b"no picture")
    one = run(*words, "-o", "one")
    assert one.exit_code == 0 and "left out: Sequence 'b'" in one.stderr
    assert set(scores(tmp_path / "one")["sequences"]) == {"a"}
    (data / "Annotations/a/00000.png").write_bytes(b"no picture")
    refused(run(*words, "-o", "none"), 2, "Sequence 'a', frame 00000")


def test_bad_input_is_one_sentence(run, data, tmp_path):
    words = ("eval", "vos", "--tracker", "copy", "-o", "res")
    refused(run(*words, "--dataset", "nope", "--root", data), 2, "no data set 'nope'")
    refused(run(*words, "--dataset", "mose", "--root", data / "x"), 2, "no folder")
    refused(run(*words, "--dataset", "sav", "--root", data), 2, "SA-V", "JPEGImages_24fps", "found")
    refused(run(*words, "--dataset", "generic", "--root", data, "--prompt", "nod"), 2, "--prompt is 'nod'")
    refused(run(*words, "--dataset", "generic", "--root", data, "--memory", "nod"), 2, "--memory is 'nod'")
    refused(run(*words, "--dataset", "generic", "--root", data, "--shard", "3/2"), 2, "3/2")
    refused(run(*words, "--dataset", "generic", "--root", data, "--sequences", "z"), 2, "no sequence 'z'")
    refused(run(*words, "--dataset", "generic", "--root", data, "--sequences", ","), 2, "expected names")
    (data / "Annotations/b/00000.png").write_bytes(b"no picture")
    refused(run(*words, "--dataset", "generic", "--root", data), 2, "Sequence 'b', frame 00000")
    assert (tmp_path / "res/predictions/a").is_dir()
