"""What a run has written so far, one JSON line per frame, so that it can be resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgetam.atomic import make_folder, output_error
from edgetam.errors import OutputError

__all__ = ["Journal"]

Entry = dict[str, Any]
_VERSION = 1


class Journal:
    """An append-only list of frames, read back by frame number; a later line about a frame replaces it.

    Only the position of each line is kept in memory. A line that an interruption cut short is dropped.

    Args:
        path: the file; created when missing.
        about: what the results belong to; must agree when an existing journal is continued. None reads any.
        resume: continue an existing journal instead of starting anew.
        is_sound: whether an entry can be used; others are passed over, for anything may stand in a file.

    Raises:
        OutputError: the file cannot be written, or belongs to another video.
    """

    def __init__(
        self,
        path: Path,
        about: Entry | None,
        *,
        resume: bool,
        is_sound: Callable[[Entry], bool] = lambda entry: True,
    ):
        self.path = path
        self._header = None if about is None else {"version": _VERSION, **about}
        self._is_sound = is_sound
        self._places: dict[int, int] = {}
        make_folder(path.parent)
        try:
            if not resume:
                path.unlink(missing_ok=True)
            # Not buffered: after a failed write nothing may be left that is written later.
            self._out = path.open("ab", buffering=0)
            self._file = path.open("rb")
            self._load()
        except OSError as error:
            raise output_error(path, error) from error

    def _load(self) -> None:
        self._file.seek(0)
        header = self._file.readline()
        if self._header is not None and not header.endswith(b"\n"):
            self._out.truncate(0)
            self._append(self._header)
            return
        if self._header is not None and _parse(header) != self._header:
            self.close()
            raise OutputError(
                f"The folder '{self.path.parent.parent}' holds results of another video or size; "
                "choose another folder, or start anew without resuming."
            )
        place = self._file.tell()
        for line in iter(self._file.readline, b""):
            entry = _parse(line)
            if entry is None or type(entry.get("frame")) is not int or not line.endswith(b"\n"):
                break
            if self._is_sound(entry):
                self._places[entry["frame"]] = place
            place = self._file.tell()
        self._out.truncate(place)

    def __contains__(self, frame: int) -> bool:
        return frame in self._places

    def __getitem__(self, frame: int) -> Entry:
        self._file.seek(self._places[frame])
        entry = _parse(self._file.readline())
        if entry is None:
            raise OutputError(f"'{self.path}' was changed while in use; start anew without resuming.")
        return entry

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in the order of their frames."""
        for frame in sorted(self._places):
            yield self[frame]

    def add(self, entry: Entry) -> None:
        """Record one frame; ``entry["frame"]`` is its number.

        Raises:
            OutputError: the disk is full.
        """
        try:
            self._places[int(entry["frame"])] = self._append(entry)
        except OSError as error:
            raise output_error(self.path, error) from error

    def _append(self, entry: Entry) -> int:
        line = memoryview(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        place = self._out.seek(0, 2)
        try:
            while line:  # a nearly full disk takes a part, and fails at the next
                line = line[self._out.write(line) :]
        except OSError:
            self._out.truncate(place)  # half a line would hide the lines after it
            raise
        return place

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        self._out.close()


def _parse(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
