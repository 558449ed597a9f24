"""The overlay as an H.264 video that browsers play.

Frames may come in any order (tracking runs backwards too) and may come again (after a correction), so
each waits as a JPEG beside the result until the end; only then is the video encoded, in time order.
A run that is interrupted keeps those pictures and can go on; when they are gone, frames are taken
from the finished video, which carries the list of its frames as a comment.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from edgetam.atomic import atomic_path, atomic_write, make_folder
from edgetam.errors import OutputError
from edgetam.io.draw import overlay
from edgetam.io.video import ToRGB
from edgetam.structs import FrameResult

__all__ = ["OverlayWriter", "encode_video"]

Rgb = npt.NDArray[np.uint8]
_CLOCK = 90_000  # ticks per second: divides all usual frame rates
# Between two frames: MP4 counts in 31 bits how long a frame waits for five or so that are coded before it.
_LONGEST = 3600 * _CLOCK
# Nothing is seen that is shown for less, and MP4 counts the length of a video in milliseconds.
_LEAST = _CLOCK // 1000
_JPEG_QUALITY = 95
_ENCODERS = {
    "libx264": {"preset": "veryfast", "crf": "20"},
    "h264_videotoolbox": {},
    "h264_mf": {},
    "libopenh264": {},
}
_BT709 = 1  # the value of ITU-R BT.709 in FFmpeg's tables of matrices, primaries and curves
_LIMITED = 1  # AVCOL_RANGE_MPEG


def encode_video(
    path: Path, frames: Iterable[tuple[float, Rgb]], *, fps: float | None, comment: str = ""
) -> None:
    """Write an H.264 MP4 that starts playing before it is all loaded.

    Args:
        path: the file; replaced whole or not at all.
        frames: seconds and uint8 RGB ``[H, W, 3]`` of one size; odd sides grow by one pixel,
            and pauses of more than an hour last one. A frame whose time is not after that of the one before
            (clocks that stand still or are set back) is shown 1 / ``fps`` after it.
        fps: frames per second, 25 where unknown; the seconds decide where they go forward.
        comment: text kept in the file.

    Raises:
        OutputError: the file cannot be written, or no H.264 encoder is installed.
    """
    with atomic_path(path) as temporary:
        try:
            _encode(temporary, frames, fps or 25.0, comment)
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):  # a full disk, for one: worded by the block around
                raise OSError(error.errno, error.strerror) from error
            raise OutputError(f"Cannot encode '{path}': {error.strerror}.") from error


def _encode(path: Path, frames: Iterable[tuple[float, Rgb]], fps: float, comment: str) -> None:
    stream: Any = None
    reformatter = VideoReformatter()  # preparing one is a fifth of the work
    usual = min(max(1, round(_CLOCK / fps)), _LONGEST)
    least = max(1, min(_LEAST, usual // 2))
    start, step = 0.0, usual
    last: int | None = None
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata["comment"] = comment
        for seconds, image in frames:
            image = _even(image)
            if stream is None:
                stream = _add_stream(container, image.shape[1], image.shape[0], fps)
                start = seconds
            ticks = round((seconds - start) * _CLOCK)
            if last is not None:
                gap = ticks - last
                step = usual if gap < least else min(gap, _LONGEST)
                start += (gap - step) / _CLOCK
                ticks = last + step
            last = ticks
            _mux(container, stream.encode(_picture(image, ticks, reformatter)), step)
        if stream is not None:
            _mux(container, stream.encode(None), step)


def _mux(container: Any, packets: Iterable[Any], step: int) -> None:
    for packet in packets:
        # Read for the very last one only: the others end where the next begins.
        packet.duration = step
        container.mux(packet)


def _add_stream(container: Any, width: int, height: int, fps: float) -> Any:
    name = next((name for name in _ENCODERS if _has_encoder(name)), None)
    if name is None:
        raise OutputError("This PyAV has no H.264 encoder; install PyAV from PyPI, or save 'png' instead.")
    stream = container.add_stream(name, rate=Fraction(fps).limit_denominator(1001), options=_ENCODERS[name])
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.time_base = Fraction(1, _CLOCK)
    # Untagged video is guessed at by players, each in its own way.
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED
    return stream


def _has_encoder(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except (ValueError, av.error.FFmpegError):
        return False
    return True


def _picture(image: Rgb, ticks: int, reformatter: VideoReformatter) -> Any:
    picture = av.VideoFrame.from_ndarray(image, format="rgb24")
    picture = reformatter.reformat(picture, format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED)
    picture.pts, picture.time_base = ticks, Fraction(1, _CLOCK)
    return picture


def _even(image: Rgb) -> Rgb:
    """Repeat the last row or column where a side is odd: 4:2:0 halves both sides."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)


class OverlayWriter:
    """Collects overlay pictures and encodes them when closed.

    Args:
        path: the video to write.
        pieces: a folder for pictures that wait.
        seconds: the time of a recorded frame.
        fps: frames per second of the source, when known.
    """

    def __init__(self, path: Path, pieces: Path, seconds: Callable[[int], float], fps: float | None):
        self.path = path
        self._pieces = make_folder(pieces)
        self._seconds = seconds
        self._fps = fps
        self._waiting = {int(file.stem) for file in pieces.glob("*.jpg") if file.stem.isdecimal()}
        self._encoded = _frames_in(path)

    def write(self, name: str, result: FrameResult, image: Rgb) -> None:
        """Draw one frame and put it aside."""
        masks = {identity: item.mask for identity, item in result.objects.items()}
        labels = {identity: f"{identity}  {item.presence:.0%}" for identity, item in result.objects.items()}
        drawn = overlay(image, masks, labels=labels)
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        _, data = cv2.imencode(".jpg", drawn[..., ::-1], quality)
        atomic_write(self._piece(result.frame), data.tobytes())
        self._waiting.add(result.frame)

    def holds(self, entry: Mapping[str, Any]) -> bool:
        """Whether a frame is waiting or in the video."""
        return entry["frame"] in self._waiting or entry["frame"] in self._encoded

    def forget(self, entry: Mapping[str, Any]) -> None:
        """Remove a waiting frame, and the video."""
        self._piece(entry["frame"]).unlink(missing_ok=True)
        self._waiting.discard(entry["frame"])
        self._encoded = ()
        self.path.unlink(missing_ok=True)

    def close(self, *, finished: bool) -> None:
        """Encode all frames in time order; drop the pictures when the run is finished.

        Raises:
            OutputError: the video cannot be written, or a picture that waits cannot be read.
        """
        frames = sorted(self._waiting | set(self._encoded))
        if self._waiting:
            encode_video(self.path, self._pictures(frames), fps=self._fps, comment=_ranges(frames))
        if finished:
            shutil.rmtree(self._pieces, ignore_errors=True)

    def _piece(self, frame: int) -> Path:
        return self._pieces / f"{frame:05d}.jpg"

    def _pictures(self, frames: list[int]) -> Iterator[tuple[float, Rgb]]:
        earlier = _decode(self.path) if self._encoded else iter(())
        encoded = iter(self._encoded)
        for frame in frames:
            old = _pull(earlier, encoded, frame) if frame in self._encoded else None
            if frame in self._waiting:
                old = _read_piece(self._piece(frame))
            if old is None:
                raise OutputError(f"'{self.path}' has lost frame {frame}; start anew without resuming.")
            yield self._seconds(frame), _even(old)


def _read_piece(path: Path) -> Rgb:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise OutputError(
            f"Cannot read the overlay picture '{path}' ({error.strerror}); start anew without resuming."
        ) from error
    # Not cv2.imread, which on Windows opens paths of the local code page only.
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise OutputError(f"The overlay picture '{path}' is damaged; start anew without resuming.")
    rgb: Rgb = np.ascontiguousarray(image[..., ::-1])
    return rgb


def _pull(pictures: Iterator[Rgb], numbers: Iterator[int], frame: int) -> Rgb | None:
    """Decode on to a frame; both iterators go forward together."""
    for number, picture in zip(numbers, pictures, strict=False):
        if number == frame:
            return picture
    return None


def _decode(path: Path) -> Iterator[Rgb]:
    with av.open(str(path)) as container:
        to_rgb: ToRGB | None = None
        for picture in container.decode(video=0):
            to_rgb = to_rgb or ToRGB.sized_like(picture)
            yield to_rgb(picture)


def _frames_in(path: Path) -> tuple[int, ...]:
    """List the frames that a video of ours holds, by its comment."""
    if not path.is_file():
        return ()
    try:
        with av.open(str(path)) as container:
            return _unranged(container.metadata.get("comment", ""), container.streams.video[0].frames)
    except (av.error.FFmpegError, OSError, IndexError):
        return ()


def _ranges(frames: list[int]) -> str:
    """Write ascending numbers as ``frames 0-9,12``."""
    parts: list[list[int]] = []
    for frame in frames:
        if parts and parts[-1][1] == frame - 1:
            parts[-1][1] = frame
        else:
            parts.append([frame, frame])
    return "frames " + ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def _unranged(text: str, most: int) -> tuple[int, ...]:
    """The numbers of such a text; none where it is another, or tells of more frames than there are."""
    if not re.fullmatch(r"frames \d+(-\d+)?(,\d+(-\d+)?)*", text):
        return ()
    ends = [part.split("-") for part in text.removeprefix("frames ").split(",")]
    spans = [range(int(first), int(last) + 1) for first, last in ((end[0], end[-1]) for end in ends)]
    if sum(span.stop - span.start for span in spans) > most:
        return ()
    return tuple(frame for span in spans for frame in span)
