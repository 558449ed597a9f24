"""Masks of everything in an image as SA-1B stores them, which `edgetam.train` reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from edgetam.atomic import atomic_write

__all__ = ["FoundMask", "write_sa1b"]


class FoundMask(Protocol):
    """A mask and how it was found; `edgetam.AutoMask` is one."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Bool ``[H, W]``."""

    @property
    def score(self) -> float:
        """Estimated IoU."""

    @property
    def stability(self) -> float:
        """IoU of the masks cut a little above and below the threshold."""

    @property
    def point(self) -> tuple[float, float]:
        """The click, x and y in pixels."""

    @property
    def crop(self) -> tuple[int, int, int, int]:
        """The part of the image that was looked at: x0, y0, x1, y1."""


def write_sa1b(path: Path, name: str, size: tuple[int, int], masks: Sequence[FoundMask]) -> None:
    """Write the JSON file of one image.

    Args:
        path: of the JSON file, ``NAME.json``.
        name: of the image file.
        size: width and height of the image.
        masks: in the order of their ids, which start at 1.

    Raises:
        OutputError: the file cannot be written.
    """
    image = {"file_name": name, "width": size[0], "height": size[1]}
    annotations = [_annotation(number, found) for number, found in enumerate(masks, 1)]
    content = {"image": image, "annotations": annotations}
    atomic_write(path, json.dumps(content, separators=(",", ":")).encode())


def _annotation(number: int, found: FoundMask) -> dict[str, Any]:
    encoded = rle.encode(np.asfortranarray(found.mask, np.uint8))
    x0, y0, x1, y1 = found.crop
    return {
        "id": number,
        "segmentation": {
            "size": [int(side) for side in encoded["size"]],
            "counts": encoded["counts"].decode(),
        },
        "area": int(rle.area(encoded)),
        "bbox": [float(value) for value in rle.toBbox(encoded)],
        "predicted_iou": round(found.score, 6),
        "stability_score": round(found.stability, 6),
        "point_coords": [list(found.point)],
        "crop_box": [x0, y0, x1 - x0, y1 - y0],
    }
