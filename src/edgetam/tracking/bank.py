"""Which memories and pointers a frame reads: integer logic only (SAM 2, section 4).

A frame reads every prompted frame, the six tracked frames before it, and the pointers of the prompted
frames behind it and of the fifteen frames before it. "Before" is against the direction of tracking.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

__all__ = ["KEPT_SURE", "Reading", "horizon", "read_plan"]

RECENT_MEMORIES = 6
MAX_POINTERS = 16
KEPT_SURE = 16
"""Sure frames to hold: six are read, and others take the place of those that are prompted or forgotten."""


class Reading(NamedTuple):
    """What one frame reads of one object."""

    memories: list[tuple[int, int]]
    """(frame, age); age 0 for prompted frames."""
    pointers: list[tuple[int, float]]
    """(frame, distance in frames over the largest distance), nearest last prompt first."""


def horizon(stride: int = 1) -> int:
    """How many frames back a frame can read: older tracked frames may be forgotten."""
    return max(MAX_POINTERS - 1, RECENT_MEMORIES * stride)


def read_plan(
    frame: int,
    prompted: Iterable[int],
    tracked: Container[int],
    *,
    reverse: bool = False,
    stride: int = 1,
    max_prompted: int | None = None,
    length: int | None = None,
    sure: Sequence[int] | None = None,
) -> Reading:
    """Plan what ``frame`` reads.

    Args:
        frame: the frame to condition.
        prompted: prompted frames in the order they were given.
        tracked: frames with a tracked memory.
        reverse: tracking runs backwards in time.
        stride: distance between the tracked memories, beyond the nearest one.
        max_prompted: read at most so many prompted frames.
        length: frames in the video, when known; limits the pointers of short videos.
        sure: tracked frames whose answers can be trusted, ascending: the nearest six of them are read,
            however far back they are, instead of the last six frames.
    """
    if sure is not None:  # those that pointers are read of; there may be very many
        nearest = bisect_left(sure, frame - MAX_POINTERS), bisect_right(sure, frame + MAX_POINTERS)
        tracked = set(sure[slice(*nearest)])
    everything = list(prompted)
    chosen = _closest(frame, everything, max_prompted)
    rest = set(everything) - set(chosen)
    memories = [(t, 0) for t in chosen]
    if sure is None:
        for age in range(RECENT_MEMORIES, 0, -1):
            t = _earlier(frame, age, stride, reverse)
            if t in tracked or t in rest:
                memories.append((t, age))
    else:
        near = {t for t in rest if abs(frame - t) <= horizon(stride)}  # streams forget them then
        numbers = sorted({*sure, *near}) if near else sure
        found = islice(_backwards(frame, numbers, stride, reverse), RECENT_MEMORIES)
        memories += [(t, age) for age, t in reversed([*enumerate(found, 1)])]
    return Reading(memories, _pointers(frame, chosen, rest, tracked, reverse, length))


def _earlier(frame: int, age: int, stride: int, reverse: bool) -> int:
    """The frame that plays the part of "``age`` frames back"."""
    if age == 1:
        return frame + 1 if reverse else frame - 1
    if reverse:
        return -(-(frame + 2) // stride) * stride + (age - 2) * stride
    return ((frame - 2) // stride) * stride - (age - 2) * stride


def _backwards(frame: int, numbers: Sequence[int], stride: int, reverse: bool) -> Iterator[int]:
    """Those behind ``frame``, the nearest first, and beyond it multiples of ``stride``."""
    if reverse:
        places = range(bisect_right(numbers, frame), len(numbers))
    else:
        places = range(bisect_left(numbers, frame) - 1, -1, -1)
    behind = (numbers[place] for place in places)
    yield from islice(behind, 1)
    yield from (t for t in behind if t % stride == 0)


def _closest(frame: int, prompted: list[int], limit: int | None) -> list[int]:
    """At most ``limit`` prompted frames: the nearest before, the nearest at or after, then by distance."""
    if limit is None or len(prompted) <= limit:
        return prompted
    before = [t for t in prompted if t < frame]
    after = [t for t in prompted if t >= frame]
    first = ([max(before)] if before else []) + ([min(after)] if after else [])
    others = sorted((t for t in prompted if t not in first), key=lambda t: abs(t - frame))
    return (first + others)[:limit]


def _pointers(
    frame: int, chosen: list[int], rest: set[int], tracked: Container[int], reverse: bool, length: int | None
) -> list[tuple[int, float]]:
    count = MAX_POINTERS if length is None else min(length, MAX_POINTERS)
    sign = -1 if reverse else 1
    unit = max(count - 1, 1)
    # pointers of prompted frames still to come are not read, though their memories are
    found = [(t, sign * (frame - t) / unit) for t in chosen if sign * (frame - t) >= 0]
    for distance in range(1, count):
        t = frame - sign * distance
        if t in tracked or t in rest:
            found.append((t, distance / unit))
    return found
