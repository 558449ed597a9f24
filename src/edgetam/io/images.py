"""Pictures on disk: one image, a folder of them, a pattern or a list of paths."""

from __future__ import annotations

import os
import re
import struct
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from edgetam.errors import MediaError
from edgetam.io.arrays import pil_to_rgb
from edgetam.io.orientation import upright_size
from edgetam.io.paths import as_path, look_at
from edgetam.io.repair import FrameReader, OnBadFrame, UnreadableFrameError

__all__ = ["IMAGE_SUFFIXES", "ImageFrames", "folder_images", "natural_key", "read_image"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

# What PIL raises for damaged files: SyntaxError for some PNGs, and for some TIFFs the others.
_PIL_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


def natural_key(path: str | os.PathLike[str]) -> tuple[tuple[str | int, ...], str]:
    """Sort key that puts frame2 before frame10, whether or not the suffixes of images are still on."""
    name = os.fspath(path)
    stem, dot, suffix = name.rpartition(".")
    # Else "a.png" would come after "a1.png" and "a" before "a1": masks would not follow their frames.
    parts = re.split(r"([0-9]+)", (stem if dot + suffix.lower() in IMAGE_SUFFIXES else name).lower())
    # Text and numbers alternate, so that like is always compared with like.
    numbers = tuple(int(part) if position % 2 else part for position, part in enumerate(parts))
    return numbers, name


def read_image(path: str | os.PathLike[str], *, upright: bool = True) -> npt.NDArray[np.uint8]:
    """Read one picture as uint8 RGB ``[H, W, 3]``, turned upright by its EXIF orientation.

    The values are those of PIL's ``convert("RGB")``; 16-bit grey keeps its upper byte.

    Args:
        path: the file.
        upright: False keeps pixels as they are stored, which data sets annotate (but for TIFFs, which PIL
            turns itself).

    Raises:
        MediaError: the file is missing, empty, damaged or not an image.
    """
    file = as_path(path, "The image to read")
    _check_file(file)
    try:
        return _decode(file, upright=upright)
    except UnreadableFrameError as error:
        raise MediaError(f"Cannot read the image '{file}': {error}.") from error


def folder_images(folder: Path) -> list[Path]:
    """List the images of a folder in natural order; hidden files and other kinds are left out.

    Raises:
        MediaError: the folder cannot be listed or holds no images.
    """
    try:
        files = [path for path in folder.iterdir() if _is_image_name(path)]
    except OSError as error:
        raise MediaError(f"Cannot list the folder '{folder}': {error.strerror or error}.") from error
    if not files:
        raise MediaError(
            f"The folder '{folder}' holds no images; expected JPEG, PNG, BMP, WebP or TIFF files."
        )
    return sorted(files, key=lambda path: natural_key(path.name))


class ImageFrames:
    """Images on disk as a source of frames, decoded one at a time.

    Only headers are read when it is opened, to make sure that all sizes agree.

    Args:
        paths: the files, in the order of the frames.
        name: what to call the source in results.
        fps: frames per second, when known.
        on_bad_frame: "stop" raises at a damaged image, "skip" repeats the frame before it.
        upright: see `read_image`.

    Raises:
        MediaError: no file is a readable image, one is missing, or sizes differ.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        name: str,
        fps: float | None = None,
        on_bad_frame: OnBadFrame = "stop",
        upright: bool = True,
    ):
        self.paths: Sequence[Path] = tuple(Path(path) for path in paths)
        self.name = name
        self.fps = fps
        self._upright = upright
        self.width, self.height = _common_size(self.paths, name, upright=upright)
        self._reader = FrameReader(name, len(self.paths), self._read, on_bad_frame)

    @property
    def names(self) -> tuple[str, ...]:
        """File names of the frames."""
        return tuple(path.name for path in self.paths)

    @property
    def bad_frames(self) -> tuple[int, ...]:
        """Numbers of the frames that could not be read so far."""
        return self._reader.bad_frames

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        return self._reader[index]

    def time(self, index: int) -> float | None:
        """Seconds from the start, or None without a frame rate."""
        return index / self.fps if self.fps else None

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> ImageFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, index: int) -> npt.NDArray[np.uint8]:
        frame = _decode(self.paths[index], upright=self._upright)
        if frame.shape[:2] != (self.height, self.width):
            raise UnreadableFrameError(
                f"'{self.paths[index].name}' changed its size to {frame.shape[1]}x{frame.shape[0]}"
            )
        return frame


def _is_image_name(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _check_file(path: Path) -> None:
    there = look_at(path)
    if there is None:
        raise MediaError(f"There is no file '{path}'; check the path.")
    if there == "folder":
        raise MediaError(f"'{path}' is a folder; expected an image file.")


def _common_size(paths: Sequence[Path], name: str, *, upright: bool) -> tuple[int, int]:
    """Return the (width, height) that all readable files share."""
    first: tuple[Path, tuple[int, int]] | None = None
    for path in paths:
        _check_file(path)
        size = _header_size(path, upright=upright)
        if size is None:  # damaged: met again, and reported, when the frame is asked for
            continue
        if first is None:
            first = (path, size)
        elif size != first[1]:
            raise MediaError(
                f"'{path.name}' is {size[0]}x{size[1]} but '{first[0].name}' is "
                f"{first[1][0]}x{first[1][1]}; bring all images of '{name}' to one size first."
            )
    if first is None:
        raise MediaError(f"No image of '{name}' can be read; expected JPEG, PNG, BMP, WebP or TIFF files.")
    return first[1]


def _header_size(path: Path, *, upright: bool) -> tuple[int, int] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return upright_size(image) if upright or image.format == "TIFF" else image.size
    except _PIL_ERRORS:
        return None


def _decode(path: Path, *, upright: bool) -> npt.NDArray[np.uint8]:
    try:
        if path.stat().st_size == 0:
            raise UnreadableFrameError("the file is empty")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return pil_to_rgb(image, turn=upright)
    except UnidentifiedImageError as error:
        raise UnreadableFrameError("it is not an image, or it is damaged") from error
    except MediaError as error:
        raise UnreadableFrameError(str(error).rstrip(".")) from error
    except _PIL_ERRORS as error:
        raise UnreadableFrameError(str(error).rstrip(".") or type(error).__name__) from error
