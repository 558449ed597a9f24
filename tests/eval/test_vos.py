"""Who is prompted how and where; what is written, kept and packed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetam.errors import ConfigError, MediaError, OutputError, PromptError
from edgetam.eval.datasets import Dataset, get_benchmark, open_dataset
from edgetam.eval.predictions import Predictions, exclusive, write_submission
from edgetam.eval.protocols.prompting import prompt_object
from edgetam.eval.protocols.vos import follow
from edgetam.eval.running import run_sequences, shard
from edgetam.eval.trackers import CopyTracker
from edgetam.eval.vos_run import VosJob
from tests.eval.scenes import (
    HEIGHT,
    WIDTH,
    FakeTracker,
    make_dataset,
    make_video,
    moving,
    save_frame,
    save_ids,
    square,
)


def generic(root: Path) -> Dataset:
    return open_dataset(get_benchmark("generic"), root)


def test_objects_are_prompted_where_they_first_show(tmp_path: Path) -> None:
    truth = {1: {2: square(1, 1)}, 2: {2: square(2, 1)}, 3: {2: square(3, 1), 1: square(12, 12)}}
    make_video(tmp_path, "a", truth, 5)
    tracker = FakeTracker(lambda frame, number, prompts: prompts[0].mask)
    results = list(follow(tracker, generic(tmp_path).video("a")))
    assert [(f, i, p.mask.tolist()) for f, i, p in tracker.asked("prompt")] == [
        (3, 1, square(12, 12).tolist()),
        (1, 2, square(1, 1).tolist()),
    ]
    assert tracker.asked("propagate") == [(1,)]
    assert [(r.frame, sorted(r.objects)) for r in results] == [
        (0, []),
        (1, [2]),
        (2, [2]),
        (3, [1, 2]),
        (4, [1, 2]),
    ]
    assert tracker.closed == 1


def test_only_objects_of_the_first_frame_where_that_is_the_rule(tmp_path: Path) -> None:
    make_video(tmp_path, "a", {0: {2: square(1, 1)}, 1: {1: square(9, 9)}}, 2)
    tracker = FakeTracker(lambda frame, number, prompts: prompts[0].mask)
    list(follow(tracker, generic(tmp_path).video("a"), late=False))
    assert [call[:2] for call in tracker.asked("prompt")] == [(0, 2)]


def draw(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


TRUTH = draw("....#", "###..", "###..", "###..", ".....")


@pytest.mark.parametrize(("how", "clicks"), [("1click", 1), ("3click", 3), ("5click", 5)])
def test_clicks_go_to_the_middle_of_the_object_then_of_the_deepest_error(how: str, clicks: int) -> None:
    answers = [
        draw("....#", "###..", "###..", "###..", "..###"),  # three pixels too many, none deeper than another
        draw("....#", ".....", ".....", ".....", "....."),  # the block is missing: its middle is (1, 2)
        draw("....#", "###..", "###..", "###..", "#...."),  # one pixel too many at (0, 4)
        TRUTH,  # nothing is wrong: a negative click in the background
        TRUTH,
    ]
    tracker = FakeTracker(lambda frame, number, prompts: answers[len(prompts) - 1])
    prompt_object(tracker.open(()), 0, 1, TRUTH, how)  # type: ignore[arg-type]
    given = [(*p.points[0], *p.labels) for _, _, p in tracker.asked("prompt")]
    assert len(given) == clicks
    assert given[:1] == [(1, 2, 1)]
    assert given[1:4] == [(2, 4, 0), (1, 2, 1), (0, 4, 0)][: clicks - 1]
    if clicks == 5:
        x, y, label = given[4]
        assert label == 0 and not TRUTH[y, x]


def test_an_empty_answer_is_clicked_in_its_middle_again() -> None:
    tracker = FakeTracker(lambda frame, number, prompts: np.zeros((5, 5), bool))
    prompt_object(tracker.open(()), 0, 1, TRUTH, "3click")  # type: ignore[arg-type]
    assert {(*p.points[0], *p.labels) for _, _, p in tracker.asked("prompt")} == {(1, 2, 1)}


def test_boxes_are_tight_and_never_empty() -> None:
    tracker = FakeTracker(lambda frame, number, prompts: TRUTH)
    for truth in (TRUTH, draw(".....", ".....", "..#..", ".....", ".....")):
        prompt_object(tracker.open(()), 0, 1, truth, "box")  # type: ignore[arg-type]
    assert [p.box.tolist() for _, _, p in tracker.asked("prompt")] == [[0, 0, 4, 3], [2, 2, 3, 3]]


def test_what_cannot_be_prompted_names_sequence_frame_and_object(tmp_path: Path) -> None:
    make_dataset(tmp_path, ("a",))
    video = generic(tmp_path).video("a")
    with pytest.raises(PromptError, match=r"Sequence 'a', frame 00000, object 1: .*only follows masks"):
        list(follow(CopyTracker(), video, prompt="1click"))
    with pytest.raises(ConfigError, match="The prompt is 'scribble'; expected one of mask, box"):
        list(follow(CopyTracker(), video, prompt="scribble"))
    save_ids(tmp_path / "Annotations/a/00000.png", {1: np.ones((9, 9), bool)}, (9, 9))
    with pytest.raises(
        MediaError, match="Sequence 'a', frame 00000: the mask is 9x9 and the frames are 32x24"
    ):
        list(follow(CopyTracker(), video))


def job(root: Path, out: Path) -> VosJob:
    return VosJob(generic(root), CopyTracker, out)


def run(work: VosJob, **options: int) -> list[tuple[str, object]]:
    return list(run_sequences(work, work.pending(), **options))


def test_predictions_are_palette_files_named_like_the_frames(tmp_path: Path) -> None:
    work = job(make_dataset(tmp_path / "set"), tmp_path / "out")
    assert run(work) == [("a", None), ("b", None)] and work.pending() == []
    assert sorted(p.name for p in (tmp_path / "out/a").iterdir()) == [f"{t:05d}.png" for t in range(5)]
    with Image.open(tmp_path / "out/b/00004.png") as image:
        assert image.mode == "P"
        assert (np.asarray(image) == moving(5)[0]).all()


def test_a_finished_sequence_is_not_tracked_again(tmp_path: Path) -> None:
    work = job(make_dataset(tmp_path / "set"), tmp_path / "out")
    (tmp_path / "out/a").mkdir(parents=True)
    assert work.pending() == ["b"]


def test_an_interrupted_sequence_leaves_nothing(tmp_path: Path) -> None:
    dataset = generic(make_dataset(tmp_path / "set"))
    predictions, video = Predictions(tmp_path / "out", per_object=False), dataset.video("a")
    with pytest.raises(KeyboardInterrupt), predictions.sequence(video, [1]) as writer:
        writer.write(0, {1: np.ones((HEIGHT, WIDTH), np.float32)}, (WIDTH, HEIGHT))
        assert any((tmp_path / "out").rglob("*.png")) and "a" not in predictions
        raise KeyboardInterrupt
    assert list((tmp_path / "out").iterdir()) == []


def test_broken_sequences_are_reported_and_the_others_go_on(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "set", ("a", "b", "c"))
    (root / "Annotations/b/00000.png").write_bytes(b"")
    (_, first), (_, second), (_, third) = run(job(root, tmp_path / "out"))
    assert first is None and third is None
    assert isinstance(second, MediaError) and "Sequence 'b', frame 00000" in str(second)
    assert job(root, tmp_path / "out").pending() == ["b"]


def test_several_processes(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "set", ("a", "b", "c"), frames=2)
    (root / "Annotations/b/00000.png").write_bytes(b"")
    done = dict(run(job(root, tmp_path / "out"), processes=2))
    assert done["a"] is None and done["c"] is None and "Sequence 'b'" in str(done["b"])
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a", "c"}


def test_shards_share_the_work() -> None:
    names = list("abcdefg")
    parts = [shard(names, f"{i}/3") for i in (1, 2, 3)]
    assert parts == [["a", "d", "g"], ["b", "e"], ["c", "f"]]
    for wrong in ("0/3", "4/3", "1", "a/b", "1/0", "-1/2"):
        with pytest.raises(ConfigError, match="expected i/n"):
            shard(names, wrong)


def test_objects_with_their_own_files_may_overlap(tmp_path: Path) -> None:
    for t in range(3):
        save_frame(tmp_path / f"set/JPEGImages/a/{t:05d}.jpg", t)
        save_ids(tmp_path / f"set/Annotations/a/000/{t:05d}.png", {1: square(2, 2)})
        save_ids(tmp_path / f"set/Annotations/a/012/{t:05d}.png", {1: square(4, 4)} if t else {})
    work = job(tmp_path / "set", tmp_path / "out")
    assert run(work) == [("a", None)]
    files = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png"))
    assert files == [f"a/{o}/{t:05d}.png" for o in ("000", "012") for t in range(3)]
    read = {f: np.asarray(Image.open(tmp_path / "out" / f)) for f in files}
    assert not read["a/012/00000.png"].any()  # not there yet
    assert (read["a/000/00002.png"] == 255 * square(2, 2)).all()
    assert (read["a/012/00002.png"] == 255 * square(4, 4)).all()


def test_the_highest_score_takes_a_pixel_and_the_smaller_id_wins_ties() -> None:
    scores = {
        7: np.array([[1.0, 2.0, -1.0, 3.0]], np.float32),
        2: np.array([[1.0, 1.0, -2.0, 4.0]], np.float32),
    }
    masks = exclusive(scores)
    assert masks[2].tolist() == [[True, False, False, True]]
    assert masks[7].tolist() == [[False, True, False, False]]
    assert exclusive({}) == {}


def test_only_frames_that_are_asked_for_are_written(tmp_path: Path) -> None:
    root = tmp_path / "set"
    make_video(
        root, "v", {5: {1: square(1, 1)}}, 11, images="valid_all_frames/JPEGImages", masks="valid/Annotations"
    )
    for t in (5, 10):
        save_frame(root / f"valid/JPEGImages/v/{t:05d}.jpg", t)
    dataset = open_dataset(get_benchmark("youtube2019"), root, "val-all-frames")
    run(VosJob(dataset, CopyTracker, tmp_path / "out"))
    assert sorted(p.name for p in (tmp_path / "out/v").iterdir()) == ["00005.png", "00010.png"]


@pytest.mark.parametrize(("form", "top"), [("videos", ""), ("Annotations", "Annotations/")])
def test_submissions_hold_what_servers_expect(tmp_path: Path, form: str, top: str) -> None:
    run(job(make_dataset(tmp_path / "set", frames=2), tmp_path / "out"))
    target = write_submission(tmp_path / "out", ["a", "b"], form, tmp_path / "submission.zip")  # type: ignore[arg-type]
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{top}{v}/{t:05d}.png" for v in "ab" for t in range(2)]
        assert archive.read(f"{top}a/00001.png") == (tmp_path / "out/a/00001.png").read_bytes()
    with pytest.raises(OutputError, match="Sequence 'c' is not predicted"):
        write_submission(tmp_path / "out", ["a", "c"], form, tmp_path / "other.zip")  # type: ignore[arg-type]
    assert not (tmp_path / "other.zip").exists()
