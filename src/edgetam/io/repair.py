"""One place that decides what happens when a frame cannot be read."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from edgetam.errors import ConfigError, MediaError

__all__ = ["FrameReader", "OnBadFrame", "UnreadableFrameError"]

OnBadFrame = Literal["stop", "skip"]

_LOG = logging.getLogger("edgetam")
_KEPT = 4  # trackers ask for a frame again while its prompts are edited
Rgb = npt.NDArray[np.uint8]


class UnreadableFrameError(Exception):
    """A reader could not decode one frame; the text says why."""


class FrameReader:
    """Reads frames by number, remembers the last few and applies the user's choice about bad ones.

    With "stop" a bad frame raises. With "skip" the last good frame before it stands in (or the first
    good one after it, at the very start), so that numbers stay aligned with the video.

    Args:
        name: what the source is called in messages.
        count: number of frames.
        read: decodes one frame, uint8 ``[H, W, 3]``, or raises `UnreadableFrameError`.
        on_bad_frame: "stop" or "skip".

    Raises:
        ConfigError: another word for `on_bad_frame`.
    """

    def __init__(self, name: str, count: int, read: Callable[[int], Rgb], on_bad_frame: OnBadFrame):
        if on_bad_frame not in get_args(OnBadFrame):
            raise ConfigError(f"on_bad_frame is {on_bad_frame!r}; expected 'stop' or 'skip'.")
        self._name = name
        self._count = count
        self._read = read
        self._skips = on_bad_frame == "skip"
        self._recent: OrderedDict[int, Rgb] = OrderedDict()
        self._bad: dict[int, str] = {}
        # A prefetching thread and the user's own may both ask; whoever closes the source has to hold it too.
        self.lock = threading.RLock()

    @property
    def bad_frames(self) -> tuple[int, ...]:
        """Numbers of the frames that could not be read so far."""
        return tuple(sorted(self._bad))

    def __getitem__(self, index: int) -> Rgb:
        if not 0 <= index < self._count:
            raise IndexError(f"Frame {index} of '{self._name}' is outside 0..{self._count - 1}.")
        with self.lock:
            frame = self._try(index)
            if frame is None and not self._skips:
                raise MediaError(
                    f"Frame {index} of '{self._name}' cannot be read ({self._bad[index]}); "
                    "repair the source or use on_bad_frame='skip' to repeat the frame before it."
                )
            if frame is None:
                frame = self._stand_in(index)
            # A copy: drawing on it must not change what the next reader sees.
            return frame.copy()

    def close(self) -> None:
        """Forget the frames that are kept."""
        with self.lock:
            self._recent.clear()

    def _try(self, index: int) -> Rgb | None:
        if index in self._recent:
            self._recent.move_to_end(index)
            return self._recent[index]
        if index in self._bad:
            return None
        try:
            frame = self._read(index)
        except UnreadableFrameError as error:
            self._note(index, str(error))
            return None
        self._recent[index] = frame
        while len(self._recent) > _KEPT:
            self._recent.popitem(last=False)
        return frame

    def _note(self, index: int, reason: str) -> None:
        if not self._bad and self._skips:
            _LOG.warning(
                "Frame %d of '%s' cannot be read (%s); the frame before it stands in, "
                "here and wherever this happens again.",
                index,
                self._name,
                reason,
            )
        self._bad[index] = reason

    def _stand_in(self, index: int) -> Rgb:
        for other in (*range(index - 1, -1, -1), *range(index + 1, self._count)):
            frame = self._try(other)
            if frame is not None:
                return frame
        raise MediaError(f"No frame of '{self._name}' can be read; the source is damaged, so fetch it again.")
