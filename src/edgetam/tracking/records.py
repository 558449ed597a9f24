"""What is known about one object on one frame, and where it is kept."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from edgetam.errors import OutputError, PromptError
from edgetam.tracking.geometry import Floats
from edgetam.tracking.masks import from_bf16, to_bf16
from edgetam.tracking.prompts import Clicks

__all__ = ["FrameRecord", "ObjectTrack", "RecordStore", "known_track"]


SURE_SCORE = 0.3
"""Estimated IoU above which an answer can be trusted. Of what the bundled weights take up by mistake it is
below 0.25 at first, of what they follow mostly 0.6 to 0.9."""


@dataclass(frozen=True)
class FrameRecord:
    """One object on one frame.

    ``memory`` holds the tokens, as the bits of bfloat16 (uint16) or as float32; ``None`` until the
    frame has been remembered.
    """

    logits: Floats  # [4g, 4g], -1024 where the object is absent
    presence: float  # logit
    score: float  # estimated IoU
    pointer: Floats  # [256]
    memory: NDArray[Any] | None = None  # [N, 64]

    @property
    def sure(self) -> bool:
        """Whether the answer can be trusted."""
        return self.presence > 0 and self.score > SURE_SCORE

    @property
    def tokens(self) -> Floats:
        """Memory tokens as float32, ``[N, 64]``."""
        assert self.memory is not None
        return from_bf16(self.memory) if self.memory.dtype == np.uint16 else self.memory

    @staticmethod
    def pack(tokens: Floats, store: str) -> NDArray[Any]:
        """Tokens as they are kept."""
        return to_bf16(tokens) if store == "bf16" else tokens

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As named arrays, to be written to a file."""
        arrays = {
            "logits": self.logits,
            "pointer": self.pointer,
            "scalars": np.array([self.presence, self.score], np.float64),
        }
        if self.memory is not None:
            arrays["memory"] = self.memory
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> FrameRecord:
        """Undo `to_arrays`."""
        presence, score = arrays["scalars"].tolist()
        return cls(arrays["logits"], presence, score, arrays["pointer"], arrays.get("memory"))


class RecordStore(MutableMapping[int, FrameRecord]):
    """Records by frame, of which only the latest ``capacity`` are held in memory.

    Older ones move to ``folder`` when there is one, else they are forgotten. The latest ``keep_sure`` of
    those whose answers can be trusted are held beside them.

    Raises:
        OutputError: the folder is full, cannot be written or has been deleted.
    """

    def __init__(self, capacity: int, folder: Path | None = None, *, keep_sure: int = 0) -> None:
        self.capacity = capacity
        self.folder = folder
        self.keep_sure = keep_sure
        self._sure: list[int] = []
        self._held: OrderedDict[int, FrameRecord] = OrderedDict()
        self._filed: set[int] = set()

    def __getitem__(self, frame: int) -> FrameRecord:
        if frame in self._held:
            return self._held[frame]
        if frame in self._filed:
            return self._read(frame)
        raise KeyError(frame)

    def __setitem__(self, frame: int, record: FrameRecord) -> None:
        self._filed.discard(frame)
        self._held[frame] = record
        self._held.move_to_end(frame)
        self._note(frame, sure=record.sure)
        for old in self._left_over():
            self._file(old, self._held[old])
            del self._held[old]
            if old not in self._filed:
                self._note(old, sure=False)

    def __delitem__(self, frame: int) -> None:
        if frame not in self:
            raise KeyError(frame)
        self._held.pop(frame, None)
        self._filed.discard(frame)
        self._note(frame, sure=False)

    def __contains__(self, frame: object) -> bool:
        return frame in self._held or frame in self._filed

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._filed | set(self._held)))

    def __len__(self) -> int:
        return len(self._filed) + len(self._held)

    @property
    def sure(self) -> Sequence[int]:
        """Frames whose answers can be trusted, ascending."""
        return self._sure

    def _note(self, frame: int, *, sure: bool) -> None:
        place = bisect_left(self._sure, frame)
        known = place < len(self._sure) and self._sure[place] == frame
        if sure and not known:
            insort(self._sure, frame)
        elif known and not sure:
            del self._sure[place]

    def _left_over(self) -> list[int]:
        """Held frames beyond the latest, and beyond the latest sure ones."""
        old = list(self._held)[: -self.capacity]
        if not old or self.keep_sure == 0:
            return old
        sure = [frame for frame, record in self._held.items() if record.sure][-self.keep_sure :]
        return [frame for frame in old if frame not in sure]

    def put_back(self, frame: int, record: FrameRecord, *, reverse: bool) -> None:
        """Put in a record as of the time when its frame was reached, so that it outlives no later one."""
        self[frame] = record
        for t in [t for t in self._held if (t < frame if reverse else t > frame)]:
            self._held.move_to_end(t)

    def by_recency(self) -> list[int]:
        """All frames, those put in last at the end: the order in which a copy has to be filled."""
        return [*sorted(self._filed), *self._held]

    def _path(self, frame: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{frame:08d}.safetensors"

    def _read(self, frame: int) -> FrameRecord:
        try:
            return FrameRecord.from_arrays(load_file(self._path(frame)))
        except (OSError, SafetensorError) as error:
            raise OutputError(
                f"The history of frame {frame} is gone from {self.folder} ({error}); "
                "keep the session open and its temporary folder untouched while it is used."
            ) from error

    def _file(self, frame: int, record: FrameRecord) -> None:
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file(record.to_arrays(), self._path(frame))
        except (OSError, SafetensorError) as error:  # safetensors reports a full disk as its own error
            raise OutputError(
                f"Cannot keep the history of frame {frame} in {self.folder} ({error}); "
                "free some space, point TMPDIR at another disk, or set TrackerOptions(history=False)."
            ) from error
        self._filed.add(frame)


@dataclass
class ObjectTrack:
    """One object: its prompts and what is known about it, frame by frame.

    ``pending`` holds answers to prompts that have not been remembered yet, and whether they will count
    as prompted frames. ``visited`` says of each tracked frame whether it was reached backwards.
    """

    object_id: int
    tracked: RecordStore
    prompts: dict[int, Clicks] = field(default_factory=dict)
    prompted: dict[int, FrameRecord] = field(default_factory=dict)
    pending: dict[int, tuple[FrameRecord, bool]] = field(default_factory=dict)
    corrected: set[int] = field(default_factory=set)
    visited: dict[int, bool] = field(default_factory=dict)

    def latest(self, frame: int) -> FrameRecord | None:
        """The newest record of a frame."""
        if frame in self.pending:
            return self.pending[frame][0]
        return self.remembered(frame)

    def remembered(self, frame: int) -> FrameRecord | None:
        """The record of a frame whose memory may be read."""
        return self.prompted.get(frame) or self.tracked.get(frame)

    def starts_by(self, frame: int, reverse: bool) -> bool:
        """Whether a prompted frame lies at or behind ``frame``."""
        return any((t >= frame) if reverse else (t <= frame) for t in self.prompted)


def known_track(tracks: Mapping[int, ObjectTrack], object_id: Any) -> ObjectTrack:
    """The track of an object of a session or stream.

    Raises:
        PromptError: there is no such object, or it is no number.
    """
    whole = isinstance(object_id, (int, np.integer)) and not isinstance(object_id, bool)
    if not whole or object_id not in tracks:
        known = ", ".join(map(str, tracks)) or "none"
        raise PromptError(f"There is no object {object_id!r}; known objects: {known}.")
    return tracks[object_id]
