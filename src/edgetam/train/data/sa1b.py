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
    # By stem, whatever the folder: images and annotations may be kept apart.
    images = dict(_stems(files, {".jpg", ".jpeg"}))
    notes = dict(_stems(files, {".json"}))
    pairs = tuple((image, notes[stem]) for stem, image in images.items() if stem in notes)
    if not pairs:
        raise wrong_layout(files, EXPECTED)
    return SegmentedImages(
        name,
        files,
        pairs,
        left_out(
            (len(images) - len(pairs), "images have no JSON file"),
            (len(notes) - len(pairs), "JSON files have no image"),
        ),
    )


def _stems(files: Files, suffixes: set[str]) -> list[tuple[str, str]]:
    paths = ((PurePosixPath(name), name) for name in files.names)
    return [(path.stem, name) for path, name in paths if path.suffix.lower() in suffixes]


def _why(error: Any) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
