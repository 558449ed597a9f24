"""Streams equal sessions on the same events, in constant memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgetam.engine.manifest import Limits
from edgetam.errors import MediaError, PromptError
from edgetam.io import open_live
from edgetam.structs import Prompt
from edgetam.tracking import Stream, TrackerOptions, TrackingSession
from edgetam.tracking.bank import horizon
from edgetam.tracking.limits import check_limits
from edgetam.tracking.prompts import read_prompt
from tests.tracking.fake_engine import Clip, FakeEngine
from tests.tracking.helpers import Summary, rectangle, state, summary

Events = Mapping[int, Mapping[int, Prompt]]


def engine_for(options: TrackerOptions) -> FakeEngine:
    return FakeEngine(moody=options.memory_selection == "confident")


def streamed(
    length: int, events: Events, remove: Mapping[int, list[int]], options: TrackerOptions
) -> list[Summary]:
    stream = Stream(engine_for(options), options)
    return [
        summary(stream.step(image, events.get(frame), remove.get(frame, ())))
        for frame, image in enumerate(Clip(length))
    ]


def in_session(
    length: int, events: Events, remove: Mapping[int, list[int]], options: TrackerOptions
) -> list[Summary]:
    """The same by random access: track to a frame, then prompt on it."""
    session = TrackingSession(engine_for(options), Clip(length), options)
    results = []
    for frame in range(length):
        for object_id in remove.get(frame, ()):
            session.remove_object(object_id)
        session.advance(frame)
        for object_id, prompt in events.get(frame, {}).items():
            session.prompt(
                frame, object_id, prompt.points, prompt.labels, prompt.box, prompt.mask, replace=True
            )
        results.append(summary(session.result(frame)))
    return results


EVENTS: Events = {
    2: {1: Prompt(points=[[3, 4]])},
    5: {2: Prompt(box=[1, 1, 20, 20]), 3: Prompt(mask=rectangle())},
    9: {1: Prompt(points=[[20, 20]], labels=[0]), 4: Prompt(points=[[1, 1], [2, 2]])},
    11: {1: Prompt(points=[[20, 9]])},
    12: {3: Prompt(points=[[5, 5]])},
    30: {2: Prompt(points=[[6, 6]])},
}
REMOVE = {14: [1, 4], 25: [3]}
OPTIONS = [
    {},
    {"batch": 2},
    {"store": "bf16"},
    {"memory_stride": 2},
    {"memory_selection": "confident"},
    {"memory_selection": "confident", "memory_stride": 2, "max_prompted": 1},
    {"memory_selection": "confident", "clear_around_prompts": True},
    {"memory_selection": "confident", "keep_corrections": False},
    {"memory_selection": "confident", "joint": True},
    {"max_prompted": 1},
    {"max_prompted": 2, "memory_stride": 2},
    {"keep_corrections": False},
    {"exclusive": True},
    {"exclusive_memory": True},
    {"clear_around_prompts": True},
    {"joint": True},
    {"joint": True, "max_prompted": 1},
    {"joint": True, "keep_corrections": False},
    {"stable_single": False, "binarize_prompted": False, "fill_holes": 0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_streams_equal_sessions(options: dict[str, Any]) -> None:
    chosen = TrackerOptions(**options)
    got = streamed(36, EVENTS, REMOVE, chosen)
    assert got == in_session(36, EVENTS, REMOVE, chosen)
    assert [len(objects) for objects in got[::5]] == [0, 3, 4, 2, 2, 1, 1, 1]


@settings(max_examples=15)
@given(
    st.dictionaries(
        st.integers(0, 15), st.dictionaries(st.integers(1, 3), st.integers(0, 29), max_size=3), max_size=6
    ),
    st.sampled_from(OPTIONS),
)
def test_streams_equal_sessions_whatever_happens(
    clicks: dict[int, dict[int, int]], options: dict[str, Any]
) -> None:
    events = {t: {i: Prompt(points=[[y, y]]) for i, y in at.items()} for t, at in clicks.items()}
    chosen = TrackerOptions(**options)
    # as published, distances of pointers are counted differently in videos of less than 16 frames
    assert streamed(17, events, {}, chosen) == in_session(17, events, {}, chosen)


def test_frames_that_a_removed_object_shared_push_nothing_out() -> None:
    events: Events = {t: {2: Prompt(points=[[t, t]])} for t in range(1, 20)}
    events = {0: {1: Prompt(points=[[3, 4]])}, **events}
    options = TrackerOptions(joint=True)
    assert streamed(45, events, {24: [2]}, options) == in_session(45, events, {24: [2]}, options)


def test_nothing_is_computed_before_the_first_prompt() -> None:
    engine = FakeEngine()
    stream = Stream(engine)
    for image in Clip(3):
        assert stream.step(image).objects == {}
    assert engine.encoded == 0
    result = stream.step(Clip(9).image(3), {1: Prompt(points=[[3, 4]])}, time=1.5)
    assert (result.frame, result.time, list(result.objects)) == (3, 1.5, [1])
    assert engine.encoded == 1


def test_clicks_on_an_object_that_was_called_gone_are_given_its_empty_mask() -> None:
    engine = FakeEngine()
    stream = Stream(engine)
    for frame, image in enumerate(Clip(6)):
        engine.absent = frame == 3
        stream.step(image, {1: Prompt(points=[[3, 4]])} if frame in (0, 3) else None)
    first, second = (prompt.mask for prompt, _ in engine.prompts if (prompt.labels == 1).any())
    assert first is None
    assert (second == -32).all()


def test_memory_is_constant() -> None:
    stream = Stream(FakeEngine(), TrackerOptions(max_prompted=2))
    for frame, image in enumerate(Clip(500)):
        prompts = {frame // 100: Prompt(points=[[3, 4]])} if frame % 10 == 0 else None
        remove = [frame // 100 - 2] if frame % 100 == 0 and frame >= 200 else ()
        stream.step(image, prompts, remove)
        assert len(stream.tracks) <= 2
        for track in stream.tracks.values():
            assert len(track.tracked) <= horizon() + 1
            assert len(track.prompted) <= 2 + horizon() // 10 + 1
            assert not track.pending
            assert track.prompts.keys() <= track.prompted.keys()
            assert not track.visited
            assert len(track.corrected) == 0


def test_corrections_that_are_not_kept_leave_nothing_behind() -> None:
    stream = Stream(FakeEngine(), TrackerOptions(keep_corrections=False))
    for image in Clip(100):
        stream.step(image, {1: Prompt(points=[[3, 4]])})
    track = stream.tracks[1]
    assert list(track.prompted) == [0]
    assert len(track.tracked) <= horizon() + 1
    assert len(track.corrected) <= horizon() + 1


def test_frames_may_change_their_size() -> None:
    stream = Stream(FakeEngine())
    stream.step(np.zeros((30, 40, 3), np.uint8), {1: Prompt(points=[[39, 29]])})
    result = stream.step(np.zeros((60, 20, 3), np.uint8))
    assert result.objects[1].mask.shape == (60, 20)


def test_removal_and_a_new_start_on_one_frame() -> None:
    stream = Stream(FakeEngine())
    images = list(Clip(6))
    for image in images[:3]:
        stream.step(image, {1: Prompt(points=[[3, 4]])} if image is images[0] else None)
    again = stream.step(images[3], {1: Prompt(points=[[9, 9]])}, remove=[1, 1])
    fresh = Stream(FakeEngine()).step(images[3], {1: Prompt(points=[[9, 9]])})
    assert summary(again) == summary(fresh)
    stream.remove_object(1)
    assert stream.step(images[4]).objects == {}


GOOD = np.zeros((30, 40, 3), np.uint8)
CLICK = {1: Prompt(points=[[3, 4]])}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GOOD, {1: Prompt(points=[[50, 4]])}), r"Point \(50, 4\) is outside the frame of 40 x 30"),
        ((GOOD, {2: Prompt(points=[[3, 4]]), 1: Prompt()}), "prompt is empty"),
        ((GOOD, {2: Prompt(mask=np.ones((40, 30)))}), r"shape \(40, 30\); expected \(30, 40\)"),
        ((GOOD, {-2: Prompt(points=[[3, 4]])}), "object_id is -2"),
        ((GOOD, {"a": Prompt(points=[[3, 4]])}), "object_id is 'a'"),
        ((GOOD, {True: Prompt(points=[[3, 4]])}), "object_id is True"),
        ((GOOD, {2: [[3, 4]]}), "prompt is a list"),
        ((GOOD, None, [7]), "no object 7; known objects: 1"),
        ((GOOD, CLICK, [1, 7]), "no object 7"),
        ((GOOD, [Prompt(points=[[3, 4]])]), r"prompts is a list; expected \{object_id: Prompt"),
        ((GOOD, []), "prompts is a list"),
        ((GOOD, None, 1), "remove is 1; expected a list of object ids"),
        ((GOOD, None, [[1]]), r"an id in remove is \[1\]; expected a whole number"),
        ((GOOD, None, "1"), "an id in remove is '1'"),
    ],
)
def test_refused_prompts_leave_the_stream_as_it_was(arguments: Any, message: str) -> None:
    stream = Stream(FakeEngine())
    stream.step(GOOD, CLICK)
    stream.step(GOOD)
    before = state(stream.tracks)
    with pytest.raises(PromptError, match=message) as caught:
        stream.step(*arguments)
    assert type(caught.value) is PromptError
    assert state(stream.tracks) == before
    assert stream.frame == 1
    assert stream.step(GOOD).frame == 2


def test_frames_of_a_live_source_are_taken_as_they_come() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (30, 40), np.uint8)
    plain, live = Stream(FakeEngine()), Stream(FakeEngine())
    with open_live([grey, Image.fromarray(grey)]) as source:
        for i, frame in enumerate(source):
            expected = plain.step(np.dstack([grey] * 3), CLICK if i == 0 else None)
            assert summary(live.step(frame, CLICK if i == 0 else None)) == summary(expected)
    assert summary(live.step(grey)) == summary(plain.step(np.dstack([grey] * 3)))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 30, 40), np.uint8), r"shape \(3, 30, 40\)"),
        (np.zeros((30, 40, 3), np.float32), "type float32"),
        (np.zeros((0, 40, 3), np.uint8), r"shape \(0, 40, 3\)"),
        (None, r"shape \(\) and type object"),
        ([[1, 2], [3]], "not a rectangle"),
    ],
)
def test_frames_that_are_no_pictures_are_refused(image: Any, message: str) -> None:
    stream = Stream(FakeEngine())
    stream.step(GOOD, CLICK)
    before = state(stream.tracks)
    with pytest.raises(MediaError, match=message):
        stream.step(image)
    assert state(stream.tracks) == before
    assert stream.frame == 0


@pytest.mark.parametrize("verb", ["encode", "decode", "adopt"])
def test_a_failing_engine_adds_no_object(verb: str) -> None:
    engine = FakeEngine()
    stream = Stream(engine)
    stream.step(GOOD, CLICK)
    engine.fail = verb
    with pytest.raises(RuntimeError, match=verb):
        stream.step(GOOD, {2: Prompt(mask=rectangle())} if verb == "adopt" else {2: Prompt(points=[[1, 1]])})
    engine.fail = ""
    assert stream.objects == [1]
    assert list(stream.step(GOOD).objects) == [1]


def limited() -> FakeEngine:
    """An engine with the limits of a bundle."""
    engine = FakeEngine()
    engine.limits = Limits(objects=3, prompted=4, points=8, memories=10, pointers=16)  # type: ignore[attr-defined]
    return engine


def test_a_prompt_beyond_the_limits_of_a_bundle_leaves_the_stream_as_it_was() -> None:
    stream = Stream(limited())
    stream.step(Clip(1)[0], {1: Prompt(points=[[3, 4]]), 2: Prompt(points=[[9, 9]])})
    before = state(stream.tracks)
    many = Prompt(points=[[x, 4] for x in range(7)], box=[1, 1, 20, 20])
    with pytest.raises(PromptError, match=r"at most 8 points per prompt.*--points"):
        stream.step(Clip(2)[1], {1: many}, remove=[2])
    assert str(state(stream.tracks)) == str(before)
    assert (stream.frame, stream.objects) == (0, [1, 2])


def test_points_of_several_prompts_count_together() -> None:
    session = TrackingSession(limited(), Clip(3))
    for x in range(8):
        session.prompt(0, 1, points=[[x, 4]])
    with pytest.raises(PromptError, match="at most 8 points per prompt"):
        session.prompt(0, 1, points=[[9, 4]])
    session.prompt(0, 1, points=[[9, 4]], replace=True)


@pytest.mark.parametrize("keep", [False, True])
def test_corrections_that_are_not_kept_need_no_room(keep: bool) -> None:
    options = TrackerOptions(keep_corrections=keep)
    stream, session = Stream(limited(), options), TrackingSession(limited(), Clip(9), options)
    for frame in range(4):
        session.prompt(frame, 1, points=[[3, 4]])
        stream.step(Clip(9)[frame], {1: Prompt(points=[[3, 4]])})
    list(session.propagate())
    if keep:
        with pytest.raises(PromptError, match="prompted frame number 5"):
            session.prompt(6, 1, points=[[3, 4]])
        with pytest.raises(PromptError, match="prompted frame number 5"):
            stream.step(Clip(9)[4], {1: Prompt(points=[[3, 4]])})
    else:
        session.prompt(6, 1, points=[[3, 4]])
        stream.step(Clip(9)[4], {1: Prompt(points=[[3, 4]])})


def test_what_leaves_with_an_object_makes_room_in_the_same_call() -> None:
    stream = Stream(limited(), TrackerOptions(joint=True))
    for frame, object_id in enumerate((1, 2, 3, 3)):
        stream.step(Clip(9)[frame], {object_id: Prompt(points=[[3, 4]])})
    with pytest.raises(PromptError, match="prompted frame number 5"):
        stream.step(Clip(9)[4], {1: Prompt(points=[[3, 4]])})
    stream.step(Clip(9)[4], {1: Prompt(points=[[3, 4]]), 4: Prompt(points=[[9, 9]])}, remove=[3])
    assert stream.objects == [1, 2, 4]
    assert list(stream.tracks[1].prompted) == [0, 1, 4]
    with pytest.raises(PromptError, match="object number 4"):
        stream.step(Clip(9)[5], {5: Prompt(points=[[3, 4]])})


@pytest.mark.parametrize("options", [{}, {"joint": True}, {"max_prompted": 2}], ids=str)
@settings(max_examples=25)
@given(placed=st.dictionaries(st.tuples(st.integers(0, 8), st.integers(1, 4)), st.integers(1, 9), max_size=7))
def test_a_whole_run_is_refused_as_its_prompts_would_be(
    options: dict[str, Any], placed: dict[tuple[int, int], int]
) -> None:
    chosen = TrackerOptions(**options)
    points = {key: [[x, 4] for x in range(count)] for key, count in placed.items()}
    session = TrackingSession(limited(), Clip(9), chosen)
    said = ""
    try:
        for (frame, object_id), given_points in points.items():
            session.prompt(frame, object_id, points=given_points)
    except PromptError as error:
        said = str(error)
    clicks = {key: read_prompt(Prompt(given_points), 40, 30) for key, given_points in points.items()}
    if said:
        with pytest.raises(PromptError) as caught:
            check_limits(limited(), clicks, chosen)
        assert str(caught.value) == said
    else:
        check_limits(limited(), clicks, chosen)
    check_limits(FakeEngine(), clicks, chosen)  # which has no limits
