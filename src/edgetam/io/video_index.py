"""Where the frames of a video file are in time, found without decoding where the container allows.

MP4, Matroska, MPEG-TS and FLV state when each packet is shown, so reading the packets is enough.
Other containers guess or stay silent; their frames are counted by decoding once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import av.error
import numpy as np
import numpy.typing as npt

from edgetam.errors import MediaError
from edgetam.io.decoder import Decoder, open_video

__all__ = ["VideoIndex", "index_video"]

_STATES_TIMES = {"mov", "matroska", "mpegts", "flv"}
_TELLS_COUNT = {"mov"}  # its table of samples is exact, also when the samples are cut off
_JOINED_MIDWAY = {"mpegts"}  # broadcasts are recorded from any point on
_HIDES_FRAMES = {"vp8"}  # packets that are never shown


@dataclass(frozen=True)
class VideoIndex:
    """The frames of a file in the order they are shown.

    Attributes:
        pts: ``[N]`` strictly increasing presentation times in the stream's time base, or just
            0, 1, 2, ... where the file has no usable ones (`counted`).
        keys: ``[K]`` times of the frames that decoding can start at; empty when `counted`.
        readable: how many of the frames the file still contains.
        counted: frames are told apart by counting from the start, so seeking means starting over.
        seconds: ``[N]`` seconds from the first frame; None without times and frame rate.
    """

    pts: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int64]
    readable: int
    counted: bool
    seconds: npt.NDArray[np.float64] | None

    def find(self, pts: int) -> int | None:
        """Return the number of the frame shown at `pts`, or None."""
        position = int(np.searchsorted(self.pts, pts))
        return position if position < len(self.pts) and self.pts[position] == pts else None

    def key_before(self, index: int) -> int:
        """Return the position in `keys` of the last keyframe at or before a frame; -1 if none."""
        return int(np.searchsorted(self.keys, self.pts[index], side="right")) - 1


class _Packet(NamedTuple):
    pts: int | None
    dts: int | None
    key: bool
    hidden: bool  # cut away by an edit list


def index_video(path: Path) -> VideoIndex:
    """Find all frames of a file.

    Raises:
        MediaError: the file cannot be opened or holds no frame that can be decoded.
    """
    container, stream = open_video(path)
    with container:
        packets = _packets(container, stream)
        family = container.format.name.split(",")[0]
        trusted = family in _STATES_TIMES and stream.codec_context.name not in _HIDES_FRAMES
        promised = stream.frames if family in _TELLS_COUNT else 0
        base = float(stream.time_base)
    index = None
    if trusted and _is_consistent(packets):
        # Elsewhere a first packet that is no keyframe has been damaged, and stays a (bad) frame.
        joined = packets[0].key or family in _JOINED_MIDWAY
        start = next((packet.pts for packet in packets if packet.key), None) if joined else None
        index = _check_start(_from_packets(packets, promised, base), start, path)
    return index if index is not None else _from_decoding(path)


def _packets(container: Any, stream: Any) -> list[_Packet]:
    found = []
    try:
        for packet in container.demux(stream):
            if packet.size:
                found.append(_Packet(packet.pts, packet.dts, packet.is_keyframe, packet.is_discard))
    except av.error.FFmpegError:  # the file breaks off here
        pass
    return found


def _is_consistent(packets: list[_Packet]) -> bool:
    """Whether packet times can be relied on: all known, no two alike, decoding order never turning back."""
    times = [packet.pts for packet in packets]
    order = [packet.dts for packet in packets if packet.dts is not None]
    ascending = all(before < after for before, after in pairwise(order))
    return bool(times) and None not in times and len(set(times)) == len(times) and ascending


def _from_packets(packets: list[_Packet], promised: int, base: float) -> VideoIndex:
    shown = [packet for packet in packets if not packet.hidden]
    pts = _sorted(packet.pts for packet in shown)
    # Decoding may also have to start at a keyframe that an edit list hides.
    keys = _sorted(packet.pts for packet in packets if packet.key)
    readable = len(pts)
    lost = max(0, promised - len(packets))
    if lost and readable:
        step = int(np.median(np.diff(pts))) if readable > 1 else 1
        pts = np.concatenate([pts, pts[-1] + step * np.arange(1, lost + 1, dtype=np.int64)])
    seconds = (pts - pts[0]) * base if readable else None
    return VideoIndex(pts, keys, readable, counted=False, seconds=seconds)


def _check_start(index: VideoIndex, start: int | None, path: Path) -> VideoIndex | None:
    """Compare the index with the first decoded picture; None when they do not agree.

    A recording may begin in the middle of a stream: pictures shown before the first keyframe
    (at `start`) lean on data that was never recorded, and do not count as frames.
    """
    decoder = Decoder(path)
    try:
        first = next(decoder, None)
    finally:
        decoder.close()
    if first is None:
        raise MediaError(f"'{path}' holds no frame that can be decoded; fetch it again or convert it to MP4.")
    position = index.find(first.pts) if first.pts is not None else None
    if position is None:
        return None
    if position and start is not None and index.pts[position - 1] < start:
        seconds = None if index.seconds is None else index.seconds[position:] - index.seconds[position]
        return VideoIndex(index.pts[position:], index.keys, index.readable - position, False, seconds)
    return index


def _from_decoding(path: Path) -> VideoIndex:
    decoder = Decoder(path)
    try:
        stream = decoder.stream
        shown = [(picture.pts, bool(picture.key_frame)) for picture in decoder]
        rate = stream.average_rate or stream.guessed_rate
        base = float(stream.time_base)
        reorders = bool(stream.codec_context.has_b_frames)
    finally:
        decoder.close()
    if not shown:
        raise MediaError(f"'{path}' holds no frame that can be decoded; fetch it again or convert it to MP4.")
    times = [pts for pts, _ in shown]
    ascending = None not in times and all(a < b for a, b in pairwise(times))
    if ascending and not reorders:  # where frames are reordered, guessed times shift after a seek
        pts = np.array(times, np.int64)
        keys = _sorted(pts for pts, key in shown if key)
        return VideoIndex(pts, keys, len(pts), counted=False, seconds=(pts - pts[0]) * base)
    count = np.arange(len(shown), dtype=np.int64)
    seconds = count / float(rate) if rate else None
    return VideoIndex(count, np.empty(0, np.int64), len(count), counted=True, seconds=seconds)


def _sorted(times: Iterable[int | None]) -> npt.NDArray[np.int64]:
    return np.array(sorted(time for time in times if time is not None), dtype=np.int64)
