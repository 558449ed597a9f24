"""One pass through the pictures of a video file, tolerant of damage (PyAV, that is FFmpeg)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import av.error

from edgetam.errors import MediaError
from edgetam.io.paths import look_at

__all__ = ["Decoder", "open_video", "pictures", "reason", "video_stream"]

# FFmpeg "plays" any text file as terminal art.
_NOT_VIDEO = {"tty"}


def open_video(path: Path) -> tuple[Any, Any]:
    """Open a file and find its video stream.

    Returns:
        The PyAV container and stream.

    Raises:
        MediaError: the file is missing, empty, damaged, or has no video that can be decoded.
    """
    there = look_at(path)
    if there is None:
        raise MediaError(f"There is no file '{path}'; check the path.")
    if there == "file" and path.stat().st_size == 0:
        raise MediaError(f"The file '{path}' is empty; expected a video.")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(
            f"Cannot open '{path}' as a video ({reason(error)}); "
            "it is damaged, cut off, or not a video, so fetch it again or convert it to MP4."
        ) from error
    try:
        return container, video_stream(container, path)
    except MediaError:
        container.close()
        raise


def video_stream(container: Any, name: object) -> Any:
    """Pick the first stream of moving pictures.

    Raises:
        MediaError: there is none, or its codec is unknown.
    """
    # The cover picture of a song is a video stream too.
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not streams or container.format.name in _NOT_VIDEO:
        raise MediaError(f"'{name}' holds no video; expected a video file such as MP4, MOV, MKV or WebM.")
    stream = streams[0]
    if stream.codec_context is None:
        raise MediaError(f"'{name}' uses a video codec that is unknown here; convert it to H.264 first.")
    stream.thread_type = "AUTO"
    return stream


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & stream.disposition.attached_pic)


def reason(error: Exception) -> str:
    """Word an error of FFmpeg so that it fits into a sentence."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]


class Decoder:
    """Yields the pictures of a file in the order they are shown; damaged data is passed over.

    Raises:
        MediaError: the file cannot be opened.
    """

    def __init__(self, path: Path):
        self._path = path
        self._open()

    def _open(self) -> None:
        self._container: Any
        self.stream: Any
        self._container, self.stream = open_video(self._path)
        self._pictures = pictures(self._container, self.stream)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._pictures)

    def seek(self, pts: int) -> None:
        """Continue from the keyframe at or before `pts` (stream time base), or from the start."""
        try:
            self._container.seek(pts, stream=self.stream, backward=True)
        except (av.error.FFmpegError, OSError):  # raw streams cannot seek
            self.restart()
        else:
            self._pictures = pictures(self._container, self.stream)

    def restart(self) -> None:
        """Continue from the very first picture."""
        self.close()
        self._open()

    def close(self) -> None:
        """Let go of the file and of the codec's pool of pictures."""
        self._pictures.close()
        self._container.close()
        # Whoever still holds this object would hold tens of megabytes through it.
        self.stream = self._container = None


def pictures(container: Any, stream: Any, *, strict: bool = False) -> Generator[Any, None, None]:
    """Decode a stream from where its container stands; damaged data is passed over.

    Args:
        container: of PyAV.
        stream: one of its video streams.
        strict: tell a source that breaks off from one that ends.

    Raises:
        av.error.FFmpegError: with `strict`, the source broke off; what had come by then has been shown.
    """
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:  # the file breaks off: show what the decoder still holds
            yield from _tolerant(stream.codec_context.decode, None)
            if strict:
                raise
            return
        if packet is None:
            return
        yield from _tolerant(packet.decode)


def _tolerant(decode: Callable[..., Iterable[Any]], *arguments: Any) -> list[Any]:
    try:
        return list(decode(*arguments))
    except av.error.FFmpegError:
        return []
