"""One video of a data set: frames, and ground truth on some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgetam.errors import MediaError
from edgetam.eval.metrics.labels import read_labels
from edgetam.io.images import ImageFrames
from edgetam.io.masks import Mask

__all__ = ["EvalVideo", "MaskKind", "void_hint"]

MaskKind = Literal["ids", "objects", "foreground"]
"""Pixel values are object ids; every object has its own files; all that is not 0 is object 1."""


@dataclass(frozen=True)
class EvalVideo:
    """Frames and ground truth, read when they are asked for.

    Attributes:
        name: unique in its data set.
        frame_names: file names of the frames without suffix, in the order of time.
        frame_paths: the frames.
        truth: by index of the frame, one file of ids (under the key "") or one file per object folder.
        kind: what the pixels of these files mean.
        written: indices of the frames whose masks are asked for.
        void: the pixel value that is no object but background, if any.
    """

    name: str
    frame_names: tuple[str, ...]
    frame_paths: tuple[Path, ...]
    truth: Mapping[int, Mapping[str, Path]]
    kind: MaskKind
    written: tuple[int, ...]
    void: int | None = 255

    @property
    def annotated(self) -> tuple[int, ...]:
        """Indices of the frames with ground truth, ascending."""
        return tuple(sorted(self.truth))

    def open(self) -> ImageFrames:
        """The frames as they are stored: that is what masks are of, whatever their EXIF says.

        Raises:
            MediaError: one is missing or they differ in size.
        """
        return ImageFrames(self.frame_paths, name=self.name, upright=False)

    def masks(self, frame: int) -> dict[int, Mask]:
        """Ground truth of every object on a frame, by object id; objects that do not show are left out.

        Raises:
            MediaError: a file cannot be read; the message names video, frame and object.
        """
        files = self.truth[frame]
        try:
            masks = self._read(files)
        except MediaError as error:
            raise MediaError(f"{self.where(frame)}: {str(error).rstrip('.')}.") from error
        return {number: mask for number, mask in sorted(masks.items()) if mask.any()}

    def where(self, frame: int, object_id: int | None = None) -> str:
        """Say which frame (and object) of which sequence is meant, for messages."""
        about = f"Sequence '{self.name}', frame {self.frame_names[frame]}"
        return about if object_id is None else f"{about}, object {object_id}"

    def check_size(self, frame: int, mask: Mask, size: tuple[int, int]) -> None:
        """Raise `MediaError` where a mask is not as large as the frames, (width, height)."""
        if mask.shape != size[::-1]:
            raise MediaError(
                f"{self.where(frame)}: the mask is {mask.shape[1]}x{mask.shape[0]} and the frames are "
                f"{size[0]}x{size[1]}; expected one size."
            )

    def first_frames(self, *, late: bool) -> dict[int, int]:
        """The frame that each object is prompted on: the first one that shows it, by object id.

        Args:
            late: also take objects that are not there on the first annotated frame.

        Raises:
            MediaError: there is no ground truth, or it shows nothing.
        """
        if not self.truth:
            raise MediaError(
                f"Sequence '{self.name}' has no masks; expected one on its first frame at least."
            )
        first: dict[int, int] = {}
        for frame in self.annotated if late else self.annotated[:1]:
            for number in self.masks(frame):
                first.setdefault(number, frame)
        if not first:
            raise MediaError(
                f"{self.where(self.annotated[0])}: the mask shows no object, expected at least one"
                f"{self._hint(self.annotated[0])}."
            )
        return dict(sorted(first.items()))

    def object_names(self) -> dict[int, str]:
        """Folder names of objects that have files of their own, by id."""
        return {_number(name, self.name): name for files in self.truth.values() for name in files if name}

    def _hint(self, frame: int) -> str:
        """Where black and white was meant, say how to read it."""
        if self.kind != "ids" or self.void is None:
            return ""
        (path,) = self.truth[frame].values()
        lone = set(np.unique(read_labels(path))) == {0, self.void}
        return void_hint(self.void) if lone else ""

    def _read(self, files: Mapping[str, Path]) -> dict[int, Mask]:
        if self.kind == "objects":
            return {_number(name, self.name): read_labels(path) != 0 for name, path in files.items()}
        (path,) = files.values()
        ids = read_labels(path)
        if self.kind == "foreground":
            return {1: ids != 0}
        return {int(i): ids == i for i in np.unique(ids) if i not in (0, self.void)}


def void_hint(void: int) -> str:
    """For masks that show nothing else."""
    return f" ({void} is void; if it is the object, read it as foreground)"


def _number(name: str, video: str) -> int:
    if not name.isdecimal():
        raise MediaError(
            f"Sequence '{video}' has the object folder '{name}'; expected a number such as 001, so rename it."
        )
    return int(name)
