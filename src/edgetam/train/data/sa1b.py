"""SA-1B: an image and a JSON file of run-length masks beside it.

::

    sa_NUMBER.jpg
    sa_NUMBER.json      {"image": {"width", "height"}, "annotations": [{"segmentation", "area"}]}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from edgetam.errors import MediaError
from edgetam.train.data.decode import Picture, decode_image
from edgetam.train.data.files import Files
from edgetam.train.data.items import UNREADABLE, left_out, wrong_layout
from edgetam.train.data.objects import Objects, RleObjects

__all__ = ["SegmentedImages", "open_sa1b"]

EXPECTED = "NAME.jpg and NAME.json with 'image' and 'annotations'"


@dataclass(frozen=True)
class _Image:
    name: str
    files: Files
    pair: tuple[str, str]  # image and JSON

    def __len__(self) -> int:
        return 1

    def picture(self, frame: int, least: int) -> Picture:
        return decode_image(self.files.read(self.pair[0]), self.files.label(self.pair[0]), least)

    def objects(self, frame: int) -> Objects:
        name = self.files.label(self.pair[1])
        try:
            found = json.loads(self.files.read(self.pair[1]))
            size = (int(found["image"]["height"]), int(found["image"]["width"]))
            masks = {i: one["segmentation"] for i, one in enumerate(found["annotations"], 1)}
            areas = {i: int(one["area"]) for i, one in enumerate(found["annotations"], 1)}
        except UNREADABLE as error:
            raise MediaError(
                f"'{name}' cannot be read as annotations of SA-1B ({_why(error)}): replace or remove it."
            ) from error
        return RleObjects(masks, size, name, areas)


@dataclass(frozen=True)
class SegmentedImages:
    """Images with run-length masks."""

    name: str
    files: Files
    pairs: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> _Image:
        pair = self.pairs[index]
        return _Image(f"{self.name}/{PurePosixPath(pair[0]).stem}", self.files, pair)


def open_sa1b(files: Files, name: str) -> SegmentedImages:
    """List the images that have annotations.

    Raises:
        ConfigError: the layout is another.
    """
    images, notes = _by_stem(files, {".jpg", ".jpeg"}), _by_stem(files, {".json"})
    pairs = tuple(pair for stem in images for pair in _pairs(images[stem], notes.get(stem, [])))
    if not pairs:
        raise wrong_layout(files, EXPECTED)
    return SegmentedImages(
        name,
        files,
        pairs,
        left_out(
            (sum(map(len, images.values())) - len(pairs), "images have no JSON file"),
            (sum(map(len, notes.values())) - len(pairs), "JSON files have no image"),
        ),
    )


def _by_stem(files: Files, suffixes: set[str]) -> dict[str, list[PurePosixPath]]:
    named: dict[str, list[PurePosixPath]] = {}
    for path in map(PurePosixPath, files.names):
        if path.suffix.lower() in suffixes:
            named.setdefault(path.stem, []).append(path)
    return named


def _pairs(images: list[PurePosixPath], notes: list[PurePosixPath]) -> list[tuple[str, str]]:
    """Images and notes of one stem: those side by side, or one of each that are kept apart."""
    if len(images) == len(notes) == 1:
        return [(str(images[0]), str(notes[0]))]
    beside = {note.parent: note for note in notes}
    found = {
        image.parent: (str(image), str(beside[image.parent])) for image in images if image.parent in beside
    }
    return list(found.values())


def _why(error: Any) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
