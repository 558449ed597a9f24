"""Images with masks, in two folders or side by side.

::

    images/NAME.jpg  masks/NAME.png      pixel values are object ids, 255 is void
    NAME.jpg  NAME.png                   palette: as above; grey: brighter than half is the object

Where all grey masks are of black and white alone, they are one object in either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from edgetam.train.data.decode import Grey
from edgetam.train.data.files import Files
from edgetam.train.data.grey import grey_of
from edgetam.train.data.items import LabelledFrames, left_out, wrong_layout

__all__ = ["LabelledImages", "open_static"]

EXPECTED = "images/NAME.jpg and masks/NAME.png, or NAME.jpg beside NAME.png"
_IMAGES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class LabelledImages:
    """Images with a label map each."""

    name: str
    files: Files
    pairs: tuple[tuple[str, str], ...]
    grey: Grey
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> LabelledFrames:
        pair = self.pairs[index]
        stem = PurePosixPath(pair[0]).stem
        return LabelledFrames(f"{self.name}/{stem}", self.files, (pair,), self.grey)


def open_static(files: Files, name: str, masks: str | None = None) -> LabelledImages:
    """List the pairs of images and masks; what has no counterpart is left out.

    Args:
        files: of the data set.
        name: what to call it.
        masks: what pixels of grey masks hold: "ids", or "binary" (brighter than half is the object), the rule
            side by side. The rule in two folders is what some of them show. Those with a palette hold ids.

    Raises:
        ConfigError: the layout is another, ``masks`` is unknown, or it must be said.
    """
    (pairs, notes), usual = _pairs(files, _in_two_folders, _in_two_folders), None
    if not pairs:
        (pairs, notes), usual = _pairs(files, _beside_image, _beside_mask), Grey.BINARY.value
    if not pairs:
        raise wrong_layout(files, EXPECTED)
    grey = grey_of(files, [mask for _, mask in pairs], masks or usual)
    return LabelledImages(name, files, pairs, grey, notes)


Key = Callable[[PurePosixPath, bool], str | None]


def _pairs(
    files: Files, image_key: Key, mask_key: Key
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Pairs, and notes about images and masks that have none."""
    paths = [PurePosixPath(name) for name in files.names]
    images = [(key, str(path)) for path in paths if (key := image_key(path, False)) is not None]
    masks = {key: str(path) for path in paths if (key := mask_key(path, True)) is not None}
    pairs = {key: (image, masks[key]) for key, image in images if key in masks}
    return tuple(pairs.values()), left_out(
        (len(images) - len(pairs), "images have no mask"),
        (len(masks) - len(pairs), "masks have no image"),
    )


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
