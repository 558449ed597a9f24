"""Frames that arrive while we watch: cameras, network streams, generators.

Memory stays constant. A camera or a network stream does not wait for us: a slow reader gets the
newest frame and never falls behind, and ``time`` tells how much was left out.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, MappingView, Sequence, Set
from dataclasses import dataclass
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt

from edgetam.errors import MediaError
from edgetam.io.arrays import as_rgb
from edgetam.io.decoder import pictures, reason, video_stream
from edgetam.io.frames import FrameSource, open_frames
from edgetam.io.video import Orientation, ToRGB

__all__ = ["LiveFrame", "LiveSource", "open_live", "without_password"]

_NETWORK = re.compile(r"^(rtsps?|rtmps?|https?|udp|rtp|srt|tcp)://", re.IGNORECASE)
_PUSHED = re.compile(r"^(rtsps?|rtmps?|udp|rtp|srt)://", re.IGNORECASE)  # arrive at their own pace
_LAST_CAMERA = 2**31 - 1  # what OpenCV takes
_TIMEOUT = 10.0  # seconds without an answer or a frame


@dataclass(frozen=True)
class LiveFrame:
    """One picture of a stream; usable wherever an array is.

    Attributes:
        index: number among the frames handed out.
        image: uint8 RGB ``[H, W, 3]``.
        time: seconds since the first frame, when known.
    """

    index: int
    image: npt.NDArray[np.uint8]
    time: float | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Let NumPy take the picture for an array."""
        array = self.image if dtype is None else self.image.astype(dtype)
        return array.copy() if copy and array is self.image else array


Timed = tuple[npt.NDArray[np.uint8], "float | None"]


class LiveSource:
    """An iterator of `LiveFrame` that holds a device or connection until it is closed.

    Args:
        frames: pictures and their times; closed with this source when it is a generator.
        name: what to call the source.
        newest: read on a thread and hand out only the newest picture.
    """

    def __init__(self, frames: Iterator[Timed], *, name: str, newest: bool):
        self.name = name
        self._frames: Any = _Newest(frames) if newest else frames
        self._count = 0
        self._closed = False

    def __iter__(self) -> LiveSource:
        return self

    def __next__(self) -> LiveFrame:
        image, seconds = next(self._frames)
        if self._closed:  # by another thread, meanwhile
            self.close()
            raise StopIteration
        self._count += 1
        return LiveFrame(self._count - 1, image, seconds)

    def close(self) -> None:
        """Let go of the camera, the connection or the generator.

        A thread that is waiting for a frame does it once that has come.
        """
        self._closed = True
        close = getattr(self._frames, "close", None)
        try:
            if close is not None:
                close()
        except ValueError as error:
            if "already executing" not in str(error):
                raise

    def __enter__(self) -> LiveSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_live(source: Any) -> LiveSource:
    """Open something endless.

    Args:
        source: a camera number (``0`` or ``"0"``), an address (``rtsp://``, ``http(s)://``, ...), any
            iterable of arrays or PIL images but a mapping, or anything `open_frames` reads, played once.

    Returns:
        An iterator that ends where the source does, and raises MediaError where a camera or a connection
        breaks off.

    Raises:
        MediaError: the camera or the address does not answer, the source is none of these, or it is a list or
            the like without a frame.
    """
    if isinstance(source, str) and _NETWORK.match(source):
        return _open_network(source)
    if _is_whole(source) or (isinstance(source, str) and source.strip().isdecimal()):
        return LiveSource(_camera(int(source)), name=f"camera {int(source)}", newest=True)
    if isinstance(source, (bool, np.bool_, Mapping)):
        raise MediaError(
            f"Cannot read frames from a {type(source).__name__}; expected a camera number, an address, an "
            "iterable of pictures, or whatever open_frames reads."
        )
    recorded = isinstance(source, (str, bytes, FrameSource)) or _are_paths(source) or _is_picture(source)
    if isinstance(source, Iterable) and not recorded:
        if isinstance(source, (Sequence, Set, MappingView, np.ndarray)) and len(source) == 0:
            raise MediaError(f"There are no frames in the {type(source).__name__}; give at least one.")
        return LiveSource(_from_iterable(source), name="stream", newest=False)
    opened = open_frames(source)
    return LiveSource(_from_frames(opened), name=opened.name, newest=False)


def without_password(source: str) -> str:
    """Leave the user and the password out of an address, for messages and files."""
    return re.sub(r"//[^/]*@", "//", source)


def _is_whole(source: Any) -> bool:
    return isinstance(source, (int, np.integer)) and not isinstance(source, bool)


def _is_picture(source: Any) -> bool:
    """One picture, whose rows would be taken for grey frames; `open_frames` says what to do."""
    return isinstance(source, np.ndarray) and source.ndim == 3 and source.shape[2] in (3, 4)


def _are_paths(source: Any) -> bool:
    return (
        isinstance(source, Sequence)
        and len(source) > 0
        and all(isinstance(item, (str, os.PathLike)) for item in source)
    )


def _from_iterable(source: Iterable[Any]) -> Generator[Timed, None, None]:
    try:
        for item in source:
            if isinstance(item, LiveFrame):
                yield item.image, item.time
            else:
                yield as_rgb(item), None
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


def _from_frames(source: FrameSource) -> Generator[Timed, None, None]:
    with source:
        for index in range(len(source)):
            yield source[index], source.time(index)


def _camera(number: int) -> Iterator[Timed]:
    import cv2

    if not 0 <= number <= _LAST_CAMERA:  # OpenCV asks for any camera at -1, and crashes where there is none
        raise MediaError(f"There is no camera {number}; cameras are numbered from 0.")
    camera = cv2.VideoCapture(number)
    if not camera.isOpened():
        camera.release()
        raise MediaError(
            f"Camera {number} does not open; check that it is plugged in and not in use elsewhere."
        )
    return _camera_frames(camera, number)


def _camera_frames(camera: Any, number: int) -> Generator[Timed, None, None]:
    start = None
    try:
        while True:
            good, image = camera.read()
            if not good and start is not None:
                raise MediaError(f"Camera {number} gives no more pictures; check that it is plugged in.")
            if not good:
                return
            now = time.monotonic()
            start = now if start is None else start
            yield np.ascontiguousarray(image[..., ::-1]), now - start
    finally:
        camera.release()


def _open_network(url: str) -> LiveSource:
    shown = without_password(url)
    # Over TCP, because lost UDP packets smear the picture.
    options = {"rtsp_transport": "tcp"} if url.lower().startswith("rtsp") else {}
    try:
        container = av.open(url, timeout=_TIMEOUT, options=options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"'{shown}' does not answer ({_why(error)}); check the address.") from error
    try:
        stream = video_stream(container, shown)
    except MediaError:
        container.close()
        raise
    stream.thread_type = "SLICE"  # frame threads would delay every picture
    # A file behind an address can wait for us; a broadcast cannot.
    newest = bool(_PUSHED.match(url)) or container.duration is None
    return LiveSource(_network_frames(container, stream, shown), name=shown, newest=newest)


def _why(error: Exception) -> str:
    if isinstance(error, av.error.ExitError):  # what PyAV's timeout comes as
        return f"nothing came for {_TIMEOUT:g} seconds"
    return reason(error)


def _network_frames(container: Any, stream: Any, name: str) -> Generator[Timed, None, None]:
    first: Any = None
    to_rgb: Any = None
    orientation = Orientation()
    try:
        for picture in pictures(container, stream, strict=True):
            if picture.is_corrupt:
                continue
            if first is None:
                first = picture
                orientation, to_rgb = Orientation.of(picture), ToRGB.sized_like(picture)
            known = picture.time is not None and first.time is not None
            yield orientation.apply(to_rgb(picture)), float(picture.time - first.time) if known else None
    except av.error.FFmpegError as error:
        raise MediaError(f"'{name}' broke off ({_why(error)}); check the connection.") from error
    finally:
        container.close()


class _Newest:
    """Reads on a thread; whoever asks gets the newest picture, each at most once."""

    def __init__(self, frames: Iterator[Timed]):
        self._frames = frames
        self._change = threading.Condition()
        self._waiting: Timed | None = None
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="edgetam-live", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for item in self._frames:
                with self._change:
                    if self._ended:
                        break
                    self._waiting = item
                    self._change.notify_all()
        except Exception as error:  # handed to the reader below
            self._error = error
        finally:
            close = getattr(self._frames, "close", None)
            if close is not None:
                close()
            with self._change:
                self._ended = True
                self._change.notify_all()

    def __next__(self) -> Timed:
        with self._change:
            self._change.wait_for(lambda: self._waiting is not None or self._ended)
            item, self._waiting = self._waiting, None
        if item is not None:
            return item
        if isinstance(self._error, MediaError):
            raise self._error
        if self._error is not None:
            raise MediaError(f"The stream broke off: {self._error}.") from self._error
        raise StopIteration

    def close(self) -> None:
        """Stop reading; the thread lets go of the device before this returns, or soon after."""
        with self._change:
            self._ended = True
            self._waiting = None
        self._thread.join(timeout=2.0)
