"""Scoring folders: what is wrong is named, or left out when that is allowed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetam.errors import ConfigError, InputError
from edgetam.eval.metrics import Scores, score_folder
from tests.eval.folders import labels, pair, save, video


def missing_video(pred: Path) -> None:
    (pred / "dog").rename(pred.parent / "elsewhere")


def missing_frame(pred: Path) -> None:
    (pred / "dog/00002.png").unlink()


def other_names(pred: Path) -> None:
    for path in sorted((pred / "dog").iterdir()):
        path.rename(path.with_name(path.name[2:]))


def other_size(pred: Path) -> None:
    save(pred / "dog/00002.png", np.zeros((20, 31), np.uint8))


def colours(pred: Path) -> None:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(pred / "dog/00002.png")


def large_values(pred: Path) -> None:
    Image.fromarray(np.full((20, 30), 300, np.uint16)).save(pred / "dog/00002.png")


def truncated(pred: Path) -> None:
    path = pred / "dog/00002.png"
    path.write_bytes(path.read_bytes()[:-30])


def empty_file(pred: Path) -> None:
    (pred / "dog/00002.png").write_bytes(b"")


SPOILS: list[tuple[Callable[[Path], None], list[str]]] = [
    (missing_video, ["Sequence 'dog'", "no folder"]),
    (missing_frame, ["Sequence 'dog', frame '00002'", "no prediction", "4 files", "'00000.png'"]),
    (other_names, ["Sequence 'dog', frame '00001'", "no prediction", "'000.png' to '004.png'"]),
    (other_size, ["Sequence 'dog', frame '00002'", "31x20", "30x20"]),
    (colours, ["Sequence 'dog', frame '00002'", "RGB", "palette"]),
    (large_values, ["Sequence 'dog', frame '00002'", "beyond 255"]),
    (truncated, ["Sequence 'dog', frame '00002'", "damaged"]),
    (empty_file, ["Sequence 'dog', frame '00002'", "damaged"]),
]


@pytest.mark.parametrize(("spoil", "words"), SPOILS, ids=[spoil.__name__ for spoil, _ in SPOILS])
@pytest.mark.parametrize("protocol", ["davis2017", "vos-benchmark"])
def test_bad_predictions_are_named(
    tmp_path: Path, protocol: str, spoil: Callable[[Path], None], words: list[str]
) -> None:
    gt, pred = pair(tmp_path)
    spoil(pred)
    with pytest.raises(InputError) as caught:
        score_folder(protocol, gt, pred)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("spoil", "words"), SPOILS, ids=[spoil.__name__ for spoil, _ in SPOILS])
def test_lenient_scores_the_rest_and_lists_the_gaps(
    tmp_path: Path, spoil: Callable[[Path], None], words: list[str]
) -> None:
    gt, pred = pair(tmp_path)
    spoil(pred)
    scores = score_folder("davis2017", gt, pred, lenient=True)
    assert all(word in scores.missing[0] for word in words)
    assert scores.summary["J&F"] == 1.0
    frames = {(entry.sequence, entry.object): len(entry.frames) for entry in scores.objects}
    assert frames["cat", "1"] == frames["cat", "2"] == 3
    assert frames.get(("dog", "1"), 0) == (0 if spoil in (missing_video, other_names) else 2)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, bool])
def test_any_kind_of_grey_will_do(tmp_path: Path, kind: type) -> None:
    gt, pred = pair(tmp_path, ("cat",))
    for path in (pred / "cat").iterdir():
        Image.fromarray(labels(1).astype(kind)).save(path)
    first, second = score_folder("davis2017", gt, pred).objects
    assert (first.scores["J"], second.scores["J"]) == (1.0, 0.0)


def test_damaged_ground_truth_is_named(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path)
    (gt / "cat/00003.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"Sequence 'cat', frame '00003': no ground truth: .* damaged"):
        score_folder("davis2017", gt, pred)


def test_extra_ids_are_named(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path)
    save(pred / "cat/00002.png", labels(1, 2, 7))
    with pytest.raises(InputError, match=r"Sequence 'cat', frame '00002', object 7: .* 1 to 2"):
        score_folder("davis2017", gt, pred)
    scores = score_folder("davis2017", gt, pred, lenient=True)
    assert len(scores.missing) == 1
    assert scores.summary["J"] == 1.0  # the objects themselves are still right
    assert score_folder("vos-benchmark", gt, pred).notes[0].startswith("Sequence 'cat': object(s) 7 ")


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("protocol", ["davis2016", "davis2017", "vos-benchmark"])
def test_videos_too_short_are_named(tmp_path: Path, protocol: str, frames: int) -> None:
    gt, pred = pair(tmp_path)
    for side in (gt, pred):
        video(side / "short", frames)
    with pytest.raises(InputError, match=rf"Sequence 'short' has {frames} annotated frame"):
        score_folder(protocol, gt, pred)
    scores = score_folder(protocol, gt, pred, lenient=True)
    assert [part.sequence for part in scores.sequences] == ["cat", "dog"]


@pytest.mark.parametrize("protocol", ["davis2017", "davis2017-unsupervised", "vos-benchmark"])
def test_empty_ground_truth_is_named(tmp_path: Path, protocol: str) -> None:
    gt, pred = pair(tmp_path)
    for t in range(5):
        save(gt / f"cat/{t:05d}.png", labels())
    with pytest.raises(InputError, match=r"Sequence 'cat'.* no object"):
        score_folder(protocol, gt, pred)


def test_nothing_at_all_is_an_error_even_when_lenient(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path, frames=2)
    with pytest.raises(InputError, match=r"Nothing .* could be scored: Sequence 'cat'"):
        score_folder("davis2017", gt, pred, lenient=True)


def test_videos_only_the_prediction_has(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path)
    video(pred / "bird", 5)
    assert score_folder("davis2017", gt, pred).summary["J"] == 1.0  # DAVIS's own tool does not look at them
    with pytest.raises(InputError, match="Sequence 'bird' is in the prediction"):
        score_folder("vos-benchmark", gt, pred)
    assert score_folder("vos-benchmark", gt, pred, sequences=["cat"]).summary["J"] == 1.0
    assert len(score_folder("vos-benchmark", gt, pred, lenient=True).missing) == 1


@pytest.mark.parametrize(
    ("protocol", "gt", "pred", "sequences", "words"),
    [
        (
            "davis2018",
            "gt",
            "pred",
            [],
            r"no protocol 'davis2018' \(did you mean davis2017\?\); the protocols",
        ),
        ("davis2017", "nowhere", "pred", [], "no folder '.*nowhere'; check the path to the ground truth"),
        ("davis2017", "gt", "nowhere", [], "no folder '.*nowhere'; check the path to the prediction"),
        ("davis2017", "gt", ".", [], "no folder for any of the 2 sequences; expected 'cat'"),
        ("davis2017", "gt/cat", "pred", [], "no folders of sequences"),
        ("davis2017", "gt", "pred", ["bird"], "no sequence 'bird' in .*; it has 'cat', 'dog'"),
    ],
)
def test_wrong_arguments(
    tmp_path: Path, protocol: str, gt: str, pred: str, sequences: list[str], words: str
) -> None:
    pair(tmp_path)
    with pytest.raises((ConfigError, InputError), match=words):
        score_folder(protocol, tmp_path / gt, tmp_path / pred, sequences=sequences)


def _plain(scores: Scores) -> list[object]:
    return [(e.sequence, e.object, e.frames, dict(e.scores), e.curves["F"].tolist()) for e in scores.objects]


def test_processes_change_nothing(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path, ("a", "b", "c"))
    for t in range(5):
        save(pred / f"b/{t:05d}.png", labels(1, 2, shift=t))
    (pred / "c/00001.png").unlink()
    calls: list[tuple[int, int]] = []
    alone = score_folder("davis2017", gt, pred, lenient=True)
    together = score_folder(
        "davis2017", gt, pred, lenient=True, jobs=2, progress=lambda *now: calls.append(now)
    )
    assert _plain(together) == _plain(alone)
    assert together.summary == alone.summary
    assert together.missing == alone.missing
    assert calls[0] == (0, 15)
    assert calls[-1] == (15, 15)


def test_errors_come_out_of_processes(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path)
    missing_frame(pred)
    with pytest.raises(InputError, match="Sequence 'dog', frame '00002'"):
        score_folder("davis2017", gt, pred, jobs=2)


def test_progress_counts_frames(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path, ("a",))
    calls: list[int] = []
    score_folder("davis2017-unsupervised", gt, pred, progress=lambda done, total: calls.append(done))
    assert calls == [0, 1, 2, 3, 4, 5, 5]


def test_progress_is_the_same_for_objects_in_folders(tmp_path: Path) -> None:
    for side in ("gt", "pred"):
        for item in ("a/000", "a/001", "b/000"):
            video(tmp_path / side / item, 5, 1)
    calls: list[tuple[int, int]] = []
    score_folder("sav", tmp_path / "gt", tmp_path / "pred", progress=lambda *now: calls.append(now))
    assert {total for _, total in calls} == {10}
    assert [done for done, _ in calls] == [0, 1, 2, 3, 4, 5, 5, 5, 6, 7, 8, 10]


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    frame = np.zeros((400, 400), np.uint8)
    frame[50:350, 50:350] = 1
    peaks = []
    for frames in (4, 24):
        root = tmp_path / str(frames)
        for side in ("gt", "pred"):
            for t in range(frames):
                save(root / side / "long" / f"{t:05d}.png", frame)
        tracemalloc.start()
        score_folder("davis2017", root / "gt", root / "pred")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < frame.size  # not even one more frame is kept
