"""Small folders of masks, perfect until they are spoilt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Labels = npt.NDArray[np.uint8]
"""``[H, W]``."""

HEIGHT, WIDTH = 20, 30


def labels(*ids: int, shift: int = 0) -> Labels:
    """Squares of four pixels a side, one for each id, from left to right."""
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    for place, value in enumerate(ids):
        left = 1 + 6 * place + shift
        picture[4:8, left : left + 4] = value
    return picture


def save(path: Path, picture: Labels) -> None:
    """Write a grey PNG of ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def video(folder: Path, frames: int = 5, *ids: int, shift: int = 0) -> None:
    """Write a sequence in which all objects stand still; ids 1 and 2 when not told."""
    for t in range(frames):
        save(folder / f"{t:05d}.png", labels(*(ids or (1, 2)), shift=shift))


def pair(root: Path, names: tuple[str, ...] = ("cat", "dog"), frames: int = 5) -> tuple[Path, Path]:
    """Write ground truth and a prediction that equals it."""
    for side in ("gt", "pred"):
        for name in names:
            video(root / side / name, frames)
    return root / "gt", root / "pred"


def write_json(path: Path, content: Mapping[str, object]) -> Path:
    """Write a file of JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
