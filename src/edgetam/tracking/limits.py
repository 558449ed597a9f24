"""What an engine cannot do: track without memory, or go beyond fixed shapes. Found out beforehand."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from edgetam.engine.base import Engine
from edgetam.engine.manifest import Limits
from edgetam.errors import InputError, PromptError
from edgetam.tracking.options import TrackerOptions
from edgetam.tracking.prompts import Clicks
from edgetam.tracking.records import ObjectTrack

__all__ = ["check_engine", "check_limits", "check_memory", "check_room"]


def check_engine(model: Any) -> None:
    """Refuse what is no engine.

    Raises:
        InputError: it lacks a verb.
    """
    if isinstance(model, type) or not hasattr(model, "remember"):
        raise InputError(f"model is a {type(model).__name__}; pass what edgetam.load_model() gives.")


def check_memory(engine: Engine) -> None:
    """Refuse an engine that can segment images only.

    Raises:
        InputError: its weights have no memory, or it is none.
    """
    check_engine(engine)
    if not np.isfinite(engine.absent_pointer).all():  # what weights lack is NaN
        raise InputError(
            "These weights have no memory and cannot track; load the whole file, or use ImageSegmenter."
        )


def check_limits(engine: Engine, prompts: Mapping[tuple[int, int], Clicks], options: TrackerOptions) -> None:
    """Find out before anything is made whether the prompts of a whole run, in their order, have room.

    ``prompts`` are by frame and object id, and all are answered before anything is tracked.

    Raises:
        PromptError: they lead beyond the limits of the engine.
    """
    limits = _limits(engine)
    if limits is None:
        return
    prompted: dict[int, set[int]] = {}
    for (frame, object_id), clicks in prompts.items():
        _check(limits, prompted, {object_id: clicks}, frame, options)
        prompted.setdefault(object_id, set()).add(frame)


def check_room(
    engine: Engine,
    tracks: Mapping[int, ObjectTrack],
    prompts: Mapping[int, Clicks],
    frame: int,
    options: TrackerOptions,
    corrected: Container[int] = (),
    leaving: Container[int] = (),
) -> None:
    """Find out before anything is computed whether prompts lead beyond the limits of the engine.

    ``corrected`` are objects whose prompts correct what tracking found on the frame. Those ``leaving`` are
    removed before, with the frames that only they are prompted on.

    Raises:
        PromptError: they do.
    """
    limits = _limits(engine)
    if limits is not None:
        staying = {object_id: track for object_id, track in tracks.items() if object_id not in leaving}
        freed = {t for object_id, track in tracks.items() if object_id in leaving for t in track.prompts}
        freed -= {t for track in staying.values() for t in track.prompts}
        prompted = {object_id: _prompted(track) - freed for object_id, track in staying.items()}
        _check(limits, prompted, prompts, frame, options, corrected)


def _limits(engine: Engine) -> Limits | None:
    return getattr(engine, "limits", None)  # only bundles have them


def _check(
    limits: Limits,
    prompted: Mapping[int, set[int]],
    prompts: Mapping[int, Clicks],
    frame: int,
    options: TrackerOptions,
    corrected: Container[int] = (),
) -> None:
    """Check prompts on one frame; ``prompted`` holds the prompted frames of all objects that are there."""
    if any(len(clicks.points) > limits.points for clicks in prompts.values()):
        raise PromptError(limits.too_many_points)
    count = len({*prompted, *prompts})
    if count > max(limits.objects, len(prompted)):
        raise PromptError(
            f"This would be object number {count} and the bundle was exported for at most {limits.objects}; "
            "remove one, or export it with more --objects."
        )
    if options.max_prompted is not None and options.max_prompted <= limits.prompted:
        return
    for object_id in prompts:
        if object_id in corrected and not options.keep_corrections:
            continue  # the frame will not count as prompted
        sharing = prompted.values() if options.joint else [prompted.get(object_id, set())]
        frames = {frame}.union(*sharing)
        if len(frames) > limits.prompted:
            raise PromptError(
                f"Frame {frame} would be prompted frame number {len(frames)} of object {object_id} and the "
                f"bundle reads at most {limits.prompted}; export it with more --prompted, or set "
                f"TrackerOptions(max_prompted={limits.prompted})."
            )


def _prompted(track: ObjectTrack) -> set[int]:
    return {*track.prompted, *(t for t, (_, conditioning) in track.pending.items() if conditioning)}
