"""COCO: images, and one JSON file with polygons and run-length masks for all of them.

::

    annotations/instances_NAME.json      {"images": [...], "annotations": [...]}
    NAME/*.jpg                           wherever they are below the root
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from edgetam.errors import ConfigError, MediaError
from edgetam.train.data.decode import Picture, decode_image
from edgetam.train.data.files import Files
from edgetam.train.data.items import wrong_layout
from edgetam.train.data.objects import Objects, RleObjects

__all__ = ["CocoImages", "open_coco"]

EXPECTED = "annotations/instances_SPLIT.json and the images it names"
_LEAST_AREA = 64


@dataclass(frozen=True)
class _Image:
    name: str
    files: Files
    image: str
    notes: bytes  # JSON of height, width, and [area, segmentation] of every object

    def __len__(self) -> int:
        return 1

    def picture(self, frame: int, least: int) -> Picture:
        return decode_image(self.files.read(self.image), self.files.label(self.image), least)

    def objects(self, frame: int) -> Objects:
        height, width, found = json.loads(self.notes)
        numbered = dict(enumerate(found, 1))
        return RleObjects(
            {i: one[1] for i, one in numbered.items()},
            (height, width),
            self.files.label(self.image),
            {i: int(one[0]) for i, one in numbered.items()},
        )


@dataclass(frozen=True)
class CocoImages:
    """Images with COCO annotations; crowds and objects below 64 pixels are left out."""

    name: str
    files: Files
    # Annotations stay packed: as objects they would take ten times the memory, in every worker.
    images: tuple[tuple[str, bytes], ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> _Image:
        image, notes = self.images[index]
        return _Image(f"{self.name}/{PurePosixPath(image).stem}", self.files, image, notes)


def open_coco(files: Files, name: str, split: str | None = None) -> CocoImages:
    """Read the annotations and find the images that have some.

    Args:
        files: of the data set.
        name: what to call it.
        split: ``train2017`` for ``instances_train2017.json``; needed when there are several.

    Raises:
        ConfigError: the layout is another, or there is no such split.
        MediaError: the annotations cannot be read.
    """
    chosen = _annotations(files, name, split)
    label = files.label(chosen)
    try:
        found = json.loads(files.read(chosen))
        sizes = {one["id"]: (one["file_name"], one["height"], one["width"]) for one in found["images"]}
        objects = _by_image(found["annotations"])
    except (ValueError, KeyError, TypeError) as error:
        raise MediaError(f"'{label}' cannot be read as COCO annotations ({error!r}): replace it.") from error
    there = {PurePosixPath(one).name: one for one in files.names}
    images, lost = [], 0
    for identity, (file, height, width) in sizes.items():
        image = there.get(PurePosixPath(file).name)
        lost += image is None
        if image is not None and identity in objects:
            packed = json.dumps([height, width, objects[identity]], separators=(",", ":")).encode()
            images.append((image, packed))
    if not images:
        raise wrong_layout(files, EXPECTED)
    return CocoImages(name, files, tuple(images), (f"{lost} images are missing",) if lost else ())


def _annotations(files: Files, name: str, split: str | None) -> str:
    there = {
        PurePosixPath(one).stem.removeprefix("instances_"): one
        for one in files.names
        if one.endswith(".json") and PurePosixPath(one).name.startswith("instances_")
    }
    if not there:
        there = {PurePosixPath(one).stem: one for one in files.names if one.endswith(".json")}
    if not there:
        raise wrong_layout(files, EXPECTED)
    if split is None and len(there) == 1:
        return next(iter(there.values()))
    if split not in there:
        raise ConfigError(
            f"'{files.path}' has annotations for {', '.join(there)} and split is {split!r}, expected one of "
            "them: set 'split'."
        )
    return there[split]


def _by_image(annotations: list[dict[str, Any]]) -> dict[Any, list[tuple[float, Any]]]:
    found: dict[Any, list[tuple[float, Any]]] = defaultdict(list)
    for one in annotations:
        if not one.get("iscrowd") and one["area"] >= _LEAST_AREA and one["segmentation"]:
            found[one["image_id"]].append((one["area"], one["segmentation"]))
    return found
