"""Frames in: one protocol for video files, folders, patterns, images and arrays."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from edgetam.errors import MediaError
from edgetam.io.arrays import ArrayFrames
from edgetam.io.images import IMAGE_SUFFIXES, ImageFrames, folder_images, natural_key
from edgetam.io.paths import look_at
from edgetam.io.repair import OnBadFrame
from edgetam.io.video import VideoFrames

__all__ = ["FrameSource", "OnBadFrame", "open_frames"]


@runtime_checkable
class FrameSource(Protocol):
    """Frames by number, decoded on demand; never the whole video in memory.

    Attributes:
        name: what the source is called in results.
        width: pixels, after rotation.
        height: pixels, after rotation.
        fps: frames per second on average, when known.
    """

    name: str
    width: int
    height: int
    fps: float | None

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """Return uint8 RGB ``[H, W, 3]``; IndexError outside ``0..len - 1``."""
        ...

    def time(self, index: int) -> float | None:
        """Seconds from the first frame, when known."""
        ...

    def close(self) -> None:
        """Let go of open files."""
        ...

    def __enter__(self) -> FrameSource: ...

    def __exit__(self, *details: object) -> None: ...


def open_frames(source: Any, *, on_bad_frame: OnBadFrame = "stop") -> FrameSource:
    """Open anything that has frames in an order.

    Args:
        source: a path to a video file, to a folder of images or to one image; a pattern such as
            ``"shots/*.png"``; a list of image paths; a sequence of arrays or PIL images; an array
            ``[T, H, W, 3]``; or a `FrameSource`, which is returned as it is.
        on_bad_frame: "stop" raises at a frame that cannot be read; "skip" warns once and repeats the
            frame before it, so that numbers stay aligned (see the source's ``bad_frames``).

    Raises:
        MediaError: the source is missing, empty, damaged, not media, or its images differ in size.
    """
    if isinstance(source, (str, os.PathLike)):
        return _open_path(os.fspath(source), on_bad_frame)
    # Before the protocol: an array or a list lacks `time`, but asking is cheap and the order is clear.
    if isinstance(source, np.ndarray):
        return ArrayFrames(_as_stack(source))
    if isinstance(source, FrameSource):
        return source
    if isinstance(source, Sequence) and not isinstance(source, (bytes, bytearray)):
        return _open_sequence(source, on_bad_frame)
    raise MediaError(
        f"Cannot read frames from a {type(source).__name__}; expected a path, a list of images or arrays, "
        "or an array [T, H, W, 3] (use open_live for cameras and generators)."
    )


def _open_path(text: str, on_bad_frame: OnBadFrame) -> FrameSource:
    path = Path(text)
    if not text.strip():
        raise MediaError("The path is empty; expected a video file or a folder of images.")
    there = look_at(path)
    if there == "folder":
        return ImageFrames(folder_images(path), name=path.resolve().name, on_bad_frame=on_bad_frame)
    if there is None and glob.has_magic(text):
        return _open_pattern(text, on_bad_frame)
    if there is None:
        raise MediaError(f"There is no file or folder '{text}'; check the path.")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFrames([path], name=path.name, on_bad_frame=on_bad_frame)
    return VideoFrames(path, on_bad_frame=on_bad_frame)


def _open_pattern(pattern: str, on_bad_frame: OnBadFrame) -> FrameSource:
    found = [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207 (absolute patterns)
    images = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and look_at(path) == "file"]
    if not images:
        raise MediaError(f"No image matches '{pattern}'; check the folder and the pattern.")
    return ImageFrames(
        sorted(images, key=natural_key), name=Path(pattern).parent.name or "images", on_bad_frame=on_bad_frame
    )


def _open_sequence(source: Sequence[Any], on_bad_frame: OnBadFrame) -> FrameSource:
    paths = [item for item in source if isinstance(item, (str, os.PathLike))]
    if paths and len(paths) == len(source):
        files = cast("list[str | os.PathLike[str]]", paths)
        name = Path(os.path.abspath(files[0])).parent.name  # noqa: PTH100 (links stay as they are)
        return ImageFrames(files, name=name or "images", on_bad_frame=on_bad_frame)
    return ArrayFrames(source)


def _as_stack(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.ndim == 4:
        return array
    if array.ndim == 3 and array.shape[2] in (3, 4):
        raise MediaError(
            f"The array has shape {array.shape}, one image; expected [T, H, W, 3] (use array[None])."
        )
    raise MediaError(f"The array has shape {array.shape}; expected [T, H, W, 3].")
