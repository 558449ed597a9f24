"""A video file as a source of frames: any frame by number, decoded when asked for."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import VideoReformatter

from edgetam.errors import MediaError
from edgetam.io.decoder import Decoder
from edgetam.io.repair import FrameReader, OnBadFrame, UnreadableFrameError
from edgetam.io.video_index import index_video

__all__ = ["Orientation", "ToRGB", "VideoFrames"]

_FORWARD_HELD = 2
_BACKWARD_BYTES = 64 * 2**20  # decoded pictures held while a video is read backwards
_WORTH_A_JUMP = 8  # frames; below this, decoding on is cheaper than seeking
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


class Orientation:
    """How stored pixels are turned for display.

    Args:
        matrix: the nine numbers of a display matrix (FFmpeg ``AV_PKT_DATA_DISPLAYMATRIX``: a stored
            point (x, y) is shown at (a x + c y, b x + d y)); None for pictures stored upright.
            Turns by other than quarters are taken to the nearest quarter.
    """

    def __init__(self, matrix: npt.NDArray[np.int32] | None = None):
        a, b, _, c, d = (65536, 0, 0, 0, 65536) if matrix is None else (int(value) for value in matrix[:5])
        self.transposes = abs(b) + abs(c) > abs(a) + abs(d)
        self._mirror_x = (c if self.transposes else a) < 0
        self._mirror_y = (b if self.transposes else d) < 0

    @classmethod
    def of(cls, picture: Any) -> Orientation:
        """Read the orientation of a decoded PyAV frame."""
        data = picture.side_data.get(SideDataType.DISPLAYMATRIX)
        return cls(None if data is None else np.frombuffer(data, np.int32))

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Turn ``[H, W, 3]`` pixels upright."""
        if self.transposes:
            image = image.transpose(1, 0, 2)
        if self._mirror_x:
            image = image[:, ::-1]
        if self._mirror_y:
            image = image[::-1]
        return np.ascontiguousarray(image)


class ToRGB:
    """Converts decoded PyAV frames to uint8 RGB ``[height, width, 3]``, by their own colour tags.

    Keeps what FFmpeg prepares for this, which takes longer than to convert a small frame. Not for two threads
    at once.

    Args:
        width: of all results, since a stream may change its size midway.
        height: likewise.
    """

    def __init__(self, width: int, height: int):
        self._size = {"width": width, "height": height}
        self._reformatter = VideoReformatter()

    @classmethod
    def sized_like(cls, picture: Any) -> ToRGB:
        """For a stream that begins with this frame."""
        return cls(picture.width, picture.height)

    def __call__(self, picture: Any) -> npt.NDArray[np.uint8]:
        # FFmpeg assumes limited range unless told
        full = {"src_color_range": _FULL_RANGE} if int(picture.color_range) == _FULL_RANGE else {}
        converted: Any = self._reformatter.reformat(picture, format="rgb24", **self._size, **full)
        image: npt.NDArray[np.uint8] = converted.to_ndarray()
        return image


class VideoFrames:
    """The frames of a video file, by number in the order they are shown.

    Reading forwards decodes each picture once. Going back decodes from the keyframe before, and
    holds what it passes (up to 64 MB) so that reading backwards stays cheap.

    Args:
        path: the file.
        on_bad_frame: "stop" raises at a damaged frame, "skip" repeats the frame before it.

    Raises:
        MediaError: the file is missing, empty, damaged, not a video, or has no frames.
    """

    def __init__(self, path: str | os.PathLike[str], *, on_bad_frame: OnBadFrame = "stop"):
        self.path = Path(path)
        self.name = self.path.name
        self._index = index_video(self.path)
        self._reader = FrameReader(self.name, len(self._index.pts), self._read, on_bad_frame)
        self._decoder = Decoder(self.path)
        self._count = 0  # pictures since the start, for files without usable times
        self._next: int | None = 0  # the next picture is this one or a later one; None after a seek
        self._held: OrderedDict[int, Any] = OrderedDict()
        self._limit = _FORWARD_HELD
        self._closed = False
        self._measure()

    def _measure(self) -> None:
        first = self._first_undamaged()
        if first is None:
            self.close()
            raise MediaError(f"'{self.path}' holds no undamaged frame; fetch it again or convert it to MP4.")
        stream = self._decoder.stream
        rate = stream.average_rate or stream.guessed_rate
        self.fps = float(rate) if rate else None
        self._orientation = Orientation.of(first)
        self._to_rgb = ToRGB.sized_like(first)
        size = first.width, first.height
        self.width, self.height = size[::-1] if self._orientation.transposes else size
        bytes_each = max(1, 2 * first.width * first.height)  # about 4:2:0 with some spare
        self._backward_held = max(_FORWARD_HELD, _BACKWARD_BYTES // bytes_each)

    def _first_undamaged(self) -> Any:
        """Decode up to a picture that tells the size; those before it are met again as bad frames."""
        while not self._held and self._next is not None and self._next < self._index.readable:
            self._advance(self._next)
        return next(iter(self._held.values()), None)

    @property
    def bad_frames(self) -> tuple[int, ...]:
        """Numbers of the frames that could not be read so far."""
        return self._reader.bad_frames

    def __len__(self) -> int:
        return len(self._index.pts)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        self._check_open()
        return self._reader[index]

    def time(self, index: int) -> float | None:
        """Seconds from the first frame, by the file's own time stamps; None when it has none."""
        return None if self._index.seconds is None else float(self._index.seconds[index])

    def close(self) -> None:
        """Let go of the file, once no other thread is decoding a frame of it."""
        with self._reader.lock:
            self._held.clear()
            self._reader.close()
            if not self._closed:
                self._closed = True
                self._decoder.close()

    def __enter__(self) -> VideoFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise MediaError(f"'{self.name}' has been closed; open it again to read frames.")

    def _read(self, index: int) -> npt.NDArray[np.uint8]:
        self._check_open()  # again: another thread may have closed it meanwhile
        if index >= self._index.readable:
            raise UnreadableFrameError(f"the file breaks off after frame {self._index.readable - 1}")
        if index not in self._held:
            self._seek_out(index)
        picture = self._held.get(index)
        if picture is None:
            raise UnreadableFrameError("its data is damaged")
        return self._orientation.apply(self._to_rgb(picture))

    def _seek_out(self, index: int) -> None:
        """Decode up to a frame, from where the decoder stands or from a keyframe before it."""
        if self._continues(index):
            self._limit = _FORWARD_HELD
            self._advance(index)
            return
        goes_back = self._next is None or index < self._next
        self._limit = self._backward_held if goes_back else _FORWARD_HELD
        for start in self._starts(index):
            self._jump(start)
            # A first picture after the wanted one proves nothing: it may lean on an earlier keyframe.
            if self._advance(index) <= index:
                return

    def _continues(self, index: int) -> bool:
        if self._next is None or index < self._next or self._next >= len(self):
            return False
        skips_keyframe = self._index.key_before(index) > self._index.key_before(self._next)
        return index - self._next < _WORTH_A_JUMP or not skips_keyframe

    def _starts(self, index: int) -> Iterator[int | None]:
        """Times to start decoding at, nearest first; None is the start of the file."""
        nearest = self._index.key_before(index)
        for back in (0, 1, 4):
            if nearest - back >= 0:
                yield int(self._index.keys[nearest - back])
        yield None

    def _jump(self, pts: int | None) -> None:
        self._held.clear()
        if pts is None:
            self._decoder.restart()
            self._count = 0
            self._next = 0
        else:
            self._decoder.seek(pts)
            self._next = None

    def _advance(self, index: int) -> int:
        """Decode until `index` is reached or passed; return the number of the first picture met."""
        first = len(self)
        for picture in self._decoder:
            number = self._number(picture)
            if number is None:
                continue
            first = min(first, number)
            self._next = number + 1
            if not picture.is_corrupt:
                self._hold(number, picture)
            if number >= index:
                return first
        self._next = len(self)
        return first

    def _number(self, picture: Any) -> int | None:
        if self._index.counted:
            self._count += 1
            return self._count - 1
        return None if picture.pts is None else self._index.find(picture.pts)

    def _hold(self, number: int, picture: Any) -> None:
        self._held[number] = picture
        while len(self._held) > self._limit:
            self._held.popitem(last=False)
