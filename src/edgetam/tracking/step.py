"""One frame, any number of objects: the four verbs in the order tracking needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgetam.config import MEMORY_DIM
from edgetam.engine.base import DecodeMode, Engine
from edgetam.structs import Decoded, DecoderPrompt, ImageFeatures, MemoryContext
from edgetam.tracking.bank import Reading, read_plan
from edgetam.tracking.geometry import Floats, resize_mask, resize_mask_logits
from edgetam.tracking.masks import NO_OBJECT, fill_holes
from edgetam.tracking.options import TrackerOptions
from edgetam.tracking.prompts import Clicks
from edgetam.tracking.records import FrameRecord, ObjectTrack, RecordStore

__all__ = ["PREVIOUS_LIMIT", "Moment", "absent_record", "answer", "remember", "track"]

PREVIOUS_LIMIT = 32.0
"""Logits of an earlier answer are clamped to this before they are given back to the decoder."""


class Moment:
    """One frame as the model sees it, and the direction in time it is reached from."""

    def __init__(
        self,
        engine: Engine,
        features: ImageFeatures[Any],
        frame: int,
        *,
        size: tuple[int, int],
        reverse: bool = False,
        length: int | None = None,
    ) -> None:
        self.engine = engine
        self.features = features
        self.frame = frame
        self.width, self.height = size
        self.reverse = reverse
        self.length = length


def track(moment: Moment, tracks: Sequence[ObjectTrack], options: TrackerOptions) -> list[FrameRecord]:
    """Find each object on a frame nobody prompted, and remember it."""
    records: list[FrameRecord] = []
    # objects that exclude each other must be seen together
    size = len(tracks) if options.exclusive_memory else options.batch
    for i in range(0, len(tracks), max(size, 1)):
        records += _track_batch(moment, tracks[i : i + size], options)
    return records


def _track_batch(moment: Moment, tracks: Sequence[ObjectTrack], options: TrackerOptions) -> list[FrameRecord]:
    engine, features = moment.engine, moment.features
    fused = engine.attend(features, gather(moment, tracks, options))
    decoded = engine.decode(fused, features, no_prompt(len(tracks)), "best")
    records = remember(moment, to_records(decoded), options, binarize=False)
    # as published: holes are filled after remembering
    return [replace(r, logits=fill_holes(r.logits, options.fill_holes)) for r in records]


def answer(
    moment: Moment, track: ObjectTrack, clicks: Clicks, options: TrackerOptions, *, conditioned: bool
) -> FrameRecord:
    """Answer a prompt on one object; nothing is remembered yet.

    ``conditioned`` prompts correct a tracked frame and read the object's memories; others start afresh.
    """
    engine, features = moment.engine, moment.features
    if clicks.mask is not None:
        mask = resize_mask(clicks.mask, engine.config.image_size)
        decoded = engine.adopt(features, mask[None, None])
    else:
        context = gather(moment, [track], options) if conditioned else None
        fused = engine.attend(features, context)
        # an empty mask too: it tells that the click is on something missed, which else often stays gone
        prompt = to_decoder(clicks, track.latest(moment.frame), moment)
        decoded = engine.decode(fused, features, prompt, decode_mode(len(clicks.points), options))
    record = to_records(decoded)[0]
    return replace(record, logits=fill_holes(record.logits, options.fill_holes))


def remember(
    moment: Moment, records: Sequence[FrameRecord], options: TrackerOptions, *, binarize: bool
) -> list[FrameRecord]:
    """Encode the memory of each object on this frame."""
    # objects that exclude each other must be seen together
    size = len(records) if options.exclusive_memory else options.batch
    kept: list[FrameRecord] = []
    for i in range(0, len(records), max(size, 1)):
        kept += _remember_batch(moment, records[i : i + size], options, binarize)
    return kept


def _remember_batch(
    moment: Moment, records: Sequence[FrameRecord], options: TrackerOptions, binarize: bool
) -> list[FrameRecord]:
    memory = moment.engine.remember(
        moment.features,
        np.stack([r.logits for r in records])[:, None],
        np.array([[r.presence] for r in records], np.float32),
        np.stack([r.pointer for r in records]),
        binarize=binarize,
        exclusive=options.exclusive_memory and len(records) > 1,
    )
    exact = options.store == "fp32" or (options.store == "auto" and moment.engine.precision == "fp32")
    packed = [FrameRecord.pack(tokens, "fp32" if exact else "bf16") for tokens in memory.tokens]
    return [replace(r, memory=m) for r, m in zip(records, packed, strict=True)]


def absent_record(engine: Engine) -> FrameRecord:
    """An object on a frame that others were prompted on. As published: absent, yet with a high presence."""
    side = engine.config.mask_size
    return FrameRecord(np.full((side, side), NO_OBJECT, np.float32), 10.0, 0.0, engine.absent_pointer)


def gather(
    moment: Moment, tracks: Sequence[ObjectTrack], options: TrackerOptions
) -> MemoryContext[Any] | None:
    """Collect what each object remembers, padded to the longest; ``None`` if nobody remembers anything."""
    confident = options.confident(moment.engine.config)
    plans = [
        read_plan(
            moment.frame,
            track.prompted,
            _Seen(track.tracked) if moment.engine.config.skips_absent else track.tracked,
            reverse=moment.reverse,
            stride=options.memory_stride,
            max_prompted=options.max_prompted,
            length=moment.length,
            # objects of which nothing is ever sure are followed as published
            sure=track.tracked.sure or None if confident else None,
        )
        for track in tracks
    ]
    frames = max(len(plan.memories) for plan in plans)
    if frames == 0:
        return None
    return _pad(moment.engine, tracks, plans, frames, max(len(plan.pointers) for plan in plans))


@dataclass(frozen=True)
class _Seen:
    """Tracked frames on which the object was there."""

    tracked: RecordStore

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int) and frame in self.tracked and self.tracked[frame].presence > 0


def _pad(
    engine: Engine, tracks: Sequence[ObjectTrack], plans: list[Reading], frames: int, pointers: int
) -> MemoryContext[Any]:
    batch = len(tracks)
    tokens = np.zeros((batch, frames, engine.config.memory_layout.tokens, MEMORY_DIM), np.float32)
    ages = np.zeros((batch, frames), np.int64)
    points = np.zeros((batch, pointers, engine.absent_pointer.size), np.float32)
    distances = np.zeros((batch, pointers), np.float32)
    for b, (track, plan) in enumerate(zip(tracks, plans, strict=True)):
        for i, (frame, age) in enumerate(plan.memories):
            record = track.remembered(frame)
            assert record is not None
            tokens[b, i], ages[b, i] = record.tokens, age
        for i, (frame, distance) in enumerate(plan.pointers):
            record = track.remembered(frame)
            assert record is not None
            points[b, i], distances[b, i] = record.pointer, distance
    tokens_valid = np.array([[i < len(p.memories) for i in range(frames)] for p in plans])
    pointers_valid = np.array([[i < len(p.pointers) for i in range(pointers)] for p in plans], bool)
    if tokens_valid.all() and pointers_valid.all():
        return MemoryContext(tokens, ages, points, distances)
    return MemoryContext(
        tokens, ages, points, distances, tokens_valid, pointers_valid.reshape(batch, pointers)
    )


def decode_mode(points: int, options: TrackerOptions) -> DecodeMode:
    """Up to one point is ambiguous and gets the best of several candidates; a box counts as two points."""
    if points <= 1:
        return "best"
    return "stable" if options.stable_single else "single"


def no_prompt(batch: int) -> DecoderPrompt[Any]:
    """What the decoder is told on a frame without prompts: one point that is not a point."""
    return DecoderPrompt(np.zeros((batch, 1, 2), np.float32), np.full((batch, 1), -1, np.int64))


def to_decoder(clicks: Clicks, previous: FrameRecord | None, moment: Moment) -> DecoderPrompt[Any]:
    """Clicks in model pixels, with the logits of the earlier answer on this frame, if there is one."""
    size = moment.engine.config.image_size
    scaled = clicks.points / np.array([moment.width, moment.height], np.float32) * size
    mask = None
    if previous is not None:
        clamped = np.clip(previous.logits, -PREVIOUS_LIMIT, PREVIOUS_LIMIT)
        mask = resize_mask_logits(clamped, moment.engine.config.mask_size)[None, None]
    return DecoderPrompt(scaled[None].astype(np.float32), clicks.labels[None], mask)


def to_records(decoded: Decoded[Any]) -> list[FrameRecord]:
    """The best candidate of each object; absent objects get -1024 everywhere."""
    records = []
    for i, best in enumerate(decoded.best):
        presence = float(decoded.presence[i, 0])
        logits: Floats = decoded.masks[i, best]
        if presence <= 0:
            logits = np.full_like(logits, NO_OBJECT)
        records.append(FrameRecord(logits, presence, float(decoded.scores[i, best]), decoded.pointer[i]))
    return records
