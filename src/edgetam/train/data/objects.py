"""The objects of one frame, however they are stored; masks are decoded only when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import cv2
import numpy as np
from pycocotools import mask as coco

from edgetam.errors import MediaError
from edgetam.train.data.clip import Mask
from edgetam.train.data.decode import Labels

__all__ = ["LabelMap", "Objects", "RleObjects", "SeparateMasks", "decode_rle"]

VOID = 255
"""The label, in 8 bits, of pixels that nothing is said about."""


class Objects(Protocol):
    """Objects by id."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the masks."""
        ...

    def areas(self) -> dict[int, int]:
        """Pixels of every visible object."""
        ...

    def mask(self, identity: int) -> Mask:
        """Where an object is; empty when it is not visible."""
        ...

    def void(self) -> Mask | None:
        """Pixels that nothing is said about; None where there are none."""
        ...


@dataclass(frozen=True)
class LabelMap:
    """An object number per pixel; 0 is background, and 255 is void where numbers have 8 bits."""

    labels: Labels  # [H, W]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.labels.shape[0], self.labels.shape[1]

    def areas(self) -> dict[int, int]:
        """Pixels of every visible object."""
        if self.labels.dtype == np.uint8:  # NumPy would widen every pixel first
            counts = cv2.calcHist([self.labels], [0], None, [256], [0, 256]).ravel()
            return {int(i): int(counts[i]) for i in np.flatnonzero(counts) if i not in (0, VOID)}
        found, areas = np.unique(self.labels, return_counts=True)
        return {i: area for i, area in zip(found.tolist(), areas.tolist(), strict=True) if i}

    def mask(self, identity: int) -> Mask:
        """Where an object is."""
        return _binary(self.labels == identity)

    def void(self) -> Mask | None:
        """Pixels of the label 255."""
        if self.labels.dtype != np.uint8 or self.labels.max() < VOID:
            return None
        return _binary(self.labels == VOID)


@dataclass(frozen=True)
class RleObjects:
    """Run-length masks as COCO stores them: ``{"size": [h, w], "counts": text or list}`` or polygons.

    ``known`` are areas that need no counting; ``crowds`` are masks within which anything may be.
    """

    found: Mapping[int, Any]
    size: tuple[int, int]
    name: str
    known: Mapping[int, int] | None = None
    crowds: Sequence[Any] = ()

    def areas(self) -> dict[int, int]:
        """Pixels of every visible object."""
        areas = self.known
        if areas is None:
            areas = {i: _area(item, self.size, self.name) for i, item in self.found.items()}
        return {i: area for i, area in areas.items() if area > 0}

    def mask(self, identity: int) -> Mask:
        """Where an object is."""
        if identity not in self.found:
            return np.zeros(self.size, np.uint8)
        return decode_rle(self.found[identity], self.size, self.name)

    def void(self) -> Mask | None:
        """Crowds, without the objects in them."""
        if not self.crowds:
            return None
        crowds, objects = (self._union(given) for given in (self.crowds, self.found.values()))
        return crowds & ~objects

    def _union(self, given: Iterable[Any]) -> Mask:
        masks = (decode_rle(one, self.size, self.name) for one in given)
        return reduce(np.bitwise_or, masks, np.zeros(self.size, np.uint8))


@dataclass(frozen=True)
class SeparateMasks:
    """One mask per object, all of one size; any nonzero pixel is the object."""

    masks: Mapping[int, Labels]  # each [H, W]
    size: tuple[int, int]

    def areas(self) -> dict[int, int]:
        """Pixels of every visible object."""
        areas = {i: int(np.count_nonzero(mask)) for i, mask in self.masks.items()}
        return {i: area for i, area in areas.items() if area > 0}

    def mask(self, identity: int) -> Mask:
        """Where an object is."""
        mask = self.masks.get(identity)
        return np.zeros(self.size, np.uint8) if mask is None else _binary(mask != 0)

    def void(self) -> None:
        """Nothing: all pixels are known."""


def decode_rle(segmentation: Any, size: tuple[int, int], name: str) -> Mask:
    """Decode a COCO mask of height and width ``size``: compressed or plain run lengths, or polygons.

    Raises:
        MediaError: it is damaged, or of another size; ``name`` says which.
    """
    packed = _compressed(segmentation, size, name)
    mask: Mask = cv2.transpose(
        coco.decode(packed).T
    )  # it comes by columns; NumPy would take six times as long
    return np.multiply(mask, 255, out=mask)


def _area(segmentation: Any, size: tuple[int, int], name: str) -> int:
    return int(coco.area(_compressed(segmentation, size, name)))


def _compressed(segmentation: Any, size: tuple[int, int], name: str) -> Any:
    """The run-length code that pycocotools works with."""
    try:
        if isinstance(segmentation, list):
            return coco.merge(coco.frPyObjects(segmentation, *size))
        stored = tuple(int(side) for side in segmentation["size"])
        counts = segmentation["counts"]
        if isinstance(counts, list):
            if sum(counts) != stored[0] * stored[1] or min(counts, default=0) < 0:
                raise ValueError("runs do not fill the mask")
            segmentation = coco.frPyObjects({"size": list(stored), "counts": counts}, *stored)
        elif not _fills(counts, stored):
            raise ValueError("runs do not fill the mask")
    except Exception as error:  # pycocotools raises nothing more precise
        raise MediaError(f"'{name}' has a mask that cannot be decoded ({error}): remove it.") from error
    if stored != size:
        raise MediaError(
            f"'{name}' has a mask of {stored[1]}x{stored[0]} for an image of {size[1]}x{size[0]}, "
            "expected one size: remove it."
        )
    return segmentation


def _fills(counts: str | bytes, size: tuple[int, ...]) -> bool:
    """Whether compressed runs add up to the mask; pycocotools would read or write beyond it if not."""
    data = counts.encode() if isinstance(counts, str) else counts
    runs: list[int] = []
    value, shift = 0, 0
    for byte in data:
        digit = byte - 48
        if not 0 <= digit < 64:
            return False
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        if runs[-1] < 0:
            return False
        value, shift = 0, 0
    return shift == 0 and sum(runs) == size[0] * size[1]


def _binary(where: Any) -> Mask:
    return np.multiply(where, 255, dtype=np.uint8)
