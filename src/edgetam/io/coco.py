"""COCO JSON with run-length masks, one annotation per object and frame."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from edgetam.atomic import atomic_open
from edgetam.io.journal import Journal
from edgetam.structs import FrameResult, ObjectResult

__all__ = ["CocoWriter", "coco_object", "has_mask"]

_CATEGORY = {"id": 1, "name": "object"}


def coco_object(item: ObjectResult) -> dict[str, Any]:
    """Describe one mask as COCO does: ``segmentation`` (RLE), ``bbox`` (x, y, w, h) and ``area``."""
    encoded = rle.encode(np.asfortranarray(item.mask.astype(np.uint8)))
    return {
        "segmentation": {
            "size": [int(side) for side in encoded["size"]],
            "counts": encoded["counts"].decode(),
        },
        "bbox": [float(value) for value in rle.toBbox(encoded)],
        "area": int(rle.area(encoded)),
    }


def has_mask(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotation has a mask at all: some are of boxes alone, with nothing or ``[]`` instead."""
    try:
        found = annotation["segmentation"]
    except KeyError:
        return False
    return any(found) if isinstance(found, list) else bool(found)


class CocoWriter:
    """Assembles ``masks.json`` from the journal, when closed.

    An image's id is its frame number. Objects that are not visible have no annotation (COCO readers
    choke on empty boxes); their presence stands in the image's ``presence``.
    """

    def __init__(self, path: Path, journal: Journal, about: Mapping[str, Any]):
        self.path = path
        self._journal = journal
        self._about = dict(about)

    def write(self, name: str, result: FrameResult, image: Any) -> None:
        """Nothing: the journal holds the masks until the end."""

    def holds(self, entry: Mapping[str, Any]) -> bool:
        """Whether the journal holds the masks of a frame."""
        return all({"segmentation", "bbox", "area"} <= item.keys() for item in entry["objects"])

    def forget(self, entry: Mapping[str, Any]) -> None:
        """Remove the assembled file."""
        self.path.unlink(missing_ok=True)

    def close(self, *, finished: bool) -> None:
        """Write the file, whole or not at all."""
        with atomic_open(self.path) as file:
            file.write(b'{"info":' + _json(self._about) + b',\n"categories":' + _json([_CATEGORY]))
            file.write(b',\n"images":[')
            _write_list(file, (self._image(entry) for entry in self._entries()))
            file.write(b'],\n"annotations":[')
            _write_list(file, self._annotations())
            file.write(b"]}\n")

    def _entries(self) -> Iterable[dict[str, Any]]:
        return (entry for entry in self._journal if self.holds(entry))

    def _image(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "id": entry["frame"],
            "file_name": entry["file_name"],
            "width": self._about["width"],
            "height": self._about["height"],
            "frame": entry["frame"],
            "time": entry["time"],
            "presence": {str(item["id"]): item["presence"] for item in entry["objects"]},
        }

    def _annotations(self) -> Iterable[dict[str, Any]]:
        number = 0
        for entry in self._entries():
            for item in entry["objects"]:
                if item["area"] == 0:
                    continue
                number += 1  # from 1: COCO's own scorer takes 0 for "no match"
                kept = {key: value for key, value in item.items() if key != "id"}
                ids = {"id": number, "image_id": entry["frame"], "track_id": item["id"], "category_id": 1}
                yield {**ids, "iscrowd": 0, **kept}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _write_list(file: Any, items: Iterable[Any]) -> None:
    for number, item in enumerate(items):
        file.write(b",\n" if number else b"\n")
        file.write(_json(item))
