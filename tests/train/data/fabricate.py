"""Tiny data sets on disk: a red square (object 1) and a blue disc (object 2) that move over grey noise."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 72, 104
RED, BLUE = (210, 30, 30), (30, 40, 210)


def scene(t: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The picture ``[H, W, 3]`` and the object numbers ``[H, W]`` of frame ``t``."""
    dice = np.random.default_rng([seed, t])
    image = dice.integers(100, 150, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[10 + 2 * t : 34 + 2 * t, 14:42] = 1
    labels = cv2.circle(labels, (74 - 2 * t, 40), 14, 2, -1)
    image[labels == 1], image[labels == 2] = RED, BLUE
    return image, labels


def jpeg(image: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def palette_png(labels: NDArray[np.uint8]) -> bytes:
    """A palette that reverses the numbers, so that reading colours would be noticed."""
    image = Image.fromarray(labels).convert("P")
    image.putdata(labels.flatten().tolist())
    image.putpalette([255 - i // 3 for i in range(768)])
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def palette_videos(
    root: Path, split: str = "", resolution: str = "", videos: int = 2, frames: int = 6, step: int = 1
) -> Path:
    """DAVIS, MOSE or YouTube-VOS."""
    for seed in range(videos):
        for t in range(frames):
            image, labels = scene(t, seed)
            inside = Path(resolution) / f"video{seed}" / f"{t * step:05d}"
            write(root / split / "JPEGImages" / f"{inside}.jpg", jpeg(image))
            write(root / split / "Annotations" / f"{inside}.png", palette_png(labels))
    return root


def static_images(root: Path, count: int = 4) -> Path:
    """Images and masks in two folders, with a void stripe."""
    for seed in range(count):
        image, labels = scene(seed % 3, seed)
        labels[:, -6:] = 255
        write(root / "images" / f"p{seed}.jpg", jpeg(image))
        write(root / "masks" / f"p{seed}.png", palette_png(labels))
    return root


def packed(root: Path, path: Path) -> Path:
    """The files of a folder as a tar file."""
    with tarfile.open(path, "w") as archive:
        archive.add(root, arcname=".")
    return path
