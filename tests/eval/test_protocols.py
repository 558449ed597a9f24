"""What each benchmark counts and what it leaves out, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgetam.errors import InputError, MediaError
from edgetam.eval.metrics import score_folder
from edgetam.eval.metrics.protocols.mosev2 import stretches
from tests.eval.folders import labels, pair, save, video, write_json


def with_void(root: Path, guess: np.ndarray) -> tuple[Path, Path]:
    """Truth whose lower rows are void, and a prediction that is the same on every frame."""
    gt, pred = pair(root, ("cat",))
    truth = labels(1, 2)
    truth[15:] = 255
    for t in range(5):
        save(gt / f"cat/{t:05d}.png", truth)
        save(pred / f"cat/{t:05d}.png", guess)
    return gt, pred


def test_davis2016_takes_whatever_is_not_black(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path)
    for t in range(5):
        save(gt / f"cat/{t:05d}.png", np.where(labels(1, 2) > 0, 255, 0).astype(np.uint8))
    scores = score_folder("davis2016", gt, pred)
    assert [(entry.sequence, entry.object) for entry in scores.objects] == [("cat", "1"), ("dog", "1")]
    assert scores.summary["J&F"] == 1.0


def test_davis_reads_its_own_layout(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path / "flat", ("cat", "dog", "extra"))
    root = tmp_path / "DAVIS"
    (root / "Annotations").mkdir(parents=True)
    gt.rename(root / "Annotations/480p")
    lists = root / "ImageSets/2017"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("dog\ncat\n")
    assert [part.sequence for part in score_folder("davis2017", root, pred).sequences] == ["dog", "cat"]
    with pytest.raises(MediaError, match=r"no list '.*train.txt'; the lists there are 2017/val.txt"):
        score_folder("davis2017", root, pred, split="train")
    old = root / "ImageSets/480p"
    old.mkdir()
    (old / "trainval.txt").write_text("/JPEGImages/480p/cat/00000.jpg /Annotations/480p/cat/00000.png\n" * 2)
    assert len(score_folder("davis2016", root, pred, split="trainval").objects) == 1


def test_davis_scores_ids_nobody_shows_as_rightly_absent(tmp_path: Path) -> None:
    for side in ("gt", "pred"):
        video(tmp_path / side / "cat", 4, 1, 3)
    scores = score_folder("davis2017", tmp_path / "gt", tmp_path / "pred")
    assert [entry.object for entry in scores.objects] == ["1", "2", "3"]
    assert scores.objects[1].scores["J"] == 1.0
    assert scores.notes == (
        "Sequence 'cat': object(s) 2 are not in the first annotation; this protocol scores such ids as "
        "objects that are rightly absent.",
    )


def test_davis_notes_objects_that_come_later(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path, ("cat",))
    save(gt / "cat/00002.png", labels(1, 2, 3))
    (note,) = score_folder("davis2017", gt, pred).notes
    assert note.startswith("Sequence 'cat', frame '00002', object 3: this object of the ground truth")


def test_unsupervised_matches_proposals_and_ignores_void(tmp_path: Path) -> None:
    guess = labels(9, 4)
    guess[16:, :10] = 9  # in the void: costs nothing
    gt, pred = with_void(tmp_path, guess)
    scores = score_folder("davis2017-unsupervised", gt, pred)
    assert scores.summary["J&F"] == 1.0
    assert [(entry.object, entry.pred_value) for entry in scores.objects] == [("2", 4), ("1", 9)]
    save(pred / "cat/00003.png", labels(21))
    with pytest.raises(InputError, match=r"Sequence 'cat', frame '00003', object 21: .* at most 20"):
        score_folder("davis2017-unsupervised", gt, pred)


def test_vos_benchmark_counts_from_where_an_object_is_seen(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path, ("cat",), frames=7)
    for t in range(7):
        save(gt / f"cat/{t:05d}.png", labels(1) if t < 4 else labels(1, 2))
        save(pred / f"cat/{t:05d}.png", labels(1) if t < 3 else labels(1, 2))
    second = score_folder("vos-benchmark", gt, pred).objects[1]
    assert second.frames == ("00003", "00004", "00005")  # first seen in the prediction; the last frame is out
    assert second.scores["J"] == pytest.approx(2 / 3)
    everything = score_folder("vos-benchmark-all-frames", gt, pred).objects[0]
    assert len(everything.frames) == 7


def test_vos_benchmark_may_take_void_for_background(tmp_path: Path) -> None:
    guess = labels(1, 2)
    guess[15:, :16] = 1  # in the void: costs as much as anywhere else
    gt, pred = with_void(tmp_path, guess)
    scores = score_folder("vos-benchmark-void", gt, pred)
    area = (labels(1) == 1).sum()
    assert [(entry.object, entry.scores["J"]) for entry in scores.objects] == [
        ("1", area / (area + 5 * 16)),
        ("2", 1.0),
    ]
    assert scores.notes == ()
    published = score_folder("vos-benchmark", gt, pred)
    assert published.objects[2].object == "255" and "255" in published.notes[0]


@pytest.mark.parametrize("protocol", ["mosev2", "lvos", "youtube-vos", "vos-benchmark"])
@pytest.mark.parametrize(
    ("folder", "split"),
    [("valid", None), ("val", None), ("valid", "val"), ("val", "val"), ("train", "train"), ("test", "test")],
)
def test_roots_have_a_folder_for_each_split(
    tmp_path: Path, protocol: str, folder: str, split: str | None
) -> None:
    frames = [f"{1 + 5 * t:08d}" for t in range(5)]
    span = {"start": "1", "end": "21", "frame_nums": "5"}
    entry = {"length": 5, "objects": {"1": {"category": "cat", "frames": frames, "frame_range": span}}}
    other = "valid" if split in ("train", "test") else "train"
    for place in (f"{folder}/Annotations/right", f"{other}/Annotations/wrong", "../pred/right"):
        for name in frames:
            save(tmp_path / "gt" / place / f"{name}.png", labels(1))
    for place, name in ((folder, "right"), (other, "wrong")):
        write_json(tmp_path / f"gt/{place}/meta.json", {"videos": {name: entry}})
        write_json(tmp_path / f"gt/{place}/categories.json", {"seen": ["cat"], "unseen": []})
        (tmp_path / f"gt/{place}/unseen_videos.txt").write_text("")
    scores = score_folder(protocol, tmp_path / "gt", tmp_path / "pred", split=split)
    assert [entry.sequence for entry in scores.objects] == ["right"]
    assert scores.gt == tmp_path / f"gt/{folder}/Annotations"


@pytest.mark.parametrize(("folder", "split"), [("sav_val", None), ("sav_val", "val"), ("sav_test", "test")])
def test_sav_has_a_folder_for_each_split(tmp_path: Path, folder: str, split: str | None) -> None:
    other = "sav_val" if split == "test" else "sav_test"
    for place in (f"gt/{folder}/Annotations_6fps/right", f"gt/{other}/Annotations_6fps/wrong", "pred/right"):
        video(tmp_path / place / "000", 5, 1)
    scores = score_folder("sav", tmp_path / "gt", tmp_path / "pred", split=split)
    assert [entry.sequence for entry in scores.objects] == ["right"]


def test_lists_may_lie_at_the_top(tmp_path: Path) -> None:
    """As those of VOST do."""
    gt, pred = pair(tmp_path, ("cat", "dog"))
    gt.rename(tmp_path / "Annotations")
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets/val.txt").write_text("dog\n")
    assert [part.sequence for part in score_folder("davis2017", tmp_path, pred).sequences] == ["dog"]


def test_sav_has_a_folder_for_each_object(tmp_path: Path) -> None:
    for side in ("gt", "pred"):
        for item in ("000", "001"):
            video(tmp_path / side / "clip" / item, 5, 255)
    gt, pred = tmp_path / "gt", tmp_path / "pred"
    assert [entry.object for entry in score_folder("sav", gt, pred).objects] == ["000", "001"]
    (pred / "clip/001/00002.png").unlink()
    with pytest.raises(InputError, match="Sequence 'clip', frame '00002', object 001: no prediction"):
        score_folder("sav", gt, pred)
    save(pred / "clip/001/00002.png", labels(1, 2))
    with pytest.raises(InputError, match="object 001: the prediction has 3 pixel values"):
        score_folder("sav", gt, pred)
    video(pred / "clip/001", 5, 255)
    for t in range(1, 4):
        save(gt / f"clip/001/{t:05d}.png", labels())
    with pytest.raises(InputError, match="Sequence 'clip', object 001: the ground truth is empty on all 3"):
        score_folder("sav", gt, pred)
    assert [entry.object for entry in score_folder("sav", gt, pred, lenient=True).objects] == ["000"]


def test_sav_objects_too_short_are_named(tmp_path: Path) -> None:
    for side in ("gt", "pred"):
        video(tmp_path / side / "clip/000", 5, 1)
        video(tmp_path / side / "clip/001", 2, 1)
    with pytest.raises(InputError, match=r"Sequence 'clip', object 001 has 2 annotated frame"):
        score_folder("sav", tmp_path / "gt", tmp_path / "pred")


def test_sav_notes_objects_that_do_not_count(tmp_path: Path) -> None:
    for side, items in (("gt", ["000"]), ("pred", ["000", "007"])):
        for item in items:
            video(tmp_path / side / "clip" / item, 4, 1)
    assert "object(s) 007" in score_folder("sav", tmp_path / "gt", tmp_path / "pred").notes[0]


def test_stretches_of_absence_and_return() -> None:
    absent = np.array([True, False, False, True, True, False, True])
    assert stretches(absent) == ([(3, 5), (6, 7)], [(1, 3), (5, 6)])
    assert stretches(np.zeros(4, bool)) == ([], [])
    assert stretches(np.ones(4, bool)) == ([], [])


def test_mosev2_wants_as_many_frames_as_described(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path, ("cat",))
    with pytest.raises(MediaError, match=r"no file '.*valid_meta.json'.*--meta"):
        score_folder("mosev2", gt, pred)
    write_json(tmp_path / "meta.json", {"videos": {"cat": {"length": 5, "objects": ["1", "2"]}}})
    scores = score_folder("mosev2", gt, pred)  # found beside the folder of sequences
    assert scores.summary["J"] == 1.0
    assert scores.summary["F-dot"] < 1.0  # as published: on small pictures its disk is off-centre
    assert "disappear-J" not in scores.objects[0].scores
    write_json(tmp_path / "meta.json", {"videos": {"cat": {"length": 6, "objects": ["1"]}}})
    with pytest.raises(InputError, match="Sequence 'cat' has 5 annotations, but its meta file says 6"):
        score_folder("mosev2", gt, pred)
    write_json(tmp_path / "meta.json", {"videos": {"dog": {"length": 5, "objects": ["1"]}}})
    with pytest.raises(InputError, match="Sequence 'cat' is not described"):
        score_folder("mosev2", gt, pred)


@pytest.mark.parametrize("protocol", ["mosev2", "lvos", "youtube-vos"])
@pytest.mark.parametrize("entry", [{}, {"objects": {"1": {}}}, {"length": 5, "objects": 3}, []])
def test_a_meta_file_of_something_else(tmp_path: Path, protocol: str, entry: object) -> None:
    gt, pred = pair(tmp_path, ("cat",))
    write_json(gt / "meta.json", {"videos": {"cat": entry}})
    write_json(gt / "categories.json", {"seen": [], "unseen": []})
    (gt / "unseen_videos.txt").write_text("")
    with pytest.raises(MediaError, match="Sequence 'cat': its entry in the meta file cannot be used"):
        score_folder(protocol, gt, pred)


@pytest.mark.parametrize("content", ["", "[]", '{"videos": {}}', '{"videos": 3}'])
def test_a_meta_file_without_videos(tmp_path: Path, content: str) -> None:
    gt, pred = pair(tmp_path, ("cat",))
    (gt / "meta.json").write_text(content)
    with pytest.raises(MediaError, match=r"meta.json' (cannot be read as JSON|has no entry 'videos')"):
        score_folder("mosev2", gt, pred)


def test_more_objects_than_proposals(tmp_path: Path) -> None:
    picture = np.zeros((60, 60), np.uint8)
    for value in range(1, 24):
        picture[2 * value, 5:20] = value
    for t in range(3):
        save(tmp_path / f"gt/a/{t:05d}.png", picture)
        save(tmp_path / f"pred/a/{t:05d}.png", np.where(picture <= 20, picture, 0).astype(np.uint8))
    scores = score_folder("davis2017-unsupervised", tmp_path / "gt", tmp_path / "pred")
    assert [entry.scores["J"] for entry in scores.objects] == [1.0] * 20 + [0.0] * 3


def test_lvos_follows_the_ranges_of_its_meta_file(tmp_path: Path) -> None:
    for side in ("gt", "pred"):
        for t in range(1, 27, 5):
            save(tmp_path / side / f"a/{t:08d}.png", labels(1, 2))
            save(tmp_path / side / f"b/{t:08d}.png", labels(1))
    spans = {"1": ("1", "26", "6"), "2": ("11", "26", "4")}
    names = ("start", "end", "frame_nums")
    objects = {k: {"frame_range": dict(zip(names, span, strict=True))} for k, span in spans.items()}
    videos = {"a": {"objects": objects}, "b": {"objects": {"1": objects["1"]}}}
    write_json(tmp_path / "gt/valid_meta.json", {"videos": videos})
    with pytest.raises(MediaError, match=r"unseen_videos.txt.*--groups"):
        score_folder("lvos", tmp_path / "gt", tmp_path / "pred")
    (tmp_path / "gt/unseen_videos.txt").write_text("b\n")
    scores = score_folder("lvos", tmp_path / "gt", tmp_path / "pred")
    assert [(e.sequence, e.object, len(e.frames), e.group) for e in scores.objects] == [
        ("a", "1", 4, "seen"),
        ("a", "2", 2, "seen"),
        ("b", "1", 4, "unseen"),
    ]
    assert (scores.summary["J&F"], scores.summary["V"]) == (1.0, 0.0)
    objects["2"]["frame_range"]["frame_nums"] = "7"
    write_json(tmp_path / "gt/valid_meta.json", {"videos": videos})
    with pytest.raises(InputError, match=r"Sequence 'a', object 2: its range has 4 frames, .* 7"):
        score_folder("lvos", tmp_path / "gt", tmp_path / "pred")


def test_youtube_vos_tells_seen_from_unseen(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path, ("cat",))
    for t in range(5):
        save(pred / f"cat/{t:05d}.png", labels(1))
    frames = [f"{t:05d}" for t in range(5)]
    objects = {
        "1": {"category": "cat", "frames": frames},
        "2": {"category": "yak", "frames": frames[2:]},
        "3": {"category": "yak", "frames": frames[4:]},
    }
    write_json(gt / "meta.json", {"videos": {"cat": {"objects": objects}}})
    with pytest.raises(MediaError, match=r"categories.json.*--groups"):
        score_folder("youtube-vos", gt, pred)
    write_json(gt / "categories.json", {"seen": ["cat"], "unseen": []})
    with pytest.raises(InputError, match=r"Sequence 'cat', object 2: .* category 'yak'"):
        score_folder("youtube-vos", gt, pred)
    training = {"videos": {"x": {"objects": {"1": {"category": "cat", "frames": []}}}}}
    groups = write_json(tmp_path / "train.json", training)
    scores = score_folder("youtube-vos", gt, pred, groups=groups)
    assert scores.summary == {"G": 0.5, "J-seen": 1.0, "F-seen": 1.0, "J-unseen": 0.0, "F-unseen": 0.0}
    assert [(e.object, e.frames) for e in scores.objects] == [
        ("1", ("00001", "00002", "00003", "00004")),
        ("2", ("00003", "00004")),
    ]
    assert scores.notes == ("Sequence 'cat', object 3 has no frame to be scored on.",)
    native = score_folder("youtube-vos-native", gt, pred, groups=groups)
    assert [e.frames for e in native.objects] == [("00001", "00002", "00003"), ("00003",)]


@pytest.mark.parametrize("protocol", ["davis2016", "davis2017", "vos-benchmark", "sav"])
def test_frames_without_leading_zeros_follow_each_other_as_in_time(tmp_path: Path, protocol: str) -> None:
    for side in ("gt", "pred"):
        for t in range(8, 12):  # as text, 10 and 11 would come first and 9 last
            save(tmp_path / side / f"cat/{t}.png", labels(*((1, 2) if t == 8 else (1,))))
    scores = score_folder(protocol, tmp_path / "gt", tmp_path / "pred")
    assert {entry.frames for entry in scores.objects} == {("9", "10")}
    assert [entry.object for entry in scores.objects] == ["1", "2"][: 2 if protocol == "davis2017" else 1]


def test_youtube_vos_counts_frames_without_leading_zeros(tmp_path: Path) -> None:
    names = ["8", "9", "10", "11"]
    for side in ("gt", "pred"):
        for name in names:
            save(tmp_path / side / f"cat/{name}.png", labels(1))
    about = {"objects": {"1": {"category": "cat", "frames": names}}}
    write_json(tmp_path / "gt/meta.json", {"videos": {"cat": about}})
    groups = write_json(tmp_path / "groups.json", {"seen": ["cat"], "unseen": []})
    for protocol, counted in (("youtube-vos", ("9", "10", "11")), ("youtube-vos-native", ("9", "10"))):
        scores = score_folder(protocol, tmp_path / "gt", tmp_path / "pred", groups=groups)
        assert scores.objects[0].frames == counted
