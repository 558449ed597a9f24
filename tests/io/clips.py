"""Small videos and pictures made on the spot."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]


def picture(index: int, height: int = 48, width: int = 64) -> Rgb:
    """Grey that tells the frame's number, with a red upper left corner and a blue lower right one."""
    image = np.full((height, width, 3), 20 + 5 * (index % 45), np.uint8)
    image[: height // 4, : width // 4] = (220, 20, 20)
    image[-(height // 4) :, -(width // 4) :] = (20, 20, 220)
    return image


def number(image: Rgb) -> int:
    """Read the frame's number back from the grey in the middle."""
    height, width = image.shape[:2]
    middle = image[height // 2 - 4 : height // 2 + 4, width // 2 - 4 : width // 2 + 4]
    return round((float(middle.mean()) - 20) / 5)


def make_video(
    path: Path,
    *,
    count: int = 24,
    size: tuple[int, int] = (48, 64),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rotation: int | None = None,
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode `picture(0..count - 1)` at 25 frames per second, or at `times` in milliseconds."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options or {"g": "8"})
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        container.start_encoding()
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def damage(path: Path, index: int) -> None:
    """Overwrite the data of one frame of a video, the `index`-th as shown."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        packets.sort(key=lambda packet: packet.pts)
        place, length = packets[index].pos, packets[index].size
    data = bytearray(path.read_bytes())
    data[place : place + length] = bytes(length)
    path.write_bytes(data)
