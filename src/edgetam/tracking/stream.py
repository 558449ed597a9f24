"""A live stream: one frame in, one result out, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.engine.base import Engine
from edgetam.errors import PromptError
from edgetam.structs import FrameResult, Prompt
from edgetam.tracking.bank import horizon
from edgetam.tracking.geometry import prepare_image
from edgetam.tracking.options import TrackerOptions
from edgetam.tracking.prompts import Clicks, read_prompt
from edgetam.tracking.records import FrameRecord, ObjectTrack, RecordStore
from edgetam.tracking.results import to_result
from edgetam.tracking.step import Moment, answer, remember, track

__all__ = ["Stream"]


class Stream:
    """Tracks objects through frames that arrive one by one.

    What a frame cannot read any more is forgotten at once. With ``TrackerOptions(max_prompted=n)`` only the
    n latest prompted frames of an object are kept; without, they are all kept, since all are read.
    """

    def __init__(self, engine: Engine, options: TrackerOptions | None = None) -> None:
        self.engine = engine
        self.options = options or TrackerOptions()
        self.tracks: dict[int, ObjectTrack] = {}
        self.frame = -1
        """Index of the last frame seen."""

    @property
    def objects(self) -> list[int]:
        """Ids of the objects being tracked."""
        return list(self.tracks)

    def step(
        self,
        image: NDArray[np.uint8],
        prompts: Mapping[int, Prompt] | None = None,
        remove: Iterable[int] = (),
        time: float | None = None,
    ) -> FrameResult:
        """Look at the next frame.

        A prompt for a new id adds an object on this frame. A prompt for an object that is being tracked
        corrects what tracking found on this frame.

        Args:
            image: RGB, uint8 ``[H, W, 3]``; the size may change from frame to frame.
            prompts: by object id, in pixels of this frame.
            remove: ids to stop tracking before this frame.
            time: passed on to the result.

        Raises:
            PromptError: a prompt does not fit the frame, or ``remove`` names an unknown object; the stream
                is then as it was before the call.
        """
        size = _image_size(image)
        clicks = {i: read_prompt(p, *size) for i, p in (prompts or {}).items()}
        self._remove(remove)
        frame = self.frame + 1
        records: dict[int, FrameRecord] = {}
        if self.tracks or clicks:
            features = self.engine.encode(prepare_image(image, self.engine.config.image_size, "video"))
            moment = Moment(self.engine, features, frame, size=size)
            records = self._track(moment)
            records |= {i: self._prompt(moment, i, c, records.get(i)) for i, c in clicks.items()}
        self.frame = frame
        return to_result(frame, records, size, exclusive=self.options.exclusive, time=time)

    def remove_object(self, object_id: int) -> None:
        """Stop tracking an object."""
        self._remove([object_id])

    def _remove(self, ids: Iterable[int]) -> None:
        ids = list(ids)
        for object_id in ids:
            if object_id not in self.tracks:
                known = ", ".join(map(str, self.tracks)) or "none"
                raise PromptError(f"There is no object {object_id!r}; known objects: {known}.")
        for object_id in ids:
            del self.tracks[object_id]

    def _track(self, moment: Moment) -> dict[int, FrameRecord]:
        tracks = list(self.tracks.values())
        found = track(moment, tracks, self.options) if tracks else []
        for each, record in zip(tracks, found, strict=True):
            each.tracked[moment.frame] = record
        return {t.object_id: r for t, r in zip(tracks, found, strict=True)}

    def _prompt(
        self, moment: Moment, object_id: int, clicks: Clicks, tracked: FrameRecord | None
    ) -> FrameRecord:
        capacity = horizon(self.options.memory_stride) + 1
        each = self.tracks.setdefault(object_id, ObjectTrack(object_id, RecordStore(capacity)))
        known = tracked is not None
        record = answer(moment, each, clicks, self.options, conditioned=known)
        kept = remember(moment, [record], self.options, binarize=self.options.binarize_prompted)[0]
        if known and not self.options.keep_corrections:
            each.tracked[moment.frame] = kept
            return kept
        each.tracked.pop(moment.frame, None)
        each.prompted[moment.frame] = kept
        limit = self.options.max_prompted
        while limit is not None and len(each.prompted) > limit:
            each.prompted.pop(next(iter(each.prompted)))
        return kept


def _image_size(image: Any) -> tuple[int, int]:
    shape = np.shape(image)
    if len(shape) != 3 or shape[2] != 3 or getattr(image, "dtype", None) != np.uint8:
        raise PromptError(
            f"The frame has shape {shape} and type {getattr(image, 'dtype', type(image).__name__)}; "
            "expected RGB of type uint8 and shape (height, width, 3)."
        )
    return int(shape[1]), int(shape[0])
