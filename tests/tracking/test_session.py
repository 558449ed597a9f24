"""Sessions without a network: prompts, undo, objects that come and go, and what is read when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetam.errors import OutputError, PromptError
from edgetam.tracking import TrackingSession
from edgetam.tracking.bank import horizon
from edgetam.tracking.session import UNDO_STEPS
from tests.tracking.fake_engine import SIDE
from tests.tracking.helpers import clip, fake, open_session, rectangle, state, summaries, summary


def test_a_prompt_is_answered_at_once() -> None:
    session = open_session()
    result = session.prompt(3, 7, points=[[10, 12]])
    assert result.frame == 3
    assert result.time == pytest.approx(0.3)
    seen = result.objects[7]
    assert seen.mask.shape == (30, 40)
    assert seen.mask.dtype == bool
    assert seen.logits.shape == (SIDE, SIDE)
    assert 0.9 < seen.presence < 1
    assert seen.score == pytest.approx(0.8)
    assert summary(session.result(3)) == summary(result)
    assert session.result(4).objects == {}


def test_clicks_on_one_frame_add_up_and_see_the_earlier_answer() -> None:
    session = open_session()
    session.prompt(0, 1, points=[[10, 12]])
    first = session.result(0).objects[1].logits
    session.prompt(0, 1, points=[[20, 3]], labels=[0])
    prompt, mode = fake(session).prompts[-1]
    assert prompt.points[0].tolist() == [[64.0, pytest.approx(102.4)], [128.0, pytest.approx(25.6)]]
    assert prompt.labels.tolist() == [[1, 0]]
    assert mode == "stable"
    assert np.array_equal(prompt.mask[0, 0], np.clip(first, -32, 32))
    session.prompt(0, 1, points=[[5, 5]], replace=True)
    prompt, mode = fake(session).prompts[-1]
    assert len(prompt.points[0]) == 1
    assert prompt.mask is not None, "as published: the earlier answer is fed even when clicks start over"
    assert fake(session).encoded == 1


@pytest.mark.parametrize(
    ("prompt", "options", "mode", "labels"),
    [
        ({"points": [[1, 1]]}, {}, "best", [1]),
        ({"points": [1, 1], "labels": 0}, {}, "best", [0]),
        ({"points": [[1, 1], [2, 2]]}, {}, "stable", [1, 1]),
        ({"box": [1, 1, 9, 9]}, {}, "stable", [2, 3]),
        ({"box": [1, 1, 9, 9], "points": [[3, 3]], "labels": [0]}, {}, "stable", [2, 3, 0]),
        ({"box": [1, 1, 9, 9]}, {"stable_single": False}, "single", [2, 3]),
    ],
)
def test_how_prompts_reach_the_decoder(
    prompt: dict[str, Any], options: dict[str, Any], mode: str, labels: list[int]
) -> None:
    session = open_session(**options)
    session.prompt(0, 1, **prompt)
    asked, how = fake(session).prompts[-1]
    assert how == mode
    assert asked.labels.tolist() == [labels]
    assert asked.mask is None


def test_masks_are_adopted_and_replace_points() -> None:
    session = open_session()
    session.prompt(0, 1, points=[[1, 1]])
    asked = len(fake(session).prompts)
    session.prompt(0, 1, mask=rectangle())
    assert len(fake(session).prompts) == asked
    assert (session.result(0).objects[1].mask == rectangle()).mean() > 0.95
    session.prompt(0, 1, points=[[12, 12]])
    assert fake(session).prompts[-1][0].labels.tolist() == [[1]]


def test_tracking_runs_from_the_first_prompt_to_the_end() -> None:
    session = open_session(8)
    session.prompt(2, 1, points=[[1, 1]])
    results = list(session.propagate())
    assert [r.frame for r in results] == [2, 3, 4, 5, 6, 7]
    assert all(list(r.objects) == [1] for r in results)
    assert summary(results[0]) == summary(session.result(2))
    assert len({summary(r)[1][1] for r in results}) == 6, "every frame has an answer of its own"


@pytest.mark.parametrize(
    ("arguments", "frames"),
    [
        ({}, [3, 4, 5, 6, 7, 8, 9]),
        ({"start": 5}, [5, 6, 7, 8, 9]),
        ({"frames": 2}, [3, 4]),
        ({"frames": 0}, []),
        ({"start": 8, "frames": 100}, [8, 9]),
        ({"reverse": True}, [6, 5, 4, 3, 2, 1, 0]),
        ({"reverse": True, "start": 2, "frames": 2}, [2, 1]),
        ({"reverse": True, "start": 0}, [0]),
        ({"start": np.int64(9)}, [9]),
    ],
)
def test_start_direction_and_number_of_frames(arguments: dict[str, Any], frames: list[int]) -> None:
    session = open_session(10)
    session.prompt(6, 1, points=[[1, 1]])
    session.prompt(3, 1, points=[[1, 1]])
    assert [r.frame for r in session.propagate(**arguments)] == frames


def test_frames_are_decoded_on_demand() -> None:
    session = open_session(100)
    session.prompt(10, 1, points=[[1, 1]])
    assert clip(session).read == [10]
    walk = session.propagate()
    assert clip(session).read == [10]
    next(walk)
    next(walk)
    next(walk)
    assert clip(session).read == [10, 11, 12]


def test_a_stopped_walk_can_be_taken_up_again() -> None:
    whole, parts = open_session(), open_session()
    for session in (whole, parts):
        session.prompt(0, 1, points=[[3, 4]])
    expected = summaries(whole.propagate())
    got = summaries(parts.propagate(frames=7))
    got |= summaries(parts.propagate(start=7, frames=1))
    got |= summaries(parts.propagate(start=8))
    assert got == expected


def test_the_same_walk_twice_gives_the_same_results() -> None:
    session = open_session()
    session.prompt(0, 1, points=[[3, 4]])
    assert summaries(session.propagate()) == summaries(session.propagate())


def ragged(session: TrackingSession, *objects: int) -> None:
    """Three objects that start on different frames, in different ways, one of them twice."""
    if 1 in objects:
        session.prompt(0, 1, points=[[3, 4]])
    if 2 in objects:
        session.prompt(4, 2, box=[2, 2, 20, 20])
        session.prompt(9, 2, points=[[8, 8]])
    if 3 in objects:
        session.prompt(7, 3, mask=rectangle())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch": 2},
        {"store": "bf16"},
        {"memory_stride": 3},
        {"memory_selection": "confident"},
        {"max_prompted": 1},
    ],
)
def test_objects_tracked_together_equal_objects_tracked_alone(options: dict[str, Any]) -> None:
    together = open_session(25, **options)
    ragged(together, 1, 2, 3)
    for reverse in (False, True):
        got = summaries(together.propagate(reverse=reverse))
        for object_id in (1, 2, 3):
            alone = open_session(25, **options)
            ragged(alone, object_id)
            expected = summaries(alone.propagate(start=0))
            if reverse:
                expected = summaries(alone.propagate(start=9, reverse=True))
            for frame, objects in got.items():
                assert objects.get(object_id) == expected[frame].get(object_id)


def test_objects_start_at_their_first_prompt() -> None:
    session = open_session(12)
    ragged(session, 1, 2, 3)
    present = {r.frame: list(r.objects) for r in session.propagate()}
    assert present[3] == [1]
    assert present[4] == [1, 2]
    assert present[7] == [1, 2, 3]
    backwards = {r.frame: list(r.objects) for r in session.propagate(reverse=True)}
    assert backwards[9] == [2]
    assert backwards[5] == [2, 3]
    assert backwards[0] == [1, 2, 3]


def test_looking_for_objects_before_their_prompt() -> None:
    session = open_session(12, track_before_prompt=True)
    session.prompt(5, 1, points=[[3, 4]])
    assert [list(r.objects) for r in session.propagate(start=0, frames=5)] == [[1]] * 5
    first = fake(session).contexts[0]
    assert first.ages.tolist() == [[0]]
    assert first.pointers.shape == (1, 0, 256), "pointers of prompts to come are not read"


def test_many_objects_share_calls_of_bounded_size() -> None:
    session = open_session(6, batch=4)
    for i in range(10):
        session.prompt(0, i, points=[[i, i]])
    fake(session).remembered.clear()
    list(session.propagate(frames=3))
    assert fake(session).attended == [4, 4, 2] * 2
    assert [call["batch"] for call in fake(session).remembered] == [4, 4, 2] * 3
    assert [call["binarize"] for call in fake(session).remembered] == [True] * 3 + [False] * 6
    assert not any(call["exclusive"] for call in fake(session).remembered)
    assert fake(session).encoded == 3


def test_objects_that_exclude_each_other_are_seen_together() -> None:
    session = open_session(6, batch=4, exclusive_memory=True)
    for i in range(10):
        session.prompt(0, i, points=[[i, i]])
    list(session.propagate(frames=3))
    assert fake(session).attended == [10] * 2
    assert [call["batch"] for call in fake(session).remembered] == [10] * 3
    assert all(call["exclusive"] for call in fake(session).remembered)
    alone = open_session(6, exclusive_memory=True)
    alone.prompt(0, 1, points=[[1, 1]])
    list(alone.propagate())
    assert not any(call["exclusive"] for call in fake(alone).remembered)


def test_exclusive_results_do_not_overlap() -> None:
    session, plain = open_session(6, exclusive=True), open_session(6)
    for s in (session, plain):
        for i in range(4):
            s.prompt(0, i, points=[[i * 9, i * 7]])
    overlap = 0
    for result, expected in zip(session.propagate(), plain.propagate(), strict=True):
        masks = np.stack([each.mask for each in result.objects.values()])
        assert masks.sum(0).max() <= 1
        union = np.any([each.mask for each in expected.objects.values()], axis=0)
        assert np.array_equal(masks.any(0), union)
        overlap += np.sum([each.mask for each in expected.objects.values()], axis=0).max() > 1
    assert overlap


@pytest.mark.parametrize(
    ("precision", "store", "kept"),
    [
        ("fp32", "auto", np.float32),
        ("bf16", "auto", np.uint16),
        ("int8", "auto", np.uint16),
        ("fp32", "bf16", np.uint16),
        ("bf16", "fp32", np.float32),
    ],
)
def test_memories_are_as_exact_as_the_engine_unless_told_otherwise(
    precision: str, store: str, kept: type
) -> None:
    session = open_session(store=store)
    fake(session).precision = precision
    session.prompt(0, 1, points=[[9, 9]])
    list(session.propagate(frames=2))
    track = session.tracks[1]
    for record in (track.prompted[0], track.tracked[1]):
        assert record.memory is not None and record.memory.dtype == kept


def test_absent_objects_have_empty_masks_and_the_absent_pointer() -> None:
    session = open_session(6)
    session.prompt(0, 1, points=[[3, 4]])
    list(session.propagate(frames=2))
    fake(session).absent = True
    result = list(session.propagate(start=2, frames=2))[-1]
    seen = result.objects[1]
    assert not seen.mask.any()
    assert (seen.logits == -1024).all()
    assert 0 < seen.presence < 0.1
    assert np.array_equal(session.tracks[1].tracked[3].pointer, fake(session).absent_pointer)


def test_clicks_on_an_object_that_was_called_gone_are_given_its_empty_mask() -> None:
    """It says that the click is on something that was missed; without, two in five clicks find nothing."""
    session = open_session(6)
    session.prompt(0, 1, points=[[3, 4]])
    fake(session).absent = True
    list(session.propagate(frames=4))
    attended = len(fake(session).attended)
    for clicks in (1, 2):  # the second one on an answer that is empty too
        session.prompt(3, 1, points=[[20, 10]])
        prompt, mode = fake(session).prompts[-1]
        assert prompt.labels.tolist() == [[1] * clicks]
        assert mode == ("best" if clicks == 1 else "stable")
        assert prompt.mask is not None and (prompt.mask == -32).all()
    assert len(fake(session).attended) == attended + 2, "its memories are read too"


def test_objects_added_and_removed_while_tracking() -> None:
    session = open_session(12)
    session.prompt(0, 1, points=[[3, 4]])
    session.prompt(0, 2, points=[[9, 9]])
    seen = {}
    for result in session.propagate():
        seen[result.frame] = list(result.objects)
        if result.frame == 3:
            session.prompt(4, 3, points=[[20, 20]])
        if result.frame == 5:
            session.remove_object(1)
        if result.frame == 7:
            session.prompt(2, 4, points=[[1, 2]])
    assert seen[3] == [1, 2]
    assert seen[4] == seen[5] == [1, 2, 3]
    assert seen[6] == seen[7] == [2, 3]
    assert seen[8] == [2, 3, 4], "a prompt on an earlier frame is tracked from here on"
    assert session.objects == [2, 3, 4]
    with pytest.raises(PromptError, match=r"no object 1.*2, 3, 4"):
        session.remove_object(1)


def test_an_object_that_comes_back_starts_afresh() -> None:
    session, fresh = open_session(12), open_session(12)
    session.prompt(0, 1, points=[[3, 4]])
    list(session.propagate())
    session.remove_object(1)
    for s in (session, fresh):
        s.prompt(2, 1, points=[[9, 9]])
    assert summaries(session.propagate()) == summaries(fresh.propagate())


def test_a_correction_reads_memories_and_becomes_a_prompted_frame() -> None:
    session = open_session(20)
    session.prompt(0, 1, points=[[3, 4]])
    list(session.propagate())
    before = summary(session.result(8))
    contexts = len(fake(session).contexts)
    session.prompt(8, 1, points=[[20, 20]])
    assert len(fake(session).contexts) == contexts + 1
    assert fake(session).contexts[-1].ages.tolist() == [[0, 6, 5, 4, 3, 2, 1]]
    corrected = summary(session.result(8))
    assert corrected != before
    again = summaries(session.propagate())
    assert again[8] == corrected
    assert list(session.tracks[1].prompted) == [0, 8]
    assert 8 not in session.tracks[1].tracked
    assert fake(session).contexts[-1].ages.tolist()[0].count(0) == 2


def test_corrections_of_frames_reached_backwards_read_backwards() -> None:
    session = open_session(20)
    session.prompt(19, 1, points=[[3, 4]])
    list(session.propagate(reverse=True))
    session.prompt(10, 1, points=[[20, 20]])
    pointers = fake(session).contexts[-1].pointers
    assert pointers.shape[1] == 1 + 8, "frame 19, and 11 to 18"


@pytest.mark.parametrize("joint", [False, True])
def test_published_corrections_do_not_become_prompted(joint: bool) -> None:
    """SAM 2 tracks over them again; EdgeTAM's joint predictor keeps the answer."""
    session = open_session(20, keep_corrections=False, joint=joint)
    session.prompt(0, 1, points=[[3, 4]])
    first = summaries(session.propagate())
    session.prompt(8, 1, points=[[20, 20]])
    corrected = summary(session.result(8))
    assert corrected != first[8]
    again = summaries(session.propagate())
    assert list(session.tracks[1].prompted) == [0]
    assert again[8] == (corrected if joint else first[8])


def test_joint_objects_share_their_prompted_frames() -> None:
    session = open_session(20, joint=True)
    session.prompt(0, 1, points=[[3, 4]])
    session.prompt(5, 2, points=[[9, 9]])
    results = list(session.propagate())
    assert all(list(r.objects) == [1, 2] for r in results)
    missing = results[0].objects[2]
    assert (missing.logits == -1024).all()
    assert missing.presence > 0.99, "as published: absent, yet with a high presence"
    for track in session.tracks.values():
        assert list(track.prompted) == [0, 5]
    assert np.array_equal(session.tracks[2].prompted[0].pointer, fake(session).absent_pointer)


def test_joint_frames_stay_prompted_until_nobody_prompts_them() -> None:
    session = open_session(20, joint=True)
    session.prompt(0, 1, points=[[3, 4]])
    session.prompt(0, 2, points=[[9, 9]])
    session.prompt(5, 2, points=[[9, 9]])
    list(session.propagate())
    session.remove_prompts(0, 2)
    assert [list(t.prompted) for t in session.tracks.values()] == [[0, 5]] * 2
    session.remove_prompts(5, 2)
    assert [list(t.prompted) for t in session.tracks.values()] == [[0]] * 2
    assert [5 in t.tracked for t in session.tracks.values()] == [True] * 2


def test_joint_frames_of_a_removed_object_count_as_tracked() -> None:
    session = open_session(20, joint=True)
    session.prompt(0, 1, points=[[3, 4]])
    session.prompt(5, 2, points=[[9, 9]])
    list(session.propagate())
    shown = summary(session.result(5))[1]
    session.remove_object(2)
    track = session.tracks[1]
    assert (list(track.prompted), 5 in track.tracked) == ([0], True)
    assert summary(session.result(5))[1] == shown
    again = summaries(session.propagate())
    alone = open_session(20, joint=True)
    alone.prompt(0, 1, points=[[3, 4]])
    assert again == summaries(alone.propagate())


def test_joint_corrections_of_a_removed_object_are_tracked_again() -> None:
    session = open_session(20, joint=True, keep_corrections=False)
    for object_id in (1, 2):
        session.prompt(0, object_id, points=[[3, 4 * object_id]])
    list(session.propagate())
    session.prompt(8, 2, points=[[20, 20]])
    list(session.propagate())
    assert session.tracks[1].corrected == {8}
    session.remove_object(2)
    assert session.tracks[1].corrected == set()


@pytest.mark.parametrize("how", ["remove", "undo"])
def test_joint_corrections_go_with_the_last_prompt_of_their_object(how: str) -> None:
    session = open_session(20, joint=True, keep_corrections=False)
    session.prompt(0, 1, points=[[3, 4]])
    alone = summaries(session.propagate())
    session.prompt(2, 2, points=[[9, 9]])
    list(session.propagate())
    for frame in (8, 12):
        session.prompt(frame, 2, points=[[20, 20]])
    list(session.propagate())
    assert session.tracks[1].corrected == {8, 12}
    if how == "undo":
        session.prompt(1, 2, points=[[9, 9]])
        session.remove_prompts(2, 2)
        session.undo()
    else:
        session.remove_prompts(2, 2)
    assert session.objects == [1]
    assert session.tracks[1].corrected == set()
    assert summaries(session.propagate()) == alone


def test_taking_back_a_joint_prompt_takes_it_from_all() -> None:
    session = open_session(20, joint=True)
    session.prompt(0, 1, points=[[3, 4]])
    session.prompt(0, 2, points=[[3, 9]])
    list(session.propagate(frames=3))
    session.prompt(5, 2, points=[[9, 9]])
    session.commit()
    session.undo()
    assert [list(t.prompted) for t in session.tracks.values()] == [[0]] * 2


def test_tracked_frames_around_a_prompt_can_be_forgotten() -> None:
    session = open_session(40, clear_around_prompts=True, memory_stride=2)
    session.prompt(0, 1, points=[[3, 4]])
    list(session.propagate())
    session.prompt(20, 1, points=[[9, 9]])
    session.commit()
    assert sorted(session.tracks[1].tracked) == [t for t in range(1, 40) if abs(t - 20) > 14]


def test_forgetting_around_a_correction_spares_the_correction() -> None:
    session = open_session(20, clear_around_prompts=True, keep_corrections=False, joint=True)
    session.prompt(0, 1, points=[[3, 4]])
    list(session.propagate())
    session.prompt(10, 1, points=[[9, 9]])
    corrected = summary(session.result(10))
    assert summaries(session.propagate())[10] == corrected


def test_only_so_many_prompted_frames_are_read() -> None:
    session = open_session(30, max_prompted=2)
    for frame in (0, 10, 20):
        session.prompt(frame, 1, points=[[3, 4]])
    list(session.propagate())
    assert {list(c.ages[0]).count(0) for c in fake(session).contexts} == {2}


def test_removing_prompts_demotes_the_frame() -> None:
    session = open_session(20)
    session.prompt(0, 1, points=[[3, 4]])
    session.prompt(6, 1, points=[[9, 9]])
    list(session.propagate())
    shown = summary(session.result(6))
    result = session.remove_prompts(6, 1)
    assert summary(result) == shown
    assert list(session.tracks[1].prompted) == [0]
    assert 6 in session.tracks[1].tracked
    assert list(session.tracks[1].prompts) == [0]


def test_an_object_without_prompts_is_forgotten() -> None:
    session = open_session(20)
    session.prompt(0, 1, points=[[3, 4]])
    session.prompt(0, 2, points=[[3, 4]])
    list(session.propagate())
    session.remove_prompts(0, 1)
    assert session.objects == [2]
    assert all(list(r.objects) == [2] for r in session.propagate())


def test_an_object_with_corrections_only_is_forgotten() -> None:
    """It would be shown, yet never be tracked."""
    session = open_session(20, keep_corrections=False)
    session.prompt(0, 1, points=[[3, 4]])
    list(session.propagate())
    session.prompt(9, 1, points=[[9, 9]])
    session.commit()
    session.remove_prompts(0, 1)
    assert session.objects == []


def test_reset_forgets_all_but_the_video() -> None:
    session = open_session(20)
    session.prompt(0, 1, points=[[3, 4]])
    list(session.propagate())
    session.reset()
    assert session.objects == []
    assert session.undo() is None
    assert session.result(3).objects == {}
    with pytest.raises(PromptError, match="No object has been prompted"):
        session.propagate()
    fresh = open_session(20)
    for s in (session, fresh):
        s.prompt(0, 1, points=[[9, 9]])
    assert summaries(session.propagate()) == summaries(fresh.propagate())


def test_undo_walks_back_through_all_prompts() -> None:
    session = open_session(20)
    states = [state(session.tracks)]
    for frame, object_id, x in ((0, 1, 3), (0, 1, 4), (5, 1, 5), (0, 2, 6), (5, 1, 7)):
        session.prompt(frame, object_id, points=[[x, x]])
        states.append(state(session.tracks))
    for frame, expected in zip((5, 0, 5, 0, 0), reversed(states[:-1]), strict=True):
        result = session.undo()
        assert result is not None
        assert result.frame == frame
        assert state(session.tracks) == expected
    assert session.undo() is None


@pytest.mark.parametrize("remove", [lambda s: s.remove_prompts(0, 2), lambda s: s.remove_object(2)])
def test_undo_goes_back_so_many_prompts_and_no_further(remove: Any) -> None:
    session = open_session(20)
    for frame in (0, 3):
        session.prompt(frame, 2, points=[[3, 4]])
    for x in range(5):
        session.prompt(1, 1, points=[[x, x]])
    remove(session)
    before = state(session.tracks)
    for x in range(UNDO_STEPS):
        session.prompt(2 + x % 3, 1, points=[[x % 40, 9]], replace=True)
    for _ in range(UNDO_STEPS):
        assert session.undo() is not None
    assert state(session.tracks) == before
    assert session.undo() is None
    assert state(session.tracks) == before


def test_undo_does_not_bring_back_what_was_removed() -> None:
    session = open_session(20)
    session.prompt(0, 1, points=[[3, 4]])
    session.prompt(5, 1, points=[[3, 4]])
    session.prompt(5, 1, points=[[5, 5]])
    session.remove_prompts(5, 1)
    session.undo()
    assert session.objects == [], "the only prompt left was the one on frame 0"
    session.prompt(0, 1, points=[[3, 4]])
    session.remove_object(1)
    assert session.undo() is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["prompt", "box", "walk", "back", "commit", "remove", "forget"]),
        st.integers(0, 11),
        st.integers(1, 3),
    ),
    max_size=7,
)


def take(session: TrackingSession, steps: list[tuple[str, int, int]]) -> None:
    """Do what a hurried user does; mistakes are refused and change nothing."""
    for kind, frame, object_id in steps:
        try:
            if kind == "prompt":
                session.prompt(frame, object_id, points=[[frame, object_id]])
            elif kind == "box":
                session.prompt(frame, object_id, box=[1, 1, 5 + frame, 9], replace=True)
            elif kind in ("walk", "back"):
                list(session.propagate(start=frame, frames=4, reverse=kind == "back"))
            elif kind == "commit":
                session.commit()
            elif kind == "remove":
                session.remove_prompts(frame, object_id)
            else:
                session.remove_object(object_id)
        except PromptError:
            continue


@settings(max_examples=30)
@given(steps=STEPS, frame=st.integers(0, 11), object_id=st.integers(1, 3), joint=st.booleans())
def test_undo_restores_what_was_before(
    steps: list[tuple[str, int, int]], frame: int, object_id: int, joint: bool
) -> None:
    session = open_session(12, joint=joint)
    take(session, steps)
    before = state(session.tracks)
    session.prompt(frame, object_id, points=[[7, 7]], replace=True)
    session.undo()
    assert state(session.tracks) == before


@settings(max_examples=30)
@given(
    steps=STEPS,
    frame=st.integers(-2, 14),
    object_id=st.integers(-1, 3),
    x=st.floats(allow_nan=True, allow_infinity=True, width=32) | st.integers(-5, 50),
    label=st.integers(-1, 3),
)
def test_a_refused_prompt_changes_nothing(
    steps: list[tuple[str, int, int]], frame: int, object_id: int, x: float, label: int
) -> None:
    session = open_session(12)
    take(session, steps)
    before, journal = state(session.tracks), len(session._journal)
    try:
        session.prompt(frame, object_id, points=[[x, 3]], labels=[label])
    except PromptError:
        assert state(session.tracks) == before
        assert len(session._journal) == journal
    else:
        assert 0 <= frame < 12
        assert object_id >= 0
        assert 0 <= x <= 40
        assert label in (0, 1)


@pytest.mark.parametrize("verb", ["encode", "attend", "decode"])
def test_a_failing_engine_changes_nothing(verb: str) -> None:
    session = open_session(12)
    session.prompt(0, 1, points=[[3, 4]])
    before = state(session.tracks)
    fake(session).fail = verb
    with pytest.raises(RuntimeError, match=verb):
        session.prompt(4, 2, points=[[3, 4]])
    assert state(session.tracks) == before
    assert session.objects == [1]
    fake(session).fail = ""
    assert len(list(session.propagate())) == 12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.prompt(20, 1, points=[[1, 1]]), "Frame 20 does not exist; the video has frames 0 to 19"),
        (lambda s: s.prompt(-1, 1, points=[[1, 1]]), "Frame -1 does not exist"),
        (lambda s: s.prompt(1.0, 1, points=[[1, 1]]), "frame is 1.0"),
        (lambda s: s.prompt(True, 1, points=[[1, 1]]), "frame is True"),
        (lambda s: s.prompt("0", 1, points=[[1, 1]]), "frame is '0'"),
        (lambda s: s.prompt(0, -1, points=[[1, 1]]), "object_id is -1"),
        (lambda s: s.prompt(0, "a", points=[[1, 1]]), "object_id is 'a'"),
        (lambda s: s.prompt(0, 1.5, points=[[1, 1]]), "object_id is 1.5"),
        (lambda s: s.prompt(0, True, points=[[1, 1]]), "object_id is True"),
        (lambda s: s.prompt(0, 1, box=[1, 1, 9, 9]), "box was given after points or another box"),
        (lambda s: s.result(20), "Frame 20"),
        (lambda s: s.remove_prompts(20, 1), "Frame 20"),
        (lambda s: s.remove_prompts(0, 9), r"no object 9; known objects: 1"),
        (lambda s: s.remove_object(9), "no object 9"),
        (lambda s: s.propagate(start=20), "Frame 20"),
        (lambda s: s.propagate(start=-1), "Frame -1"),
        (lambda s: s.propagate(frames=-1), "frames is -1"),
        (lambda s: s.propagate(frames=2.5), "frames is 2.5"),
        (lambda s: s.advance(-1), "Frame -1"),
    ],
)
def test_mistakes_are_named_and_change_nothing(call: Any, message: str) -> None:
    session = open_session(20)
    session.prompt(0, 1, points=[[3, 4]])
    before = state(session.tracks)
    with pytest.raises(PromptError, match=message) as caught:
        call(session)
    assert type(caught.value) is PromptError
    assert state(session.tracks) == before


def test_features_of_two_frames_are_kept() -> None:
    session = open_session(20)
    for frame in (0, 5, 0, 5, 0):
        session.prompt(frame, 1, points=[[3, 4]])
    assert fake(session).encoded == 2
    list(session.propagate())
    assert len(session._features) == 2


@pytest.mark.parametrize("history", [True, False])
def test_what_is_held_does_not_grow(history: bool) -> None:
    session = open_session(500, history=history, fill_holes=0)
    with session:
        session.prompt(0, 1, points=[[3, 4]])
        for _ in session.propagate():
            assert len(session._features) <= 2
            for track in session.tracks.values():
                assert len(track.tracked._held) <= horizon() + 1
                assert not track.pending
                assert len(track.prompted) == 1
        assert len(session.tracks[1].tracked) == (499 if history else horizon() + 1)


def test_history_changes_no_result() -> None:
    kept, forgotten = open_session(60), open_session(60, history=False)
    for session in (kept, forgotten):
        ragged(session, 1, 2, 3)
    assert summaries(kept.propagate()) == summaries(forgotten.propagate())
    assert kept.result(5).objects
    assert forgotten.result(5).objects == {}


@pytest.mark.parametrize("keep", [True, False])
def test_without_history_corrections_push_out_nothing_that_is_read(keep: bool) -> None:
    session = open_session(60, history=False, keep_corrections=keep)
    session.prompt(0, 1, points=[[3, 4]])
    list(session.propagate(frames=31))
    for frame in (20, 22, 24, 26):
        session.prompt(frame, 1, points=[[3, 4]])
        session.commit()
        if keep:  # else they have become tracked frames by themselves
            session.undo()
    for result in session.propagate(31, frames=15):
        last = result.frame
        assert set(range(last + 1 - horizon(), last + 1)) <= set(session.tracks[1].tracked)


def test_history_is_read_back_from_disk_and_deleted_at_the_end() -> None:
    with open_session(60) as session:
        session.prompt(0, 1, points=[[3, 4]])
        results = summaries(session.propagate())
        folder = session.tracks[1].tracked.folder
        assert folder is not None
        assert len(list(folder.iterdir())) == 59 - (horizon() + 1)
        assert {frame: summary(session.result(frame)) for frame in results} == results
        resumed = summaries(session.propagate(start=20, frames=10))
        assert resumed == {frame: results[frame] for frame in range(20, 30)}
        session.prompt(30, 2, points=[[3, 4]])
        session.remove_object(1)
        assert not folder.exists()
        parent = folder.parent
    assert not parent.exists()
    assert clip(session).closed


def test_results_know_the_time_and_numpy_numbers_are_numbers() -> None:
    session = open_session(5)
    session.prompt(np.int64(0), np.int32(1), points=np.array([[3, 4]]))
    assert [type(i) for i in session.objects] == [int]
    assert [(type(r.frame), r.time) for r in session.propagate(frames=2)] == [(int, 0.0), (int, 0.1)]


def test_results_and_prompts_are_copies() -> None:
    touched, untouched = open_session(), open_session()
    box = np.array([3, 4, 20, 18], np.float32)
    for session in (touched, untouched):
        result = session.prompt(0, 1, box=box)
        if session is touched:
            result.objects[1].logits[:] = -5
            box *= 0.5
        session.prompt(0, 1, points=[[4, 5]], labels=[0])
        box[:] = [3, 4, 20, 18]
    assert summaries(touched.propagate()) == summaries(untouched.propagate())
    assert fake(touched).prompts[-1][0].points.tolist() == fake(untouched).prompts[-1][0].points.tolist()


def test_without_a_temporary_folder_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(**options: str) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("edgetam.tracking.session.tempfile.mkdtemp", nowhere)
    session = open_session()
    with pytest.raises(OutputError, match=r"No usable temporary.*TMPDIR.*history=False"):
        session.prompt(0, 1, points=[[3, 4]])
    assert not session.objects
    open_session(history=False).prompt(0, 1, points=[[3, 4]])


@pytest.mark.parametrize("history", [False, True])
def test_what_is_unsure_is_not_learned(history: bool) -> None:
    session = open_session(90, memory_selection="confident", history=history)
    session.prompt(0, 1, points=[[3, 4]])
    sure: list[int] = []
    for result in session.propagate():
        track = session.tracks[1]
        if result.frame:
            context = fake(session).contexts[-1]
            ages = sorted(age for age in context.ages[0].tolist() if age)
            read = sure or list(range(1, result.frame))
            assert ages == list(range(1, 1 + min(len(read), 6)))
            tokens = {t.tobytes() for t, age in zip(context.tokens[0], context.ages[0], strict=True) if age}
            assert tokens == {track.tracked[t].tokens.tobytes() for t in read[-6:]}
        if 20 <= result.frame < 60:  # more than any frame can look back
            fake(session).unsure = True
        else:
            fake(session).unsure = False
        if result.frame and result.objects[1].score > 0.5:
            sure.append(result.frame)
    assert sure and max(sure) > 60 and len(track.tracked._held) <= 32


def test_objects_of_which_nothing_is_sure_are_followed_as_published() -> None:
    seen = []
    for selection in ("recent", "confident"):
        session = open_session(memory_selection=selection)
        fake(session).moody, fake(session).unsure = False, True
        session.prompt(0, 1, points=[[3, 4]])
        seen.append(summaries(session.propagate()))
    assert seen[0] == seen[1]


def test_weights_that_skip_frames_without_the_object_read_what_is_sure() -> None:
    for selection, skips, confident in (
        ("auto", False, False),
        ("auto", True, True),
        ("recent", True, False),
        ("confident", False, True),
    ):
        session = open_session(memory_selection=selection)
        config = replace(fake(session).config, skips_absent=skips)
        assert session.options.confident(config) == confident


@pytest.mark.parametrize("skips", [False, True])
def test_frames_without_the_object_are_read_as_the_weights_want(skips: bool) -> None:
    session = open_session(memory_selection="recent")
    fake(session).config = replace(fake(session).config, skips_absent=skips)
    session.prompt(0, 1, points=[[3, 4]])
    read = []
    for result in session.propagate(frames=12):
        fake(session).absent = 3 <= result.frame + 1 < 6  # of the next frame
        read.append(sorted(fake(session).contexts[-1].ages[0].tolist()) if result.frame else [])
    assert [session.result(t).objects[1].presence > 0.5 for t in (2, 3, 5, 6)] == [True, False, False, True]
    # ages 1 to 6 of tracked frames, and 0 of the prompted one
    assert read[4] == ([0, 2, 3] if skips else [0, 1, 2, 3])
    assert read[6] == ([0, 4, 5] if skips else [0, 1, 2, 3, 4, 5])
    assert read[8] == ([0, 1, 2, 6] if skips else [0, 1, 2, 3, 4, 5, 6])
    pointers = fake(session).contexts[-1].pointers[0]
    gone = (pointers == fake(session).absent_pointer).all(1).sum()
    assert gone == (0 if skips else 3)
