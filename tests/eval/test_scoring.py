"""Ground truth is scored wherever it lies, by the rules of its benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgetam.errors import ConfigError, MediaError
from edgetam.eval.datasets import Dataset, get_benchmark, open_dataset
from edgetam.eval.metrics import Scores
from edgetam.eval.running import run_sequences
from edgetam.eval.scoring import Scorer
from edgetam.eval.trackers import CopyTracker
from edgetam.eval.vos_run import VosJob
from tests.eval.scenes import make_video, moving, save_frame, save_ids, square

COPIED = np.mean([5 / 7, 4 / 8, 3 / 9])
"""J of a square of 6 x 6 left where it was, t pixels off on frame t, without the first and last of five."""


def scored(dataset: Dataset, out: Path, **options: Path | str) -> Scores:
    """Copy first masks and score them."""
    job = VosJob(dataset, CopyTracker, out / "predictions")
    assert all(error is None for _, error in run_sequences(job, job.pending()))
    scorer = Scorer(dataset, **{"protocol": dataset.protocol, "work": out / "work", **options})  # type: ignore[arg-type]
    scorer.check()
    return scorer.score(out / "predictions")


def test_two_folders_per_video_are_linked(tmp_path: Path) -> None:
    for scene in ("Scene01", "Scene02"):
        for t, mask in enumerate(moving(5)):
            folder = tmp_path / f"set/{scene}/fog/frames"
            save_frame(folder / f"rgb/Camera_0/rgb_{t:05d}.jpg", t)
            save_ids(folder / f"instanceSegmentation/Camera_0/instancegt_{t:05d}.png", {7: mask})
    scores = scored(open_dataset(get_benchmark("vkitti2"), tmp_path / "set"), tmp_path)
    assert [each.sequence for each in scores.sequences] == ["Scene01__fog", "Scene02__fog"]
    assert scores.summary["J"] == pytest.approx(COPIED, abs=1e-12)


def test_a_folder_per_object(tmp_path: Path) -> None:
    for t, mask in enumerate(moving(5)):
        save_frame(tmp_path / f"set/JPEGImages/a/{t:05d}.jpg", t)
        save_ids(tmp_path / f"set/Annotations/a/000/{t:05d}.png", {1: mask})
        save_ids(tmp_path / f"set/Annotations/a/001/{t:05d}.png", {1: square(4, 9)})
    scores = scored(open_dataset(get_benchmark("generic"), tmp_path / "set"), tmp_path)
    assert scores.protocol == "sav"
    assert {o.object: o.scores["J"] for o in scores.objects} == {"000": pytest.approx(COPIED), "001": 1.0}


def test_void_is_scored_as_it_was_prompted(tmp_path: Path) -> None:
    masks = {1: square(2, 2), 2: square(12, 2), 255: square(22, 2)}
    make_video(tmp_path / "set", "a", dict.fromkeys(range(4), masks), 4)
    dataset = open_dataset(get_benchmark("generic"), tmp_path / "set")
    assert scored(dataset, tmp_path).summary["J&F"] == 1.0
    published = scored(dataset, tmp_path, protocol="vos-benchmark")
    assert {o.object: o.scores["J"] for o in published.objects} == {"1": 1.0, "2": 1.0, "255": 0.0}


def test_vost_takes_objects_from_the_first_frame(tmp_path: Path) -> None:
    first = {1: square(2, 2), 255: square(22, 2)}
    make_video(tmp_path / "set", "a", {t: {**first, 2: square(12, 2)} if t else first for t in range(4)}, 4)
    (tmp_path / "set/ImageSets").mkdir()
    (tmp_path / "set/ImageSets/val.txt").write_text("a\n")
    scores = scored(open_dataset(get_benchmark("vost"), tmp_path / "set"), tmp_path)
    assert [(o.object, o.scores["J"]) for o in scores.objects] == [("1", 1.0)]


def test_only_the_sequences_of_the_data_set_count(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_video(tmp_path / "set", name, {t: {1: mask} for t, mask in enumerate(moving(5))}, 5)
    dataset = open_dataset(get_benchmark("generic"), tmp_path / "set").select(["b"])
    assert [each.sequence for each in scored(dataset, tmp_path).sequences] == ["b"]


def lvos(root: Path, folder: str = "valid", split: str | None = None) -> Dataset:
    frames = [f"{1 + 5 * t:08d}" for t in range(5)]
    for t, (name, mask) in enumerate(zip(frames, moving(5), strict=True)):
        save_frame(root / f"{folder}/JPEGImages/v/{name}.jpg", t)
        save_ids(root / f"{folder}/Annotations/v/{name}.png", {1: mask})
    return open_dataset(get_benchmark("lvos"), root, split)


def test_what_scoring_needs_is_missed_before_tracking(tmp_path: Path) -> None:
    dataset = lvos(tmp_path / "set")
    with pytest.raises(MediaError, match=r"unseen_videos.txt'.*--groups"):
        Scorer(dataset, dataset.protocol, tmp_path / "work").check()
    with pytest.raises(ConfigError, match="no protocol 'other'"):
        Scorer(dataset, "other", tmp_path / "work").check()


@pytest.mark.parametrize(("folder", "split"), [("valid", None), ("train", "train")])
def test_lvos_with_its_descriptions(tmp_path: Path, folder: str, split: str | None) -> None:
    dataset = lvos(tmp_path / "set", folder, split)
    span = {"start": "1", "end": "21", "frame_nums": "5"}
    meta = {"videos": {"v": {"objects": {"1": {"frame_range": span}}}}}
    (tmp_path / f"set/{folder}/{folder}_meta.json").write_text(json.dumps(meta))
    (tmp_path / "unseen.txt").write_text("v\n")
    scores = scored(dataset, tmp_path, groups=tmp_path / "unseen.txt")
    assert scores.summary["J-unseen"] == pytest.approx(COPIED, abs=1e-12)


def test_where_the_frames_are(tmp_path: Path) -> None:
    make_video(tmp_path, "a", {t: {1: square(1, 1)} for t in range(3)}, 3)
    dataset = open_dataset(get_benchmark("generic"), tmp_path)
    assert Scorer(dataset, "davis2017", tmp_path).images() == tmp_path / "JPEGImages"
