"""The reading plan against a second statement of the rules, word by word from the specification."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetam.tracking.bank import horizon, read_plan

FRAMES = st.integers(0, 60)
STRIDES = st.integers(1, 4)


def expected_memories(
    frame: int, prompted: list[int], tracked: set[int], reverse: bool, stride: int, limit: int | None
) -> tuple[list[tuple[int, int]], list[int]]:
    """(frame, age) of what is read, and the selected prompted frames."""
    selected = list(prompted)
    if limit is not None and len(prompted) > limit:
        selected = []
        before = [t for t in prompted if t < frame]
        after = [t for t in prompted if t >= frame]
        if before:
            selected.append(max(before))
        if after:
            selected.append(min(after))
        remaining = sorted((t for t in prompted if t not in selected), key=lambda t: abs(t - frame))
        selected = (selected + remaining)[:limit]
    found = [(t, 0) for t in selected]
    for position in range(1, 7):
        age = 7 - position
        if age == 1:
            t = frame + 1 if reverse else frame - 1
        elif reverse:
            t = math.ceil((frame + 2) / stride) * stride + (age - 2) * stride
        else:
            t = math.floor((frame - 2) / stride) * stride - (age - 2) * stride
        if t in tracked or (t in prompted and t not in selected):
            found.append((t, age))
    return found, selected


def expected_pointers(
    frame: int, prompted: list[int], selected: list[int], tracked: set[int], reverse: bool, length: int | None
) -> list[tuple[int, float]]:
    most = 16 if length is None else min(length, 16)
    ahead = [t for t in selected if (t >= frame if reverse else t <= frame)]
    found = [(t, abs(frame - t) / max(most - 1, 1)) for t in ahead]
    for d in range(1, most):
        t = frame + d if reverse else frame - d
        if t in tracked or (t in prompted and t not in selected):
            found.append((t, d / (most - 1)))
    return found


@given(
    frame=FRAMES,
    prompted=st.lists(FRAMES, min_size=1, max_size=8, unique=True),
    tracked=st.sets(FRAMES, max_size=40),
    reverse=st.booleans(),
    stride=STRIDES,
    limit=st.none() | st.integers(1, 4),
    length=st.none() | st.integers(1, 100),
)
def test_the_plan_follows_the_specification(
    frame: int,
    prompted: list[int],
    tracked: set[int],
    reverse: bool,
    stride: int,
    limit: int | None,
    length: int | None,
) -> None:
    tracked -= set(prompted)
    plan = read_plan(
        frame, prompted, tracked, reverse=reverse, stride=stride, max_prompted=limit, length=length
    )
    memories, selected = expected_memories(frame, prompted, tracked, reverse, stride, limit)
    assert plan.memories == memories
    assert plan.pointers == expected_pointers(frame, prompted, selected, tracked, reverse, length)


@given(
    frame=FRAMES,
    prompted=st.lists(FRAMES, max_size=5, unique=True),
    tracked=st.sets(FRAMES),
    reverse=st.booleans(),
    stride=STRIDES,
)
def test_the_horizon_is_enough(
    frame: int, prompted: list[int], tracked: set[int], reverse: bool, stride: int
) -> None:
    """Forgetting what lies beyond it changes no plan."""
    near = {t for t in tracked if abs(t - frame) <= horizon(stride)}
    assert read_plan(frame, prompted, near, reverse=reverse, stride=stride) == read_plan(
        frame, prompted, tracked, reverse=reverse, stride=stride
    )


@given(frame=FRAMES, tracked=st.sets(FRAMES), prompted=st.lists(FRAMES, min_size=1, unique=True))
def test_reverse_is_forward_in_a_mirror(frame: int, tracked: set[int], prompted: list[int]) -> None:
    forward = read_plan(frame, prompted, tracked)
    mirrored = read_plan(-frame, [-t for t in prompted], {-t for t in tracked}, reverse=True)
    assert [(-t, age) for t, age in mirrored.memories] == forward.memories
    assert [(-t, distance) for t, distance in mirrored.pointers] == forward.pointers


@given(
    frame=FRAMES,
    prompted=st.lists(FRAMES, min_size=3, max_size=12, unique=True),
    limit=st.integers(1, 5),
)
def test_at_most_so_many_prompted_frames_are_read_as_prompted(
    frame: int, prompted: list[int], limit: int
) -> None:
    plan = read_plan(frame, prompted, set(), max_prompted=limit)
    chosen = [t for t, age in plan.memories if age == 0]
    assert len(chosen) == min(limit, len(prompted))
    if any(t < frame for t in prompted):
        assert max(t for t in prompted if t < frame) in chosen


def test_a_usual_frame() -> None:
    plan = read_plan(30, [0], range(1, 30))
    assert plan.memories == [(0, 0), (24, 6), (25, 5), (26, 4), (27, 3), (28, 2), (29, 1)]
    assert [t for t, _ in plan.pointers] == [0, *range(29, 14, -1)]
    assert plan.pointers[0][1] == 2.0
    assert plan.pointers[-1][1] == 1.0


def test_strides_keep_the_nearest_frame() -> None:
    plan = read_plan(30, [0], range(1, 30), stride=4)
    assert plan.memories == [(0, 0), (12, 6), (16, 5), (20, 4), (24, 3), (28, 2), (29, 1)]


def test_prompted_frames_to_come_are_seen_but_not_pointed_to() -> None:
    plan = read_plan(5, [0, 9], {4})
    assert plan.memories == [(0, 0), (9, 0), (4, 1)]
    assert [t for t, _ in plan.pointers] == [0, 4]
    backwards = read_plan(5, [0, 9], {6}, reverse=True)
    assert [t for t, _ in backwards.pointers] == [9, 6]


@given(
    frame=FRAMES,
    prompted=st.lists(FRAMES, min_size=1, max_size=8, unique=True),
    sure=st.sets(FRAMES),
    reverse=st.booleans(),
    stride=STRIDES,
)
def test_sure_frames_are_read_however_far_back_they_are(
    frame: int, prompted: list[int], sure: set[int], reverse: bool, stride: int
) -> None:
    sure -= set(prompted)
    plan = read_plan(frame, prompted, (), reverse=reverse, stride=stride, sure=sorted(sure))
    behind = sorted((t for t in sure if (t > frame if reverse else t < frame)), key=lambda t: abs(t - frame))
    read = (behind[:1] + [t for t in behind[1:] if t % stride == 0])[:6]
    assert plan.memories == [(t, 0) for t in prompted] + [(t, a) for a, t in reversed([*enumerate(read, 1)])]
    assert {t for t, _ in plan.pointers} - set(prompted) == {t for t in behind if abs(t - frame) < 16}


@pytest.mark.parametrize("frame", [3, 20])
@pytest.mark.parametrize("reverse", [False, True])
def test_where_all_is_sure_the_same_is_read(frame: int, reverse: bool) -> None:
    everything = range(1, 40)
    plan = read_plan(frame, [0], everything, reverse=reverse)
    assert read_plan(frame, [0], (), reverse=reverse, sure=everything) == plan
