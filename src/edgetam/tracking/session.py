"""A tracking session: one video, random access, prompts on any frame at any time.

Objects are independent of each other (SAM 2's predictor of December 2024): they come and go at any frame, and
those active on a frame are decoded in one batch.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import deque
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgetam.engine.base import Engine
from edgetam.errors import OutputError, PromptError
from edgetam.io.paths import as_path
from edgetam.structs import FrameResult, ImageFeatures, Prompt
from edgetam.tracking.bank import KEPT_SURE, horizon
from edgetam.tracking.commit import clear_around, commit, release
from edgetam.tracking.geometry import prepare_frame
from edgetam.tracking.limits import check_memory, check_room
from edgetam.tracking.options import TrackerOptions
from edgetam.tracking.prompts import Clicks, check_number, read_prompt
from edgetam.tracking.records import FrameRecord, ObjectTrack, RecordStore, known_track
from edgetam.tracking.results import to_result
from edgetam.tracking.step import Moment, answer, track

__all__ = ["Frames", "TrackingSession"]

V = TypeVar("V")

HELD_FRAMES = 2
"""Frames whose features are kept, so that several clicks on one frame encode it once."""
UNDO_STEPS = 100
"""Prompts that can be taken back: each keeps what it replaced, up to three records of a frame."""


class Frames(Protocol):
    """The video as a session sees it; `edgetam.io.open_frames` makes one of nearly anything."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...
    def time(self, index: int) -> float | None: ...
    def close(self) -> None: ...


class _Before(NamedTuple):
    """What a prompt replaced, for undo."""

    object_id: int
    frame: int
    clicks: Clicks | None
    pending: tuple[FrameRecord, bool] | None
    prompted: FrameRecord | None
    tracked: FrameRecord | None
    corrected: bool


class TrackingSession:
    """Prompts, results and memories of one video.

    Memory does not grow with the video: frames are decoded on demand, features of the last two are kept,
    and tracked memories that the next frame cannot read move to a temporary folder (or are forgotten with
    ``TrackerOptions(history=False)``). Use it as a context manager, or call `close`.

    Raises:
        InputError: the engine's weights have no memory.
    """

    def __init__(self, engine: Engine, frames: Frames, options: TrackerOptions | None = None) -> None:
        check_memory(engine)
        self.engine = engine
        self.frames = frames
        self.options = TrackerOptions.of(options)
        self.tracks: dict[int, ObjectTrack] = {}
        self._features: dict[int, ImageFeatures[Any]] = {}
        self._journal: deque[_Before] = deque(maxlen=UNDO_STEPS)
        self._folder: Path | None = None

    def __enter__(self) -> TrackingSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a frame in pixels."""
        return self.frames.width, self.frames.height

    @property
    def objects(self) -> list[int]:
        """Ids of all objects, in the order they were added."""
        return list(self.tracks)

    def close(self) -> None:
        """Close the video and delete the temporary history."""
        self._features.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self.frames.close()

    def prompt(
        self,
        frame: int,
        object_id: int,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
        *,
        replace: bool = False,
    ) -> FrameResult:
        """Point at an object and see the answer at once.

        Points add up over calls on the same frame, unless ``replace`` is set. On a frame that was already
        tracked they correct the tracked mask.

        Args:
            frame: index of the frame, from 0.
            object_id: any non-negative integer; a new one adds an object.
            points: ``[[x, y], ...]`` in pixels.
            labels: one per point, 1 for the object and 0 for anything else; all 1 when left out.
            box: ``[x0, y0, x1, y1]`` in pixels.
            mask: ``[H, W]``, true where the object is; not together with points or a box.
            replace: forget earlier points on this frame.

        Returns:
            All objects known on this frame.

        Raises:
            PromptError: the frame does not exist or the prompt does not fit it.
        """
        frame = self.check_frame(frame)
        object_id = check_number("object_id", object_id)
        clicks = read_prompt(Prompt(points, labels, box, mask), *self.size)
        self.apply(frame, object_id, clicks, replace=replace)
        return self.result(frame)

    def apply(self, frame: int, object_id: int, clicks: Clicks, *, replace: bool = False) -> FrameRecord:
        """Answer prompts that are already checked; see `prompt`."""
        track = self.tracks.get(object_id) or self.new_track(object_id)
        earlier = track.prompts.get(frame)
        if earlier is not None and not replace:
            clicks = earlier.followed_by(clicks)
        correction = frame in track.visited
        corrected = [object_id] if correction else []
        check_room(self.engine, self.tracks, {object_id: clicks}, frame, self.options, corrected)
        before = _Before(
            object_id,
            frame,
            earlier,
            track.pending.get(frame),
            track.prompted.get(frame),
            track.tracked.get(frame),
            frame in track.corrected,
        )
        moment = self.moment(frame, reverse=track.visited.get(frame, False))
        record = answer(moment, track, clicks, self.options, conditioned=correction)
        track.prompts[frame] = clicks
        track.pending[frame] = record, not correction or self.options.keep_corrections
        self.tracks[object_id] = track
        self._journal.append(before)
        return record

    def undo(self) -> FrameResult | None:
        """Take back the last prompt; returns its frame as it is now, or ``None`` when there is nothing left.

        Frames that were tracked in between keep their results until they are tracked again. The last 100
        prompts can be taken back.
        """
        if not self._journal:
            return None
        before = self._journal.pop()
        _restore(self.tracks[before.object_id], before)
        self._release(before.frame)
        return self.result(before.frame)

    def remove_prompts(self, frame: int, object_id: int) -> FrameResult:
        """Take all prompts of an object off a frame; what was seen there counts as tracked from now on.

        An object without any prompted frame left is forgotten. `undo` no longer reaches these prompts.

        Raises:
            PromptError: there is no such frame or object.
        """
        frame = self.check_frame(frame)
        track = known_track(self.tracks, object_id)
        track.prompts.pop(frame, None)
        track.pending.pop(frame, None)
        track.corrected.discard(frame)
        kept = [b for b in self._journal if (b.object_id, b.frame) != (object_id, frame)]
        self._journal = deque(kept, UNDO_STEPS)
        self._release(frame)
        return self.result(frame)

    def remove_object(self, object_id: int) -> None:
        """Forget an object and everything known about it.

        With ``TrackerOptions(joint=True)``, frames that no other object is prompted on count as tracked from
        now on.

        Raises:
            PromptError: there is no such object.
        """
        track = known_track(self.tracks, object_id)
        self._forget(object_id)
        self._release(*track.prompts)

    def reset(self) -> None:
        """Forget all objects; the video stays open."""
        for object_id in self.objects:
            self._forget(object_id)
        self._journal.clear()

    def result(self, frame: int) -> FrameResult:
        """What is known about a frame, without computing anything."""
        frame = self.check_frame(frame)
        records = {i: track.latest(frame) for i, track in self.tracks.items()}
        return self._result(frame, {i: r for i, r in records.items() if r is not None})

    def propagate(
        self, start: int | None = None, *, reverse: bool = False, frames: int | None = None
    ) -> Iterator[FrameResult]:
        """Track all objects through the video, one frame per iteration.

        Prompts, new objects and removals between two iterations take effect at the next one.

        Args:
            start: first frame; the earliest prompted frame by default (the latest when ``reverse``).
            reverse: go backwards in time.
            frames: stop after this many frames.

        Raises:
            PromptError: nothing has been prompted, ``start`` does not exist, or ``frames`` is negative.
        """
        # checked here and not in the generator, so that mistakes show at the call
        first = None if start is None else self.check_frame(start)
        count = None if frames is None else check_number("frames", frames)
        self.commit()
        prompted = [t for track in self.tracks.values() for t in track.prompted]
        if not prompted:
            raise PromptError("No object has been prompted; give a point, a box or a mask first.")
        if first is None:
            first = max(prompted) if reverse else min(prompted)
        order = range(first, -1, -1) if reverse else range(first, len(self))
        return (self.advance(frame, reverse=reverse) for frame in order[:count])

    def advance(self, frame: int, *, reverse: bool = False) -> FrameResult:
        """Track to one frame; `propagate` calls this frame by frame."""
        frame = self.check_frame(frame)
        self.commit()
        options = self.options
        active = [
            track
            for track in self.tracks.values()
            if track.prompted and (options.track_before_prompt or track.starts_by(frame, reverse))
        ]
        moving = [t for t in active if not self._is_fixed(t, frame)]
        if moving:
            moment = self.moment(frame, reverse=reverse)
            for moved, record in zip(moving, track(moment, moving, options), strict=True):
                moved.tracked[frame] = record
        for each in active:
            each.visited[frame] = reverse
            if frame in each.prompted:
                clear_around(each, frame, options)
        records = {t.object_id: t.latest(frame) for t in active}
        return self._result(frame, {i: r for i, r in records.items() if r is not None})

    def commit(self) -> None:
        """Remember the answers to all prompts, so that tracking can read them."""
        commit(self.tracks.values(), self.moment, self.options)

    def moment(self, frame: int, *, reverse: bool = False) -> Moment:
        """A frame, encoded."""
        features = self._features.pop(frame, None)
        if features is None:
            image = prepare_frame(self.frames[frame], self.engine)
            features = self.engine.encode(image)
        self._features[frame] = features
        while len(self._features) > HELD_FRAMES:
            self._features.pop(next(iter(self._features)))
        return Moment(self.engine, features, frame, size=self.size, reverse=reverse, length=len(self.frames))

    def new_track(self, object_id: int) -> ObjectTrack:
        """An object nothing is known about yet; not part of the session until it has a prompt."""
        capacity = horizon(self.options.memory_stride) + 1
        sure = KEPT_SURE if self.options.confident(self.engine.config) else 0
        return ObjectTrack(object_id, RecordStore(capacity, self._history(object_id), keep_sure=sure))

    def check_frame(self, frame: int) -> int:
        """The frame's number as an int; `PromptError` unless the video has it."""
        if not isinstance(frame, (int, np.integer)) or isinstance(frame, bool):
            raise PromptError(f"frame is {frame!r}; expected a whole number.")
        if not 0 <= frame < len(self):
            raise PromptError(f"Frame {frame} does not exist; the video has frames 0 to {len(self) - 1}.")
        return int(frame)

    def save(self, folder: str | Path) -> None:
        """Write prompts (JSON) and memories (safetensors) so that `VideoTracker.resume` can go on."""
        from edgetam.tracking.saving import save_session

        save_session(self, as_path(folder, "The folder to save to", OutputError))

    def _release(self, *frames: int) -> None:
        """Demote frames where their prompts are gone, and forget objects without any prompted frame."""
        waiting = list(frames)
        while waiting:
            release(self.tracks.values(), waiting.pop(0), self.options)
            for each in list(self.tracks.values()):
                if not each.prompted and not any(conditioning for _, conditioning in each.pending.values()):
                    self._forget(each.object_id)
                    waiting += each.prompts  # its corrections, which others may share

    def _is_fixed(self, track: ObjectTrack, frame: int) -> bool:
        """Frames whose answer is given and not tracked again."""
        return frame in track.prompted or (self.options.joint and frame in track.corrected)

    def _result(self, frame: int, records: dict[int, FrameRecord]) -> FrameResult:
        time = self.frames.time(frame)
        return to_result(frame, records, self.size, exclusive=self.options.exclusive, time=time)

    def _forget(self, object_id: int) -> None:
        track = self.tracks.pop(object_id)
        self._journal = deque((b for b in self._journal if b.object_id != object_id), UNDO_STEPS)
        if track.tracked.folder is not None:
            shutil.rmtree(track.tracked.folder, ignore_errors=True)

    def _history(self, object_id: int) -> Path | None:
        """Where an object's old records go."""
        if not self.options.history:
            return None
        if self._folder is None:
            try:
                self._folder = Path(tempfile.mkdtemp(prefix="edgetam-"))
            except OSError as error:
                raise OutputError(
                    f"There is no temporary folder for the history ({error}); free some space, point TMPDIR "
                    "at another disk, or set TrackerOptions(history=False)."
                ) from error
            weakref.finalize(self, _delete_folder, self._folder)
        return self._folder / str(object_id)


def _delete_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _restore(track: ObjectTrack, before: _Before) -> None:
    """Put a frame of a track back to what it was before a prompt."""
    _put(track.prompts, before.frame, before.clicks)
    _put(track.pending, before.frame, before.pending)
    _put(track.prompted, before.frame, before.prompted)
    track.tracked.pop(before.frame, None)
    if before.tracked is not None:
        reverse = track.visited.get(before.frame, False)
        track.tracked.put_back(before.frame, before.tracked, reverse=reverse)
    if before.corrected:
        track.corrected.add(before.frame)
    else:
        track.corrected.discard(before.frame)


def _put(mapping: MutableMapping[int, V], frame: int, value: V | None) -> None:
    if value is None:
        mapping.pop(frame, None)
    else:
        mapping[frame] = value
