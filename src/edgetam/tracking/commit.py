"""Answers to prompts become memories that tracking can read; sessions and streams share the rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from edgetam.tracking.options import TrackerOptions
from edgetam.tracking.records import ObjectTrack
from edgetam.tracking.step import Moment, absent_record, remember

__all__ = ["clear_around", "commit", "release"]

CLEARED_FRAMES = 7
"""As published: tracked frames up to this many strides away from a prompt are forgotten."""


def commit(
    tracks: Collection[ObjectTrack], moment_of: Callable[[int], Moment], options: TrackerOptions
) -> None:
    """Remember the answers that are pending; corrections first, prompted frames after them.

    Args:
        tracks: all objects of the session or stream.
        moment_of: gives a frame, encoded.
        options: whether objects share prompted frames, and what is forgotten around them.
    """
    for conditioning in (False, True):
        waiting = {t for track in tracks for t, (_, c) in track.pending.items() if c == conditioning}
        for frame in sorted(waiting):
            _commit_frame(moment_of(frame), tracks, conditioning, options)
    for track in tracks:
        track.pending.clear()
        for frame in track.prompted:
            track.tracked.pop(frame, None)
            track.corrected.discard(frame)


def clear_around(track: ObjectTrack, frame: int, options: TrackerOptions) -> None:
    """Forget tracked frames close to a prompted one, where options say so; corrections stay."""
    if not options.clear_around_prompts:
        return
    reach = CLEARED_FRAMES * options.memory_stride
    for t in range(frame - reach, frame + reach + 1):
        if t not in track.corrected and t in track.tracked:
            del track.tracked[t]


def release(tracks: Collection[ObjectTrack], frame: int, options: TrackerOptions) -> None:
    """Where nobody is prompted on a frame any more, let what was seen there count as tracked."""
    for each in tracks:
        sharing = tracks if options.joint else [each]
        if any(frame in other.prompts for other in sharing):
            continue
        each.corrected.discard(frame)
        if frame in each.prompted:
            reverse = each.visited.pop(frame, False)
            each.tracked.put_back(frame, each.prompted.pop(frame), reverse=reverse)


def _commit_frame(
    moment: Moment, tracks: Iterable[ObjectTrack], conditioning: bool, options: TrackerOptions
) -> None:
    """Remember one frame for the objects prompted on it (for all of them when tracking jointly)."""
    frame = moment.frame
    members = [
        t for t in tracks if options.joint or (frame in t.pending and t.pending[frame][1] == conditioning)
    ]
    absent = absent_record(moment.engine)
    records = [t.latest(frame) or absent for t in members]
    kept = remember(moment, records, options, binarize=options.binarize_prompted)
    for member, record in zip(members, kept, strict=True):
        if conditioning:
            member.prompted[frame] = record
        else:
            member.tracked.put_back(frame, record, reverse=member.visited.get(frame, False))
            member.corrected.add(frame)
        clear_around(member, frame, options)
