"""``edgetam score``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import refused, tree
from tests.eval.folders import labels, pair, save


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Perfect for the dog; the cat drifts away."""
    gt, pred = pair(tmp_path)
    for t in range(5):
        save(pred / f"cat/{t:05d}.png", labels(1, 2, shift=t))
    return gt, pred


def test_a_table_and_files(run, folders, tmp_path):
    result = run("score", "--protocol", "davis2017", "--gt", "gt", "--pred", "pred", "-o", "res")
    assert result.exit_code == 0, (result.output, result.exception)
    lines = [[word.strip() for word in line.split("│")[1:-1]] for line in result.stdout.splitlines()]
    table = {line[0]: line[1] for line in lines if len(line) == 2}
    found = json.loads((tmp_path / "res/scores.json").read_text())
    for measure in ("J&F", "J", "F", "J-recall", "F-decay"):
        assert table[measure] == f"{100 * found['summary'][measure]:.1f}"
    assert list(table)[-2:] == ["cat", "dog"]  # the worst first
    assert tree(tmp_path / "res") == {"scores.json", "objects.csv", "sequences.csv"}


def test_predictions_are_compared(run, folders, tmp_path):
    words = ("--pred", "pred", "--pred", "gt", "--name", "ours", "--name", "truth")
    result = run(
        "score", "--protocol", "vos-benchmark", "--gt", "gt", *words, "-o", "res", "--report", "r.html"
    )
    assert result.exit_code == 0, (result.output, result.exception)
    assert "truth - ours" in result.stdout
    assert (tmp_path / "res/truth/scores.json").is_file()
    assert (tmp_path / "r.html").is_file()


def test_names_come_from_the_ends_of_paths(run, folders, tmp_path):
    for place in ("a/pred", "b/pred"):
        pair(tmp_path / "more" / place)
    words = ("--pred", "more/a/pred/pred", "--pred", "more/b/pred/pred")
    result = run("score", "--protocol", "davis2017", "--gt", "gt", *words, "--json")
    assert list(json.loads(result.stdout)) == ["a/pred/pred", "b/pred/pred"]


def test_json_for_programs(run, folders):
    result = run("score", "--protocol", "davis2016", "--gt", "gt", "--pred", "pred", "--json")
    assert 0 < json.loads(result.stdout)["pred"]["summary"]["J"] < 1


def test_quiet(run, folders, tmp_path):
    result = run("score", "--protocol", "davis2017", "--gt", "gt", "--pred", "pred", "-q", "-o", "res")
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "res/objects.csv").is_file()


def test_only_some_sequences(run, folders):
    result = run(
        "score", "--protocol", "davis2017", "--gt", "gt", "--pred", "pred", "--sequences", "dog", "--json"
    )
    assert list(json.loads(result.stdout)["pred"]["sequences"]) == ["dog"]


def test_gaps_are_refused_or_listed(run, folders, tmp_path):
    (tmp_path / "pred/cat/00002.png").unlink()
    words = ("score", "--protocol", "davis2017", "--gt", "gt", "--pred", "pred")
    refused(run(*words, "-o", "res"), 2, "Sequence 'cat', frame '00002'", "no prediction")
    assert not (tmp_path / "res").exists()
    result = run(*words, "--lenient")
    assert result.exit_code == 0
    assert "left out: Sequence 'cat', frame '00002'" in result.stderr


def test_many_remarks_are_cut_short(run, folders, tmp_path):
    for t in range(1, 4):
        for name in ("cat", "dog"):
            (tmp_path / f"pred/{name}/{t:05d}.png").unlink(missing_ok=name == "dog")
    pair(tmp_path, ("eel",), frames=30)
    for t in range(1, 20):
        (tmp_path / f"pred/eel/{t:05d}.png").unlink()
    result = run("score", "--protocol", "davis2017", "--gt", "gt", "--pred", "pred", "--lenient")
    lines = [line for line in result.stderr.splitlines() if line.startswith("left out:")]
    assert len(lines) == 11
    assert "15 more" in lines[-1]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--protocol", "davis"), "no protocol 'davis'"),
        (("--protocol", "davis2017", "--name", "a", "--name", "b"), "2 --name for 1 --pred"),
        (("--protocol", "davis2017", "--pred", "pred", "--name", "a", "--name", "a"), "called 'a'"),
        (("--protocol", "davis2017", "--split", "val", "--sequences", "bird"), "no sequence 'bird'"),
        (("--protocol", "davis2017", "--sequences", ","), "--sequences is ','; expected names"),
    ],
)
def test_wrong_words(run, folders, words, expected):
    refused(run("score", "--gt", "gt", "--pred", "pred", *words), 2, expected)


def test_places_that_cannot_be_used_are_told_before_all_is_scored(run, folders, tmp_path, monkeypatch):
    monkeypatch.setattr("edgetam.cli.score.score_folder", lambda *args, **options: pytest.fail("scored"))
    words = ("score", "--protocol", "davis2017", "--gt", "gt", "--pred", "pred")
    refused(run(*words, "--report", "no/r.html"), 4, "no/r.html", "create it first")
    (tmp_path / "file").write_text("")
    refused(run(*words, "-o", "file"), 4, "file' is a file")
    refused(run(*words, "--report", "r.html", "--images", "no"), 2, "no folder 'no'", "--images")
    assert not (tmp_path / "r.html").exists()


def test_json_is_printed_however_quiet(run, folders):
    result = run("score", "--protocol", "davis2016", "--gt", "gt", "--pred", "pred", "--json", "-q")
    assert list(json.loads(result.stdout)) == ["pred"]
