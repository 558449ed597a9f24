"""Images with masks, in two folders or side by side.

::

    images/NAME.jpg  masks/NAME.png      pixel values are object ids, 255 is void
    NAME.jpg  NAME.png                   palette: as above; grey: brighter than half is the object

Grey masks of black and white alone are one object in either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from edgetam.errors import ConfigError
from edgetam.train.data.files import Files
from edgetam.train.data.items import LabelledFrames, wrong_layout

__all__ = ["MASK_VALUES", "LabelledImages", "open_static"]

EXPECTED = "images/NAME.jpg and masks/NAME.png, or NAME.jpg beside NAME.png"
MASK_VALUES = ("ids", "binary")
_HALF = 127
_IMAGES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class LabelledImages:
    """Images with a label map each."""

    name: str
    files: Files
    pairs: tuple[tuple[str, str], ...]
    cut: int | None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> LabelledFrames:
        pair = self.pairs[index]
        stem = PurePosixPath(pair[0]).stem
        return LabelledFrames(f"{self.name}/{stem}", self.files, (pair,), self.cut)


def open_static(files: Files, name: str, masks: str | None = None) -> LabelledImages:
    """List the pairs of images and masks; images without a mask are left out.

    Args:
        files: of the data set.
        name: what to call it.
        masks: what pixels of grey masks hold: "ids", the rule in two folders, or "binary" (brighter than
            half is the object), the rule side by side. Those with a palette hold ids.

    Raises:
        ConfigError: the layout is another, or ``masks`` is unknown.
    """
    if masks not in (None, *MASK_VALUES):
        raise ConfigError(f"masks is {masks!r}, expected one of {', '.join(MASK_VALUES)}: choose one.")
    (pairs, alone), usual = _pairs(files, _in_two_folders, _in_two_folders), "ids"
    if not pairs:
        (pairs, alone), usual = _pairs(files, _beside_image, _beside_mask), "binary"
    if not pairs:
        raise wrong_layout(files, EXPECTED)
    cut = _HALF if (masks or usual) == "binary" else None
    return LabelledImages(name, files, pairs, cut, (f"{alone} images have no mask",) if alone else ())


Key = Callable[[PurePosixPath, bool], str | None]


def _pairs(files: Files, image_key: Key, mask_key: Key) -> tuple[tuple[tuple[str, str], ...], int]:
    """Pairs, and how many images have no mask."""
    paths = [PurePosixPath(name) for name in files.names]
    images = {key: str(path) for path in paths if (key := image_key(path, False)) is not None}
    masks = {key: str(path) for path in paths if (key := mask_key(path, True)) is not None}
    pairs = tuple((image, masks[key]) for key, image in images.items() if key in masks)
    return pairs, len(images) - len(pairs)


def _in_two_folders(path: PurePosixPath, is_mask: bool) -> str | None:
    folder = "masks" if is_mask else "images"
    if folder not in path.parts[:-1] or path.suffix.lower() not in ({".png"} if is_mask else _IMAGES):
        return None
    at = path.parts.index(folder)
    # what stands before it counts too: train/images and val/images may use the same names
    return "/".join((*path.parts[:at], "", *path.parts[at + 1 : -1], path.stem))


def _beside_image(path: PurePosixPath, is_mask: bool) -> str | None:
    return str(path.with_suffix("")) if path.suffix.lower() in {".jpg", ".jpeg"} else None


def _beside_mask(path: PurePosixPath, is_mask: bool) -> str | None:
    return str(path.with_suffix("")) if path.suffix.lower() == ".png" else None
