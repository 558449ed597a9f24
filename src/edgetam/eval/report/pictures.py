"""What a prediction got wrong on one frame, as a small picture inside a page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from edgetam.errors import MediaError
from edgetam.eval.metrics import ObjectScores, Scores
from edgetam.eval.metrics.labels import read_labels

__all__ = ["COLOURS", "ErrorPicture", "draw_errors", "find_images", "picture"]

Rgb = npt.NDArray[np.uint8]
"""``[H, W, 3]``."""
Mask = npt.NDArray[np.bool_]
"""``[H, W]``."""

COLOURS = {"both": (0, 158, 115), "missed": (240, 140, 0), "extra": (190, 60, 170)}
"""Right, missed and wrongly added pixels; told apart with every common kind of colour vision."""
_WIDEST = 480
_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG")


@dataclass(frozen=True)
class ErrorPicture:
    """A picture as an address that holds it, and its size."""

    address: str
    width: int
    height: int


def find_images(gt: Path, images: Path | None) -> Path | None:
    """Return the folder that has a folder of images for each sequence.

    What was given or, without it, ``JPEGImages`` in the place of ``Annotations`` on the way to the masks.
    """
    if images is not None:
        inside = [images / "JPEGImages" / "480p", images / "JPEGImages"]
        return next((folder for folder in inside if folder.is_dir()), images)
    parts = gt.absolute().parts
    for i in range(len(parts) - 1, -1, -1):
        if parts[i].startswith("Annotations"):
            beside = Path(*parts[:i], "JPEGImages", *parts[i + 1 :])
            return beside if beside.is_dir() else None
    return None


def picture(scores: Scores, entry: ObjectScores, frame: str, images: Path | None) -> ErrorPicture | None:
    """Draw one object's errors on a frame; None where its masks cannot be read any more."""
    masks = []
    for root, value in ((scores.gt, entry.gt_value), (scores.pred, entry.pred_value)):
        try:
            labels = read_labels(root / entry.folder / f"{frame}.png")
        except MediaError:
            return None
        masks.append(_readable(labels > 0 if value is None else labels == value))
    gt, pred = masks
    background = None if images is None else _image(images / entry.sequence, frame, gt.shape)
    return _address(draw_errors(gt, pred, background), flat=background is None)


def _readable(mask: Mask) -> Mask:
    """Shrink a large mask, and enlarge one so small that its outline would cover it."""
    height, width = mask.shape
    scale = _WIDEST / width if width > _WIDEST else max(1, _WIDEST // (2 * width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0


def _image(folder: Path, frame: str, shape: tuple[int, ...]) -> Rgb | None:
    """Read a frame at the size of its masks; None where there is none."""
    path = next((path for suffix in _SUFFIXES if (path := folder / f"{frame}{suffix}").is_file()), None)
    if path is None:
        return None
    try:
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((shape[1], shape[0]))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return np.asarray(resized)


def draw_errors(gt: Mask, pred: Mask, background: Rgb | None = None) -> Rgb:
    """Colour what is right, missed and added, over an image or over grey, and outline the ground truth."""
    canvas = np.full((*gt.shape, 3), 40, np.uint8) if background is None else background.copy()
    opacity = 1.0 if background is None else 0.55
    for name, area in (("both", gt & pred), ("missed", gt & ~pred), ("extra", pred & ~gt)):
        paint = np.asarray(COLOURS[name], np.float32) * opacity
        canvas[area] = (canvas[area] * (1 - opacity) + paint).astype(np.uint8)
    outlines, _ = cv2.findContours(gt.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, outlines, -1, (255, 255, 255), 1)
    return canvas


def _address(pixels: Rgb, *, flat: bool) -> ErrorPicture:
    """Put a picture into a ``data:`` address; flat colours keep every pixel."""
    height, width = pixels.shape[:2]
    quality = [cv2.IMWRITE_WEBP_QUALITY, 101 if flat else 80]  # above 100 means lossless
    _, data = cv2.imencode(".webp", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)
    address = "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode()
    return ErrorPicture(address, width, height)
