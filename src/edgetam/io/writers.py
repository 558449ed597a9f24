"""One file per frame: palette masks, masks per object, arrays and cut-outs."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgetam.atomic import atomic_write, make_folder
from edgetam.errors import MediaError
from edgetam.io.masks import binary_png, palette_png, rgba_png
from edgetam.structs import FrameResult

__all__ = ["CutoutWriter", "NpzWriter", "ObjectsWriter", "PaletteWriter", "Writer", "read_npz"]

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Entry = Mapping[str, Any]


class Writer(Protocol):
    """Writes one kind of result below `path`. An entry is a frame's line in the journal."""

    path: Path

    def write(self, name: str, result: FrameResult, image: Rgb) -> None:
        """Write one frame, whole or not at all; `name` is the stem of its files."""
        ...

    def holds(self, entry: Entry) -> bool:
        """Whether everything that belongs to a recorded frame is still there."""
        ...

    def forget(self, entry: Entry) -> None:
        """Remove what was written for a recorded frame."""
        ...

    def close(self, *, finished: bool) -> None:
        """Complete the files; unless `finished`, keep what a resumed run needs."""
        ...


class _PerFrame:
    """The common part of writers with one file per frame."""

    suffix = ".png"

    def __init__(self, path: Path):
        self.path = make_folder(path)

    def _file(self, name: str) -> Path:
        return self.path / f"{name}{self.suffix}"

    def holds(self, entry: Entry) -> bool:
        """See `Writer`."""
        return self._file(entry["name"]).is_file()

    def forget(self, entry: Entry) -> None:
        """See `Writer`."""
        self._file(entry["name"]).unlink(missing_ok=True)

    def close(self, *, finished: bool) -> None:
        """Nothing is left open."""


class PaletteWriter(_PerFrame):
    """``<folder>/<name>.png`` in the colours of DAVIS; a pixel's value is the object id."""

    def write(self, name: str, result: FrameResult, image: Rgb) -> None:
        """See `Writer`. Raises OutputError for ids above 255."""
        masks = {identity: item.mask for identity, item in result.objects.items()}
        atomic_write(self._file(name), palette_png(masks, *image.shape[:2]))


class ObjectsWriter(_PerFrame):
    """``<folder>/<id>/<name>.png``, white inside the object."""

    def write(self, name: str, result: FrameResult, image: Rgb) -> None:
        """See `Writer`."""
        for identity, item in result.objects.items():
            make_folder(self.path / f"{identity:03d}")
            atomic_write(self._object_file(identity, name), binary_png(item.mask))

    def _object_file(self, identity: int, name: str) -> Path:
        return self._file(f"{identity:03d}/{name}")

    def holds(self, entry: Entry) -> bool:
        """See `Writer`."""
        return all(self._object_file(item["id"], entry["name"]).is_file() for item in entry["objects"])

    def forget(self, entry: Entry) -> None:
        """See `Writer`."""
        for item in entry["objects"]:
            self._object_file(item["id"], entry["name"]).unlink(missing_ok=True)


class NpzWriter(_PerFrame):
    """``<folder>/<name>.npz``: ids, bit-packed masks, presence, score, frame, time (see `read_npz`)."""

    suffix = ".npz"

    def write(self, name: str, result: FrameResult, image: Rgb) -> None:
        """See `Writer`."""
        height, width = image.shape[:2]
        items = list(result.objects.values())
        masks = np.array([item.mask for item in items], bool).reshape(len(items), height, width)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            ids=np.array(list(result.objects), np.int64),  # [N]
            masks=np.packbits(masks, axis=2),  # [N, H, ceil(W / 8)]
            shape=np.array([height, width], np.int64),
            presence=np.array([item.presence for item in items], np.float32),  # [N]
            score=np.array([item.score for item in items], np.float32),  # [N]
            frame=np.int64(result.frame),
            time=np.float64(np.nan if result.time is None else result.time),
        )
        atomic_write(self._file(name), buffer.getbuffer())


class CutoutWriter(_PerFrame):
    """``<folder>/<name>.png`` with the objects opaque and the rest transparent."""

    def write(self, name: str, result: FrameResult, image: Rgb) -> None:
        """See `Writer`."""
        union = np.zeros(image.shape[:2], bool)
        for item in result.objects.values():
            union |= item.mask
        atomic_write(self._file(name), rgba_png(image, union))


def read_npz(path: str | os.PathLike[str]) -> dict[int, Mask]:
    """Read the masks of one NPZ result: object id to bool ``[H, W]``.

    Raises:
        MediaError: the file is missing, damaged or not such a result.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            width = int(data["shape"][1])
            masks = np.unpackbits(data["masks"], axis=2, count=width).astype(bool)
            return {int(identity): masks[row] for row, identity in enumerate(data["ids"])}
    except Exception as error:  # a damaged archive raises almost anything
        raise MediaError(f"Cannot read '{os.fspath(path)}'; expected an NPZ file of masks.") from error
