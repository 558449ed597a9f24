"""All trackers keep the same protocol; the baselines do what their names say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgetam import VideoTracker
from edgetam.errors import PromptError
from edgetam.eval.trackers import CopyTracker, EdgeTAMTracker, FlowTracker, SAM2Tracker, Tracker
from edgetam.io import open_frames
from edgetam.structs import Prompt
from tests.eval.scenes import HEIGHT, WIDTH, save_frame, square
from tests.tracking.fake_engine import FakeEngine


def sliding(frames: int, step: int = 3) -> NDArray[np.uint8]:
    """A smooth texture that moves to the right, ``[T, 96, 128, 3]``."""
    wide = np.random.default_rng(0).integers(0, 255, (96, 128 + step * frames), np.uint8)
    wide = cv2.GaussianBlur(wide, (0, 0), 3)
    views = [wide[:, step * (frames - t) :][:, :128] for t in range(frames)]
    return np.stack([cv2.normalize(v, None, 0, 255, cv2.NORM_MINMAX) for v in views])[..., None].repeat(3, -1)


def box(x: int) -> NDArray[np.bool_]:
    mask = np.zeros((96, 128), bool)
    mask[30:60, x : x + 30] = True
    return mask


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_copy_leaves_masks_where_they_are() -> None:
    video = CopyTracker().open(open_frames(np.zeros((4, HEIGHT, WIDTH, 3), np.uint8)))
    assert ((video.prompt(0, 1, Prompt(mask=square(2, 2))) > 0) == square(2, 2)).all()
    video.prompt(2, 5, Prompt(mask=square(12, 2)))
    results = list(video.propagate(0))
    assert [r.frame for r in results] == [0, 1, 2, 3]
    assert [sorted(r.objects) for r in results] == [[1], [1], [1, 5], [1, 5]]
    assert ((results[3].objects[1] > 0) == square(2, 2)).all()
    assert ((results[3].objects[5] > 0) == square(12, 2)).all()
    assert [r.frame for r in video.propagate(3)] == [3]


def test_flow_follows_what_moves() -> None:
    video = FlowTracker().open(open_frames(sliding(6)))
    video.prompt(0, 1, Prompt(mask=box(20)))
    results = list(video.propagate(0))
    last = results[5].objects[1] > 0
    assert overlap(last, box(35)) > 0.9
    assert overlap(box(20), box(35)) < 0.4  # what a copy would have


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (8, 100), (60, 11)])
def test_flow_takes_videos_below_what_opencv_takes(size: tuple[int, int]) -> None:
    height, width = size
    frames = sliding(3, step=1)[:, :height, :width]
    mask = np.zeros(size, bool)
    mask[: height // 2 + 1, : width // 2 + 1] = True
    video = FlowTracker().open(open_frames(frames))
    video.prompt(0, 1, Prompt(mask=mask))
    last = list(video.propagate(0))[2].objects[1]
    assert last.shape == size and np.isfinite(last).all()
    if width > 10:  # enough to see it move
        moved = np.roll(mask, 2, 1)
        assert overlap((last > 0)[:, 2:], moved[:, 2:]) > 0.9


def test_flow_begins_where_the_prompt_is() -> None:
    video = FlowTracker().open(open_frames(sliding(6)))
    video.prompt(3, 1, Prompt(mask=box(29)))
    early, *_, last = video.propagate(0)
    assert early.objects == {} and overlap(last.objects[1] > 0, box(35)) > 0.9
    assert overlap(next(iter(video.propagate(5))).objects[1] > 0, box(35)) > 0.9


@pytest.mark.parametrize("tracker", [CopyTracker(), FlowTracker()])
def test_baselines_do_not_take_clicks(tracker: Tracker) -> None:
    video = tracker.open(open_frames(sliding(2)))
    with pytest.raises(PromptError, match="only follows masks"):
        video.prompt(0, 1, Prompt(points=[[3, 3]]))


def test_ours_hands_out_what_the_session_does() -> None:
    images = list(np.random.default_rng(0).integers(0, 255, (5, HEIGHT, WIDTH, 3), np.uint8))
    session = VideoTracker(FakeEngine()).open(images)
    video = EdgeTAMTracker(VideoTracker(FakeEngine())).open(open_frames(images))
    for click in ([[3, 3]], [[8, 9]]):
        expected = session.prompt(0, 1, points=click).objects[1].mask
        assert ((video.prompt(0, 1, Prompt(points=click)) > 0) == expected).all()
    assert [r.frame for r in video.propagate(3)] == [3, 4]
    for expected_result, result in zip(session.propagate(), video.propagate(0), strict=True):
        assert result.frame == expected_result.frame
        assert ((result.objects[1] > 0) == expected_result.objects[1].mask).all()
    video.close()


class Predictor:
    """The published predictor's methods; object ``i`` is the column ``i + frame``."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def init_state(self, video_path: Any) -> dict[str, Any]:
        self.calls.append(("init_state", video_path))
        return {"ids": []}

    def add_new_points_or_box(self, inference_state: Any, frame_idx: int, obj_id: int, **given: Any) -> Any:
        self.calls.append(("points", frame_idx, obj_id, given))
        return self._add(inference_state, frame_idx, obj_id)

    def add_new_mask(self, inference_state: Any, frame_idx: int, obj_id: int, mask: Any) -> Any:
        self.calls.append(("mask", frame_idx, obj_id, mask.sum()))
        return self._add(inference_state, frame_idx, obj_id)

    def propagate_in_video(self, inference_state: Any, start_frame_idx: int) -> Any:
        self.calls.append(("propagate", start_frame_idx, list(inference_state["ids"])))
        return (self._answer(inference_state, t) for t in range(start_frame_idx, 6))

    def _add(self, state: Any, frame: int, obj_id: int) -> Any:
        state["ids"] += [obj_id] * (obj_id not in state["ids"])
        return self._answer(state, frame)

    def _answer(self, state: Any, frame: int) -> Any:
        logits = torch.full((len(state["ids"]), 1, HEIGHT, WIDTH), -5.0)
        for row, i in enumerate(state["ids"]):
            logits[row, 0, :, i + frame] = 5
        return frame, state["ids"], logits


def columns(scores: Any) -> list[int]:
    return np.flatnonzero((scores > 0).all(0)).tolist()


@pytest.mark.parametrize(
    ("share_states", "runs"),
    [(False, [(0, [3]), (0, [2]), (2, [1])]), (True, [(0, [3, 2]), (2, [1])])],
)
def test_the_sam2_api_gives_every_object_a_state_unless_told_to_share(
    tmp_path: Path, share_states: bool, runs: list[tuple[int, list[int]]]
) -> None:
    for t in range(6):
        save_frame(tmp_path / f"img{t + 7}.jpg", t)
    predictor = Predictor()
    with open_frames(tmp_path) as frames:
        video = SAM2Tracker(predictor, share_states=share_states).open(frames)
        assert columns(video.prompt(0, 3, Prompt(mask=square(1, 1)))) == [3]
        video.prompt(2, 1, Prompt(points=[[4, 5]], labels=[1]))
        assert columns(video.prompt(0, 2, Prompt(box=[1, 2, 3, 4]))) == [2]
        opened = [call[1] for call in predictor.calls if call[0] == "init_state"]
        folder = opened[0]
        assert opened == [folder] * len(runs)
        links = sorted(Path(folder).iterdir())
        assert [p.name for p in links] == [f"{t:05d}.jpg" for t in range(6)]
        assert links[0].resolve() == (tmp_path / "img7.jpg").resolve()
        results = list(video.propagate(0))
        video.close()
    assert not Path(folder).exists()
    assert [sorted(r.objects) for r in results] == [[2, 3], [2, 3], *[[1, 2, 3]] * 4]
    assert [columns(results[4].objects[i]) for i in (1, 2, 3)] == [[5], [6], [7]]
    assert [c[1:] for c in predictor.calls if c[0] == "propagate"] == runs
    points, boxed = (c[3] for c in predictor.calls if c[0] == "points")
    assert points["points"].tolist() == [[4, 5]] and points["labels"].tolist() == [1]
    assert not points["clear_old_points"] and boxed["clear_old_points"] and boxed["points"] is None


def test_the_sam2_api_cannot_begin_before_it_began() -> None:
    video = SAM2Tracker(Predictor()).open(open_frames(np.zeros((6, HEIGHT, WIDTH, 3), np.uint8)))
    video.prompt(2, 1, Prompt(points=[[4, 5]], labels=[1]))
    with pytest.raises(PromptError, match="begins on frame 2"):
        video.prompt(1, 1, Prompt(points=[[4, 5]], labels=[1]))


def test_our_own_sam2_api_and_our_tracker_agree(engine: Any, tmp_path: Path) -> None:
    from edgetam.compat.video_predictor import SAM2VideoPredictor
    from edgetam.eval.trackers import FrameScores

    for t in range(3):
        save_frame(tmp_path / f"{t}.jpg", t, (64, 48))
    mask = np.zeros((48, 64), bool)
    mask[10:30, 20:50] = True
    from edgetam.tracking import TrackerOptions

    plain = TrackerOptions(fill_holes=0, stable_single=False, binarize_prompted=False)
    found: list[list[FrameScores]] = []
    for tracker in (EdgeTAMTracker(VideoTracker(engine, plain)), SAM2Tracker(SAM2VideoPredictor(engine))):
        with open_frames(tmp_path) as frames:
            video = tracker.open(frames)
            video.prompt(0, 1, Prompt(mask=mask))
            found.append(list(video.propagate(0)))
            video.close()
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.objects[1], theirs.objects[1], atol=1e-3)
