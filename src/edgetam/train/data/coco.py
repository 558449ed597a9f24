"""COCO: images, and one JSON file with polygons and run-length masks for all of them.

::

    annotations/instances_NAME.json      {"images": [...], "annotations": [...]}
    NAME/*.jpg                           wherever they are below the root
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import takewhile
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
    notes: bytes  # JSON of height, width, [area, segmentation] of every object, and crowds

    def __len__(self) -> int:
        return 1

    def picture(self, frame: int, least: int) -> Picture:
        return decode_image(self.files.read(self.image), self.files.label(self.image), least)

    def objects(self, frame: int) -> Objects:
        height, width, found, crowds = json.loads(self.notes)
        numbered = dict(enumerate(found, 1))
        return RleObjects(
            {i: one[1] for i, one in numbered.items()},
            (height, width),
            self.files.label(self.image),
            {i: int(one[0]) for i, one in numbered.items()},
            crowds,
        )


@dataclass(frozen=True)
class CocoImages:
    """Images with COCO annotations; objects below 64 pixels are left out, and crowds are void."""

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
        ConfigError: the layout is another, there is no such split, or a name fits several images.
        MediaError: the annotations cannot be read.
    """
    chosen = _annotations(files, name, split)
    label = files.label(chosen)
    try:
        found = json.loads(files.read(chosen))
        sizes = {one["id"]: (one["file_name"], one["height"], one["width"]) for one in found["images"]}
        objects, crowds = _by_image(found["annotations"])
    except (ValueError, KeyError, TypeError) as error:
        raise MediaError(f"'{label}' cannot be read as COCO annotations ({error!r}): replace it.") from error
    there: dict[str, list[str]] = defaultdict(list)
    for one in files.names:
        there[PurePosixPath(one).name].append(one)
    images, lost = [], 0
    for identity, (file, height, width) in sizes.items():
        image = _closest(files, there.get(PurePosixPath(file).name, []), file)
        lost += image is None
        if image is not None and identity in objects:
            packed = json.dumps(
                [height, width, objects[identity], crowds.get(identity, [])], separators=(",", ":")
            )
            images.append((image, packed.encode()))
    if not images:
        raise wrong_layout(files, EXPECTED)
    return CocoImages(name, files, tuple(images), (f"{lost} images are missing",) if lost else ())


def _closest(files: Files, there: list[str], file: str) -> str | None:
    """Of the images with the name of ``file``, the one whose folders agree with it the furthest."""
    if len(there) < 2:
        return there[0] if there else None
    wanted = PurePosixPath(file).parts[::-1]

    def agreement(one: str) -> int:
        pairs = zip(PurePosixPath(one).parts[::-1], wanted, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    best, second = sorted(there, key=agreement)[:-3:-1]
    if agreement(best) == agreement(second):
        raise ConfigError(
            f"'{files.path}' holds {second} and {best}, and the annotations name {file!r}, expected one such "
            "image: make 'root' the folder of the right ones; 'annotations' may lie elsewhere."
        )
    return best


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


def _by_image(
    annotations: list[dict[str, Any]],
) -> tuple[dict[Any, list[tuple[float, Any]]], dict[Any, list[Any]]]:
    """Objects with their areas, and crowds, by the number of the image."""
    objects: dict[Any, list[tuple[float, Any]]] = defaultdict(list)
    crowds: dict[Any, list[Any]] = defaultdict(list)
    for one in annotations:
        if not one["segmentation"]:
            continue
        if one.get("iscrowd"):
            crowds[one["image_id"]].append(one["segmentation"])
        elif one["area"] >= _LEAST_AREA:
            objects[one["image_id"]].append((one["area"], one["segmentation"]))
    return objects, crowds
