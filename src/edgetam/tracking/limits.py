"""Engines with fixed shapes take so many objects, prompted frames and points and no more."""

from __future__ import annotations

from collections.abc import Container, Mapping

from edgetam.engine.base import Engine
from edgetam.errors import PromptError
from edgetam.tracking.options import TrackerOptions
from edgetam.tracking.prompts import Clicks
from edgetam.tracking.records import ObjectTrack

__all__ = ["check_room"]


def check_room(
    engine: Engine,
    tracks: Mapping[int, ObjectTrack],
    prompts: Mapping[int, Clicks],
    frame: int,
    options: TrackerOptions,
    corrected: Container[int] = (),
) -> None:
    """Find out before anything is computed whether prompts lead beyond the limits of the engine.

    ``corrected`` are objects whose prompts correct what tracking found on the frame.

    Raises:
        PromptError: they do.
    """
    limits = getattr(engine, "limits", None)  # only bundles have them
    if limits is None:
        return
    if any(len(clicks.points) > limits.points for clicks in prompts.values()):
        raise PromptError(limits.too_many_points)
    count = len({*tracks, *prompts})
    if count > max(limits.objects, len(tracks)):
        raise PromptError(
            f"This would be object number {count} and the bundle was exported for at most {limits.objects}; "
            "remove one, or export it with more --objects."
        )
    if options.max_prompted is not None and options.max_prompted <= limits.prompted:
        return
    for object_id in prompts:
        if object_id in corrected and not options.keep_corrections:
            continue  # the frame will not count as prompted
        sharing = tracks.values() if options.joint else [tracks[i] for i in (object_id,) if i in tracks]
        frames = {frame}.union(*(_prompted(track) for track in sharing))
        if len(frames) > limits.prompted:
            raise PromptError(
                f"Frame {frame} would be prompted frame number {len(frames)} of object {object_id} and the "
                f"bundle reads at most {limits.prompted}; export it with more --prompted, or set "
                f"TrackerOptions(max_prompted={limits.prompted})."
            )


def _prompted(track: ObjectTrack) -> set[int]:
    return {*track.prompted, *(t for t, (_, conditioning) in track.pending.items() if conditioning)}
