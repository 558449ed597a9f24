"""Reading the pictures that benchmarks keep masks in, and pairing a prediction with its ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from edgetam.errors import MediaError
from edgetam.eval.metrics.problems import Problems, where
from edgetam.io.images import natural_key

__all__ = ["Labels", "Pair", "Reader", "present", "read_labels"]

Labels = npt.NDArray[np.uint8]
"""Object ids ``[H, W]``, 0 where there is none."""
_MODES = {"P", "L", "1", "I", "I;16"}


@dataclass(frozen=True)
class Pair:
    """One frame of a prediction and of the ground truth, of one size."""

    pred: Labels
    gt: Labels


def read_labels(path: Path) -> Labels:
    """Read a palette, grey or black-and-white PNG as pixel values ``[H, W]``.

    Raises:
        MediaError: the file is missing, damaged, or has colours or values beyond 255 instead of ids.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in _MODES:
                raise MediaError(
                    f"'{path}' is a picture of type {image.mode}; expected a palette or grey PNG whose "
                    "pixel values are object ids, so save it that way"
                )
            values = np.asarray(image)
    except FileNotFoundError as error:
        raise MediaError(f"There is no file '{path}'{_others(path)}") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"'{path}' cannot be read: it is empty, damaged or not an image") from error
    if values.dtype.itemsize > 1 and (values.min() < 0 or values.max() > 255):
        raise MediaError(f"'{path}' has pixel values beyond 255; expected object ids from 0 to 255")
    return values.astype(np.uint8, copy=False)


def _others(path: Path) -> str:
    """What the folder has instead, for names that are only written differently."""
    if not path.parent.is_dir():
        return f" because there is no folder '{path.parent}'"
    others = (other.name for other in path.parent.iterdir() if not other.name.startswith("."))
    names = sorted(others, key=natural_key)
    if not names:
        return "; its folder is empty"
    return f"; its folder has {len(names)} files, from '{names[0]}' to '{names[-1]}'"


def present(labels: Labels) -> list[int]:
    """Return the ids that occur, without 0."""
    counts = cv2.calcHist([np.ascontiguousarray(labels)], [0], None, [256], [0, 256])  # [256, 1]
    return [int(value) for value in np.flatnonzero(counts) if value]


@dataclass(frozen=True)
class Reader:
    """Reads the frames of a prediction beside those of the ground truth."""

    gt: Path
    pred: Path
    problems: Problems

    def pair(self, sequence: str, folder: str, frame: str, item: str | None = None) -> Pair | None:
        """Read a frame; None where it cannot be scored and that is allowed.

        Raises:
            InputError: a file is missing or unusable, or the sizes differ, and that is not allowed.
        """
        found = []
        for root, what in ((self.gt, "ground truth"), (self.pred, "prediction")):
            try:
                found.append(read_labels(root / folder / f"{frame}.png"))
            except MediaError as error:
                self.problems.report(f"{where(sequence, frame, item)}: no {what}: {error}.")
                return None
        gt, pred = found
        if gt.shape != pred.shape:
            self.problems.report(
                f"{where(sequence, frame, item)}: the prediction is {pred.shape[1]}x{pred.shape[0]} "
                f"pixels, the ground truth {gt.shape[1]}x{gt.shape[0]}; save predictions at the size of "
                "the annotations."
            )
            return None
        return Pair(pred, gt)
