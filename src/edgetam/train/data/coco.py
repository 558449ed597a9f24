"""COCO: images, and one JSON file with polygons and run-length masks for all of them.

::

    annotations/instances_NAME.json      {"images": [...], "annotations": [...]}
    NAME/*.jpg                           wherever they are below the root
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any

from edgetam.errors import ConfigError, InputError, MediaError
from edgetam.io.coco import has_mask
from edgetam.train.data.decode import Picture, decode_image
from edgetam.train.data.files import Files
from edgetam.train.data.items import UNREADABLE, left_out, wrong_layout
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
        name = self.files.label(self.image)
        try:
            height, width, found, crowds = json.loads(self.notes)
            areas = {i: int(one[0]) for i, one in enumerate(found, 1)}
        except UNREADABLE as error:  # how deep lists may be depends on who asks
            raise MediaError(f"'{name}' has annotations that cannot be read ({error}): remove it.") from error
        masks = {i: one[1] for i, one in enumerate(found, 1)}
        return RleObjects(masks, (height, width), name, areas, crowds)


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
    try:
        found = json.loads(files.read(chosen))
        listed = {one["id"]: one for one in found["images"]}
        there = _found(files, listed)
        images = tuple(_packed(listed, there, found["annotations"]))
    except InputError:  # which is a ValueError too, and says what is wrong
        raise
    except UNREADABLE as error:
        raise MediaError(
            f"'{files.label(chosen)}' cannot be read as COCO annotations ({error!r}): replace it."
        ) from error
    if not images:
        raise wrong_layout(files, EXPECTED)
    notes = left_out(
        (len(listed) - len(there), "images are missing"),
        (len(there) - len(images), f"images have no object of {_LEAST_AREA} pixels or more"),
        (sum(not has_mask(one) for one in found["annotations"]), "annotations have no mask"),
        (_unnamed(files, set(there.values())), "pictures are not in the annotations"),
    )
    return CocoImages(name, files, images, notes)


def _found(files: Files, listed: Mapping[Any, Any]) -> dict[Any, str]:
    """The files of those images that are there, by number."""
    named: dict[str, list[str]] = defaultdict(list)
    for one in files.names:
        named[PurePosixPath(one).name].append(one)
    closest = {
        i: _closest(files, named.get(PurePosixPath(one["file_name"]).name, []), one["file_name"])
        for i, one in listed.items()
    }
    return {i: file for i, file in closest.items() if file is not None}


def _packed(
    listed: Mapping[Any, Any], there: Mapping[Any, str], annotations: list[dict[str, Any]]
) -> Iterator[tuple[str, bytes]]:
    """Images that have objects, and what `_Image` keeps of their annotations."""
    objects, crowds = _by_image(annotations)
    for i, file in there.items():
        if i in objects:
            notes = [listed[i]["height"], listed[i]["width"], objects[i], crowds.get(i, [])]
            yield file, json.dumps(notes, separators=(",", ":")).encode()


def _unnamed(files: Files, named: set[str]) -> int:
    """How many pictures, of the same kinds as those in the annotations, are not in them."""
    kinds = {PurePosixPath(one).suffix for one in named}
    return sum(1 for one in files.names if PurePosixPath(one).suffix in kinds and one not in named)


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
        if not has_mask(one):
            continue
        if one.get("iscrowd"):
            crowds[one["image_id"]].append(one["segmentation"])
        elif one["area"] >= _LEAST_AREA:
            objects[one["image_id"]].append((one["area"], one["segmentation"]))
    return objects, crowds
