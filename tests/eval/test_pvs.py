"""Every round of the simulated annotator, on masks small enough to see where the clicks must fall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetam.errors import MediaError, PromptError
from edgetam.eval.curve import BOTTOM, HEIGHT, TOP, line_chart
from edgetam.eval.datasets import EvalVideo, get_benchmark, open_dataset
from edgetam.eval.protocols.pvs import Annotator, annotation_seconds, offline, online
from edgetam.eval.pvs_run import PvsJob, mean_curve
from edgetam.eval.running import run_sequences
from edgetam.eval.trackers import CopyTracker
from edgetam.structs import Prompt
from tests.eval.scenes import FakeTracker, make_dataset, save_frame, save_ids

SIDE = 5
BLOCK = np.zeros((SIDE, SIDE), bool)
BLOCK[1:4, 1:4] = True
NOTHING = np.zeros((SIDE, SIDE), bool)
SVG = "{http://www.w3.org/2000/svg}"
Mask = NDArray[np.bool_]


def scene(root: Path, truth: Sequence[Mask | None]) -> EvalVideo:
    """A video of 5 x 5 pixels; None has no annotation."""
    for t, mask in enumerate(truth):
        save_frame(root / f"JPEGImages/a/{t:05d}.png", t, (SIDE, SIDE))
        if mask is not None:
            save_ids(root / f"Annotations/a/{t:05d}.png", {1: mask}, (SIDE, SIDE))
    return open_dataset(get_benchmark("generic"), root).video("a")


def columns(count: int) -> Mask:
    """The first columns of the block: overlaps with it by count / 3."""
    mask = BLOCK.copy()
    mask[:, 1 + count :] = False
    return mask


def clicks(tracker: FakeTracker) -> list[tuple[int, int, int, int]]:
    """Frame, x, y and label of every click."""
    return [(f, *p.points[0], *p.labels) for f, _, p in tracker.asked("prompt")]


def learner(start: Sequence[int]) -> FakeTracker:
    """Finds ``start[frame]`` columns, and all three on frames with three clicks or more."""
    tracker = FakeTracker(lambda *_: NOTHING)

    def answer(frame: int, number: int, prompts: list[Prompt]) -> Mask:
        here = sum(f == frame for f, _, _ in tracker.asked("prompt")[-len(prompts) :])
        return columns(3 if here >= 3 else start[frame])

    tracker.answer = answer
    return tracker


def test_offline_prompts_the_first_frame_and_then_the_worst_one(tmp_path: Path) -> None:
    video = scene(tmp_path, [BLOCK] * 5)
    tracker = learner([0, 2, 1, 2, 0])
    outcomes = offline(tracker, video, 1, 0, Annotator(frames=4))
    assert [o.prompted for o in outcomes] == [(0,), (0, 4), (0, 4, 2), (0, 4, 2, 1)]
    assert [o.region for o in outcomes] == pytest.approx(
        [
            (3 + 2 + 1 + 2 + 0) / 15,
            (3 + 2 + 1 + 2 + 3) / 15,
            (3 + 2 + 3 + 2 + 3) / 15,
            (3 + 3 + 3 + 2 + 3) / 15,
        ]
    )
    # three clicks on each of four frames, and the video is tracked from the first prompt after each of them
    assert [f for f, *_ in clicks(tracker)] == [0, 0, 0, 4, 4, 4, 2, 2, 2, 1, 1, 1]
    assert tracker.asked("propagate") == [(0,)] * 4
    assert tracker.opened == tracker.closed == 1
    # nothing is found yet: the middle of the block
    assert clicks(tracker)[0] == (0, 2, 2, 1)
    # one column of three is found: two columns are missing, (2, 1..3) and (3, 1..3), none deeper than another
    assert clicks(tracker)[6] == (2, 2, 1, 1)


def test_offline_comes_back_to_a_frame_only_when_all_have_been_prompted(tmp_path: Path) -> None:
    video = scene(tmp_path, [BLOCK] * 2)
    tracker = FakeTracker(lambda frame, *_: columns(frame + 1))
    outcomes = offline(tracker, video, 1, 0, Annotator(frames=4, clicks=1))
    assert [o.prompted[-1] for o in outcomes] == [0, 1, 0, 0]


def test_frames_without_truth_are_not_judged(tmp_path: Path) -> None:
    video = scene(tmp_path, [BLOCK, None, BLOCK, None])
    tracker = FakeTracker(lambda frame, *_: columns(2) if frame == 2 else columns(0) if frame % 2 else BLOCK)
    (first, second) = offline(tracker, video, 1, 0, Annotator(frames=2))
    assert first.region == pytest.approx((1 + 2 / 3) / 2)
    assert second.prompted == (0, 2)
    (only,) = online(tracker, video, 1, 0, Annotator(frames=1))
    assert only.region == pytest.approx((1 + 2 / 3) / 2)


def test_an_object_that_leaves_is_clicked_away(tmp_path: Path) -> None:
    """Where it is not, what was found is wrong, and finding nothing counts as perfect."""
    video = scene(tmp_path, [BLOCK, NOTHING])
    tracker = FakeTracker(lambda frame, number, prompts: BLOCK if frame == 0 or len(prompts) < 5 else NOTHING)
    first, second = offline(tracker, video, 1, 0, Annotator(frames=2))
    assert (first.region, second.region) == (0.5, 1.0)
    # the middle of what is too much, twice; the third time nothing is wrong and nothing is there to click on
    assert clicks(tracker)[3:] == [(1, 2, 2, 0), (1, 2, 2, 0), (1, 2, 2, 0)]


def test_online_stops_where_the_overlap_is_below_the_threshold(tmp_path: Path) -> None:
    video = scene(tmp_path, [BLOCK] * 5)
    tracker = learner([0, 2, 3, 1, 0])
    outcomes = online(tracker, video, 1, 0, Annotator(frames=3))
    assert [o.prompted for o in outcomes] == [(0,), (0, 1), (0, 1, 3)]
    assert [o.region for o in outcomes] == pytest.approx(
        [(3 + 2 + 3 + 1 + 0) / 15, (3 + 3 + 3 + 1 + 0) / 15, (3 + 3 + 3 + 3 + 0) / 15]
    )
    # each allowance is a pass of its own, and after a prompt tracking goes on from the next frame
    assert tracker.asked("propagate") == [(1,), (1,), (2,), (1,), (2,), (4,)]
    assert tracker.opened == 3


def test_online_freezes_what_was_answered_before(tmp_path: Path) -> None:
    """A tracker that gets everything right after its second prompt, also what came before it."""
    video = scene(tmp_path, [BLOCK] * 4)
    tracker = FakeTracker(
        lambda frame, number, prompts: BLOCK if len(prompts) > 3 or frame == 0 else columns(3 - frame)
    )
    _, second = online(tracker, video, 1, 0, Annotator(frames=2, threshold=0.5))
    assert second.prompted == (0, 2)
    assert second.region == pytest.approx((1 + 2 / 3 + 1 + 1) / 4)  # frame 1 was good enough and stays


def test_online_can_prompt_the_last_frame_and_saves_passes_that_change_nothing(tmp_path: Path) -> None:
    video = scene(tmp_path, [BLOCK] * 3)
    tracker = learner([3, 3, 0])
    outcomes = online(tracker, video, 1, 0, Annotator(frames=8))
    assert [o.prompted for o in outcomes] == [(0,)] + [(0, 2)] * 7
    assert tracker.opened == 3


def test_late_objects_begin_where_they_show(tmp_path: Path) -> None:
    video = scene(tmp_path, [NOTHING, BLOCK, BLOCK])
    tracker = FakeTracker(lambda frame, *_: columns(frame))
    for run in (offline, online):
        (outcome,) = run(tracker, video, 1, 1, Annotator(frames=1))
        assert outcome.prompted == (1,) and outcome.region == pytest.approx((1 / 3 + 2 / 3) / 2)


def test_failures_name_sequence_and_object(tmp_path: Path) -> None:
    video = scene(tmp_path, [BLOCK] * 3)
    with pytest.raises(PromptError, match=r"Sequence 'a', object 1: .*only follows masks"):
        offline(CopyTracker(), video, 1, 0, Annotator())
    save_ids(tmp_path / "Annotations/a/00001.png", {1: np.ones((9, 9), bool)}, (9, 9))
    with pytest.raises(MediaError, match="object 1: Sequence 'a', frame 00001: the mask is 9x9"):
        online(learner([0, 0, 0]), video, 1, 0, Annotator())


@pytest.mark.parametrize("values", [[100.0, 100.0], [95.0, 100.0], [0.0], [73.0, 73.0]])
def test_curves_of_any_height_are_drawn(values: list[float]) -> None:
    chart = line_chart("J", "frames", "%", range(len(values)), {"J": values})
    heights = [float(dot.get("cy", "nan")) for dot in ElementTree.fromstring(chart).iter(f"{SVG}circle")]
    assert len(heights) == len(values)
    assert all(TOP <= height <= HEIGHT - BOTTOM for height in heights)
    assert heights == sorted(heights, reverse=True)
    assert (heights[-1] == TOP) is (values[-1] == 100)


def test_the_annotators_time() -> None:
    assert annotation_seconds("offline", 300, 2, 3) == (30 + 1 + 4.5) * 2
    assert annotation_seconds("online", 150, 2, 3) == 15 + (1 + 4.5) * 2


def test_a_run_over_a_data_set_and_its_curve(tmp_path: Path) -> None:
    dataset = open_dataset(get_benchmark("generic"), make_dataset(tmp_path / "set", frames=3))
    job = PvsJob(dataset, _Blank, tmp_path / "out", "offline", Annotator(frames=2, clicks=1))
    assert list(run_sequences(job, job.pending())) == [("a", None), ("b", None)]
    assert job.pending() == []
    (tmp_path / "out/b.json").unlink()
    assert job.pending() == ["b"]
    results = {"a": job.results.read("a"), "b": job.results.read("a")}
    assert results["a"]["objects"]["1"][1]["prompted"] == ["00000", "00001"]
    first, second = mean_curve(results, "offline", 1)
    assert (first.frames, second.frames) == (1, 2)
    assert first.region == 0 and first.seconds == 30 * 3 / 300 + 2.5
    (tmp_path / "out/a.json").write_text("{")
    with pytest.raises(MediaError, match=r"a.json' is not a result"):
        job.results.read("a")


class _Blank(FakeTracker):
    def __init__(self) -> None:
        super().__init__(lambda *_: np.zeros((24, 32), bool))
