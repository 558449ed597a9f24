"""A live stream: one frame in, one result out, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from edgetam.engine.base import Engine
from edgetam.errors import PromptError
from edgetam.io.arrays import as_rgb
from edgetam.structs import FrameResult, Prompt
from edgetam.tracking.bank import KEPT_SURE, horizon
from edgetam.tracking.commit import commit, release
from edgetam.tracking.geometry import prepare_frame
from edgetam.tracking.limits import check_memory, check_room
from edgetam.tracking.options import TrackerOptions
from edgetam.tracking.prompts import Clicks, check_number, read_prompt
from edgetam.tracking.records import FrameRecord, ObjectTrack, RecordStore, known_track
from edgetam.tracking.results import to_result
from edgetam.tracking.step import Moment, answer, track

__all__ = ["Stream"]


class Stream:
    """Tracks objects through frames that arrive one by one.

    What a frame cannot read any more is forgotten. With ``TrackerOptions(max_prompted=n)`` the n latest
    prompted frames of an object are kept; without, they are all kept, since all are read.

    Raises:
        InputError: the engine's weights have no memory.
    """

    def __init__(self, engine: Engine, options: TrackerOptions | None = None) -> None:
        check_memory(engine)
        self.engine = engine
        self.options = TrackerOptions.of(options)
        self.tracks: dict[int, ObjectTrack] = {}
        self.frame = -1
        """Index of the last frame seen."""

    @property
    def objects(self) -> list[int]:
        """Ids of the objects being tracked."""
        return list(self.tracks)

    def step(
        self,
        image: Any,
        prompts: Mapping[int, Prompt] | None = None,
        remove: Iterable[int] = (),
        time: float | None = None,
    ) -> FrameResult:
        """Look at the next frame.

        A prompt for a new id adds an object on this frame. A prompt for an object that is being tracked
        corrects what tracking found on this frame.

        Args:
            image: RGB, uint8 ``[H, W, 3]``, a frame of `edgetam.io.open_live`, or another picture
                (`edgetam.io.arrays.as_rgb`); the size may change from frame to frame.
            prompts: by object id, in pixels of this frame.
            remove: ids to stop tracking before this frame.
            time: passed on to the result.

        Raises:
            MediaError: the frame is no picture of bytes; the stream is then as it was before the call.
            PromptError: ``prompts`` is no mapping, a prompt does not fit the frame, or ``remove`` is not a
                list of known objects; the stream is then as it was before the call.
        """
        rgb = as_rgb(image)
        size = rgb.shape[1], rgb.shape[0]
        clicks = {check_number("object_id", i): read_prompt(p, *size) for i, p in _mapping(prompts).items()}
        frame = self.frame + 1
        leaving = _ids(remove)
        staying = self.tracks.keys() - leaving
        check_room(self.engine, self.tracks, clicks, frame, self.options, staying, leaving)
        self._remove(leaving)
        if self.tracks or clicks:
            features = self.engine.encode(prepare_frame(rgb, self.engine))
            moment = Moment(self.engine, features, frame, size=size)
            self._track(moment)
            self._answer(moment, clicks)
            self._forget(frame)
        self.frame = frame
        seen = {i: track.latest(frame) for i, track in self.tracks.items()}
        records = {i: record for i, record in seen.items() if record is not None}
        return to_result(frame, records, size, exclusive=self.options.exclusive, time=time)

    def remove_object(self, object_id: int) -> None:
        """Stop tracking an object.

        Raises:
            PromptError: there is no such object.
        """
        self._remove([object_id])

    def _remove(self, ids: Iterable[int]) -> None:
        ids = list(ids)
        for object_id in ids:
            known_track(self.tracks, object_id)
        for object_id in dict.fromkeys(ids):
            for frame in self.tracks.pop(object_id).prompts:
                release(self.tracks.values(), frame, self.options)

    def _track(self, moment: Moment) -> None:
        tracks = list(self.tracks.values())
        for each, record in zip(tracks, track(moment, tracks, self.options), strict=True):
            each.tracked[moment.frame] = record

    def _answer(self, moment: Moment, clicks: Mapping[int, Clicks]) -> None:
        """Answer prompts on new objects and on those just tracked, then remember all answers together."""
        capacity = horizon(self.options.memory_stride) + 1
        sure = KEPT_SURE if self.options.confident(self.engine.config) else 0
        answered: list[tuple[ObjectTrack, FrameRecord, bool]] = []
        for object_id, given in clicks.items():
            known = self.tracks.get(object_id)
            each = known or ObjectTrack(object_id, RecordStore(capacity, keep_sure=sure))
            record = answer(moment, each, given, self.options, conditioned=known is not None)
            answered.append((each, record, known is None or self.options.keep_corrections))
        for each, record, conditioning in answered:
            # masks would take room and are not read again
            each.prompts[moment.frame] = replace(clicks[each.object_id], mask=None)
            each.pending[moment.frame] = record, conditioning
            self.tracks[each.object_id] = each
        commit(self.tracks.values(), lambda _: moment, self.options)

    def _forget(self, frame: int) -> None:
        """Keep the ``max_prompted`` latest prompted frames, and others while they are read as recent ones.

        Where objects share them, those of an object itself too: the others go when their objects are removed.
        """
        limit = self.options.max_prompted
        for each in self.tracks.values():
            each.corrected.intersection_update(each.tracked)
            if limit is not None:
                own = [t for t in each.prompted if t in each.prompts]
                for t in set(each.prompted) - {*list(each.prompted)[-limit:], *own[-limit:]}:
                    if frame - t >= horizon(self.options.memory_stride):
                        del each.prompted[t]
            for t in each.prompts.keys() - each.prompted.keys() - each.corrected:
                del each.prompts[t]


def _mapping(prompts: Any) -> Mapping[Any, Prompt]:
    if prompts is None:
        return {}
    if not isinstance(prompts, Mapping):
        raise PromptError(f"prompts is a {type(prompts).__name__}; expected {{object_id: Prompt(...)}}.")
    return prompts


def _ids(remove: Any) -> list[int]:
    try:
        ids = list(remove)
    except TypeError as error:
        raise PromptError(f"remove is {remove!r}; expected a list of object ids.") from error
    return list(dict.fromkeys(check_number("an id in remove", object_id) for object_id in ids))
