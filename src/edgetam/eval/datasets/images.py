"""Images with masks of single objects: folders of pictures, and COCO's JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgetam.errors import MediaError
from edgetam.eval.metrics.labels import read_labels
from edgetam.io.coco import has_mask
from edgetam.io.images import folder_images, read_image
from edgetam.io.masks import Mask

__all__ = ["VOID", "CocoImages", "EvalImage", "FolderImages", "ImageSet", "open_images"]

_log = logging.getLogger(__name__)

VOID = 255
"""Pixel value that is not judged."""


@dataclass(frozen=True)
class EvalImage:
    """A picture and the masks on it.

    Attributes:
        name: the file, below the folder of pictures.
        path: where the picture is.
        masks: by a label that is unique in the picture, each ``[H, W]`` and not empty.
        void: pixels that are not judged, ``[H, W]``, if there are any.
    """

    name: str
    path: Path
    masks: Mapping[str, Mask]
    void: Mask | None = None

    def pixels(self) -> NDArray[np.uint8]:
        """The picture as it is stored, ``[H, W, 3]``: that is what masks are of, whatever its EXIF says.

        Raises:
            MediaError: it cannot be read, or the masks are of another size.
        """
        pixels = read_image(self.path, upright=False)
        for label, mask in self.masks.items():
            if mask.shape != pixels.shape[:2]:
                raise MediaError(
                    f"Image '{self.name}', mask {label}: it is {mask.shape[1]}x{mask.shape[0]} and the image "
                    f"{pixels.shape[1]}x{pixels.shape[0]}; expected one size."
                )
        return pixels


class ImageSet(Protocol):
    """Images by name, read one at a time."""

    @property
    def names(self) -> tuple[str, ...]:
        """Files of the pictures."""
        ...

    def __getitem__(self, name: str) -> EvalImage:
        """One picture with its masks; `MediaError` where they cannot be read."""
        ...


class FolderImages:
    """``images/NAME.jpg`` with ``masks/NAME.png``, whose pixel values are object ids; 255 is not judged.

    Args:
        root: the folder that holds both.
        foreground: all that is not black is one object instead.

    Raises:
        MediaError: it does not.
    """

    def __init__(self, root: Path, *, foreground: bool = False) -> None:
        self.root = root
        self.foreground = foreground
        for folder in (root, root / "images", root / "masks"):
            if not folder.is_dir():
                raise MediaError(
                    f"There is no folder '{folder}'; expected images/NAME.jpg and masks/NAME.png in '{root}'."
                )
        self._images = {path.name: path for path in folder_images(root / "images")}

    @property
    def names(self) -> tuple[str, ...]:
        """See `ImageSet`."""
        return tuple(self._images)

    def __getitem__(self, name: str) -> EvalImage:
        path = self._images[name]
        try:
            ids = read_labels(self.root / "masks" / f"{path.stem}.png")
        except MediaError as error:
            raise MediaError(f"Image '{name}': {error}.") from error
        if self.foreground:
            return EvalImage(name, path, {"1": ids != 0} if ids.any() else {})
        masks = {str(i): ids == i for i in np.unique(ids).tolist() if i not in (0, VOID)}
        void = ids == VOID
        return EvalImage(name, path, masks, void if void.any() else None)


class CocoImages:
    """COCO's JSON, with polygons or run lengths; crowds, empty masks and boxes alone are left out.

    Args:
        annotations: the JSON file.
        images: the folder of the pictures.

    Raises:
        MediaError: the file is not such a JSON, or a picture is missing.
    """

    def __init__(self, annotations: Path, images: Path) -> None:
        self.file = annotations
        self._masks: dict[str, list[dict[str, Any]]] = {}
        self._images: dict[str, dict[str, Any]] = {}
        try:
            content = json.loads(annotations.read_bytes())
            by_id = {each["id"]: each for each in content["images"]}
            self._images = {each["file_name"]: each for each in content["images"]}
            for each in content["annotations"]:
                if not each.get("iscrowd") and has_mask(each):
                    self._masks.setdefault(by_id[each["image_id"]]["file_name"], []).append(each)
            bare = sum(not has_mask(each) for each in content["annotations"])
        except OSError as error:
            raise MediaError(f"Cannot read '{annotations}': {error.strerror or error}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise MediaError(
                f"'{annotations}' is not a COCO file ({error!r}); expected JSON with images and annotations."
            ) from error
        if bare:
            _log.warning("%d annotations of %s have no mask and are left out.", bare, annotations)
        self._folder = images
        if missing := [name for name in self.names if not (images / name).is_file()]:
            raise MediaError(
                f"'{images / missing[0]}' is missing, as are {len(missing) - 1} more of {len(self.names)} "
                "images; give the folder they lie in."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """See `ImageSet`; only those with masks."""
        return tuple(self._masks)

    def __getitem__(self, name: str) -> EvalImage:
        from edgetam.train.data.objects import decode_rle  # late: it brings torch

        about, masks = self._images[name], {}
        for each in self._masks[name]:
            what = f"Image '{name}', annotation {each.get('id')}"
            try:
                label, code, size = str(each["id"]), each["segmentation"], (about["height"], about["width"])
            except KeyError as error:
                raise MediaError(
                    f"{what} has no {error} in '{self.file}'; expected masks with an id, and images with "
                    "height and width."
                ) from error
            mask = decode_rle(code, size, what) > 0
            if mask.any():
                masks[label] = mask
        return EvalImage(name, self._folder / name, masks)


def open_images(root: Path, images: Path | None = None, *, foreground: bool = False) -> ImageSet:
    """Open a folder of pictures with masks, or a COCO file.

    Args:
        root: the folder, or the JSON file.
        images: the pictures of a COCO file; beside it when left out.
        foreground: see `FolderImages`; a COCO file has nothing to be read otherwise.

    Raises:
        MediaError: it is neither.
    """
    if root.suffix.lower() == ".json":
        return CocoImages(root, images or root.parent)
    return FolderImages(root, foreground=foreground)
