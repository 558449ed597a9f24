"""Real images with masks, read from folders or tar files.

Both hold ``images/<name>.jpg`` and ``masks/<name>.png``; in a mask, 0 is background, 255 is to be
ignored, and every other value is an object. Images without a mask are skipped.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from edgetam.errors import MediaError
from edgetam.train.synthetic.dice import Dice

__all__ = ["ImageBank", "Picture", "open_bank"]

IGNORE = 255
_WHAT = {"images": (".jpg", ".jpeg", ".png"), "masks": (".png",)}


@dataclass(frozen=True)
class _Place:
    """Where the bytes of a file are: a whole file, or a part of a tar file."""

    path: Path
    start: int = 0
    size: int = -1

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)


@dataclass(frozen=True)
class Picture:
    """A square piece of a real image, with the objects on it."""

    colour: Tensor  # [3, R, R] in 0..1
    labels: Tensor  # [R, R] uint8, 0 background, 255 ignore


def _in_folder(root: Path) -> Iterator[tuple[str, _Place]]:
    for part in _WHAT:
        for path in sorted((root / part).glob("*")):
            yield f"{part}/{path.name}", _Place(path)


def _in_tar(path: Path) -> Iterator[tuple[str, _Place]]:
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.isfile():
                    name = "/".join(member.name.split("/")[-2:])
                    yield name, _Place(path, member.offset_data, member.size)
    except tarfile.TarError as error:
        raise MediaError(f"{path} cannot be read ({error}), expected a plain tar: repack it.") from error


def _pairs(source: Path) -> list[tuple[_Place, _Place]]:
    found: dict[str, dict[str, _Place]] = {part: {} for part in _WHAT}
    for name, place in _in_folder(source) if source.is_dir() else _in_tar(source):
        part, _, file = name.rpartition("/")
        stem, dot, ending = file.rpartition(".")
        if part in _WHAT and dot + ending.lower() in _WHAT[part]:
            found[part][stem] = place
    both = sorted(found["images"].keys() & found["masks"].keys())
    return [(found["images"][stem], found["masks"][stem]) for stem in both]


@dataclass(frozen=True)
class ImageBank:
    """Pairs of images and masks, decoded when they are asked for."""

    pairs: tuple[tuple[_Place, _Place], ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def load(self, index: int) -> tuple[Image.Image, Image.Image]:
        """The image in RGB and its mask of object numbers.

        Raises:
            MediaError: a file cannot be decoded, or the two differ in size.
        """
        places = self.pairs[index]
        try:
            image = Image.open(io.BytesIO(places[0].read())).convert("RGB")
            mask: Image.Image = Image.open(io.BytesIO(places[1].read()))
            mask = mask.copy() if mask.mode == "P" else mask.convert("L")  # palette entries are the numbers
        except (OSError, SyntaxError) as error:
            raise MediaError(
                f"pair {index} of {places[0].path} cannot be decoded ({error}): remove it."
            ) from error
        if image.size != mask.size:
            raise MediaError(
                f"pair {index} of {places[0].path} has an image of {image.size} and a mask of {mask.size}, "
                "expected one size: remove it."
            )
        return image, mask

    def picture(self, dice: Dice, side: int) -> Picture:
        """A random piece of a random image, squeezed into ``side x side`` pixels, sometimes mirrored."""
        image, mask = self.load(dice.integer(0, len(self.pairs) - 1))
        wide, high = image.size
        part = dice.uniform(0.65, 1.0)
        # Wide and high pieces alike become squares: so do the frames that models are fed with.
        width, height = part * wide, min(high, part * high * dice.uniform(0.8, 1.25))
        x, y = dice.uniform(0, wide - width), dice.uniform(0, high - height)
        box = (x, y, x + width, y + height)
        colour = torch.from_numpy(np.array(image.resize((side, side), Image.Resampling.BILINEAR, box)))
        labels = torch.from_numpy(np.array(mask.resize((side, side), Image.Resampling.NEAREST, box)))
        if dice.chance(0.5):
            colour, labels = colour.flip(1), labels.flip(1)
        return Picture(colour.to(dice.device).permute(2, 0, 1).float() / 255, labels.to(dice.device))


def open_bank(sources: Iterable[Path | str]) -> ImageBank:
    """List the pairs of some folders and tar files.

    Raises:
        MediaError: a source is missing, damaged, or holds no pairs.
    """
    pairs: list[tuple[_Place, _Place]] = []
    for source in map(Path, sources):
        if not source.exists():
            raise MediaError(f"{source} does not exist, expected a folder or a tar file: check the path.")
        here = _pairs(source)
        if not here:
            raise MediaError(
                f"{source} holds no pairs, expected images/NAME.jpg and masks/NAME.png: check it."
            )
        pairs += here
    if not pairs:
        raise MediaError("no sources were given, expected at least one folder or tar file: pass one.")
    return ImageBank(tuple(pairs))
