"""Annotated videos and images: an image is a video of one frame."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Protocol

from edgetam.errors import ConfigError, MediaError
from edgetam.train.data.decode import Grey, Picture, decode_image, decode_labels
from edgetam.train.data.files import Files, describe
from edgetam.train.data.objects import LabelMap, Objects

__all__ = [
    "UNREADABLE",
    "Chain",
    "Collection",
    "Item",
    "LabelledFrames",
    "LayoutError",
    "Picked",
    "check_size",
    "left_out",
    "own_and_cutouts",
    "wrong_layout",
]


UNREADABLE = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What is raised where JSON is damaged, or holds something else: endless numbers, lists in lists in lists."""


class LayoutError(ConfigError):
    """Files are laid out in another way; says how, but not yet what to do."""


class Item(Protocol):
    """One video, or one image. Frames are those with annotations, in order."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        ...

    def __len__(self) -> int: ...

    def picture(self, frame: int, least: int) -> Picture:
        """Decode a frame, perhaps reduced, but with no side below ``least`` pixels because of that.

        Raises:
            MediaError: it cannot be decoded.
        """
        ...

    def objects(self, frame: int) -> Objects:
        """The objects on a frame; they keep their ids through a video.

        Raises:
            MediaError: the annotation cannot be decoded.
        """
        ...


class Collection(Protocol):
    """The videos or images of a data set."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and why."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Item: ...


@dataclass(frozen=True)
class LabelledFrames:
    """Frames with a label map each."""

    name: str
    files: Files
    pairs: tuple[tuple[str, str], ...]  # names of images and masks
    grey: Grey = Grey.IDS

    def __len__(self) -> int:
        return len(self.pairs)

    def picture(self, frame: int, least: int) -> Picture:
        """Decode a frame."""
        name = self.pairs[frame][0]
        return decode_image(self.files.read(name), self.files.label(name), least)

    def objects(self, frame: int) -> Objects:
        """The objects on a frame."""
        name = self.pairs[frame][1]
        return LabelMap(decode_labels(self.files.read(name), self.files.label(name), self.grey))


@dataclass(frozen=True)
class Picked:
    """Some of a collection."""

    whole: Collection
    indices: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name of the whole."""
        return self.whole.name

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out."""
        return (*self.whole.notes, f"{len(self.whole) - len(self)} are not wanted")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Item:
        return self.whole[self.indices[index]]


@dataclass(frozen=True)
class Chain:
    """Several collections as one."""

    name: str
    parts: Sequence[Collection]

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(len(part) for part in self.parts))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out."""
        return tuple(note for part in self.parts for note in part.notes)

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Item:
        part = bisect_right(self._ends, index)
        return self.parts[part][index - (self._ends[part - 1] if part else 0)]


def own_and_cutouts(own: Collection, cutouts: Collection) -> dict[str, Collection]:
    """What a source is made of, by part, where things may be cut out of something else."""
    return {"": own} if cutouts is own else {"": own, "cutouts": cutouts}


def left_out(*counts: tuple[int, str]) -> tuple[str, ...]:
    """Notes of a collection: how many there are, and of what, unless there are none."""
    return tuple(f"{count} {what}" for count, what in counts if count)


def check_size(item: Item, frame: int, picture: Picture, objects: Objects) -> None:
    """Make sure that masks fit their picture.

    Raises:
        MediaError: they differ in size.
    """
    if picture.size != objects.size:
        raise MediaError(
            f"frame {frame} of '{item.name}' is {picture.size[1]}x{picture.size[0]} and its mask "
            f"{objects.size[1]}x{objects.size[0]}, expected one size: fix or remove it."
        )


def wrong_layout(files: Files, expected: str) -> LayoutError:
    """The error for files that are not laid out as a kind of data set is."""
    return LayoutError(f"'{files.path}' has another layout: expected {expected}, found {describe(files)}")
