"""Tiny data sets on disk: a red square (object 1) and a blue disc (object 2) that move over grey noise."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from edgetam.io.overlay_video import encode_video

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
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as archive:
        archive.add(root, arcname=".")
    return path


def rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask as COCO's tools compress it."""
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(side) for side in packed["size"]], "counts": packed["counts"].decode()}


def sa1b(root: Path, count: int = 3) -> Path:
    """An image and a JSON file each, with a mask that overlaps another and one that fills the image."""
    for seed in range(count):
        image, labels = scene(0, seed)
        masks = [labels == 1, labels == 2, labels > 0, np.ones_like(labels, bool)]
        found = [{"id": 7 * i, "area": int(m.sum()), "segmentation": rle(m)} for i, m in enumerate(masks)]
        size = {"image_id": seed, "height": HEIGHT, "width": WIDTH, "file_name": f"sa_{seed}.jpg"}
        write(root / f"sa_{seed}.jpg", jpeg(image))
        write(root / f"sa_{seed}.json", json.dumps({"image": size, "annotations": found}))
    return root


def coco_images(root: Path, count: int = 3) -> Path:
    """Polygons, plain and compressed run lengths, a crowd, a speck, and an image without annotations."""
    images, found = [], []
    for seed in range(count):
        image, labels = scene(0, seed)
        images.append({"id": seed, "file_name": f"{seed:012d}.jpg", "height": HEIGHT, "width": WIDTH})
        write(root / "train" / f"{seed:012d}.jpg", jpeg(image))
        square = [[14, 10, 42, 10, 42, 34, 14, 34]]
        runs = np.diff(np.flatnonzero(np.diff((labels == 2).flatten("F"), prepend=0, append=0))).tolist()
        lead = int(np.flatnonzero((labels == 2).flatten("F"))[0])
        plain = [lead, *runs]
        plain.append(HEIGHT * WIDTH - sum(plain))
        for area, segmentation, crowd in (
            (672, square, 0),
            (int((labels == 2).sum()), {"size": [HEIGHT, WIDTH], "counts": plain}, 0),
            (5000, rle(np.ones_like(labels)), 1),
            (9, [[1, 1, 4, 1, 4, 4, 1, 4]], 0),
        ):
            found.append(
                {
                    "image_id": seed,
                    "area": area,
                    "segmentation": segmentation,
                    "iscrowd": crowd,
                    "id": len(found),
                }
            )
    images.append({"id": 99, "file_name": "bare.jpg", "height": HEIGHT, "width": WIDTH})
    write(root / "annotations" / "instances_train.json", json.dumps({"images": images, "annotations": found}))
    return root


def sav_training(root: Path, videos: int = 2, frames: int = 21, as_video: bool = True) -> Path:
    """Videos or folders of every fourth frame, with manual masklets; object 2 is hidden on the last frame."""
    for seed in range(videos):
        name = f"sav_{seed:06d}"
        numbers = range(0, frames, 4)
        rows = []
        for t in numbers:
            labels = scene(t // 4, seed)[1]
            second = (labels == 2) & (t != numbers[-1])
            rows.append([rle(labels == 1), rle(second)])
            if not as_video:
                write(root / name / f"{t:05d}.jpg", jpeg(scene(t // 4, seed)[0]))
        if as_video:
            root.mkdir(parents=True, exist_ok=True)
            shown = ((t / 24, scene(t // 4, seed)[0]) for t in range(frames))
            encode_video(root / f"{name}.mp4", shown, fps=24.0)
        about = {"video_height": float(HEIGHT), "video_width": float(WIDTH), "masklet_id": [0, 1]}
        write(root / f"{name}_manual.json", json.dumps({**about, "masklet": rows}))
    return root


def sav_validation(root: Path, frames: int = 21) -> Path:
    """One folder of binary masks per object, every fourth frame."""
    for t in range(frames):
        image, labels = scene(t // 4)
        write(root / "JPEGImages_24fps" / "sav_000001" / f"{t:05d}.jpg", jpeg(image))
        for i in (1, 2):
            if t % 4 == 0:
                path = root / "Annotations_6fps" / "sav_000001" / f"{i - 1:03d}" / f"{t:05d}.png"
                write(path, palette_png((labels == i).astype(np.uint8)))
    return root


def side_by_side(root: Path, count: int = 3) -> Path:
    """Grey masks, brighter than half where the object is, beside the images."""
    for seed in range(count):
        image, labels = scene(0, seed)
        grey = cv2.GaussianBlur(np.where(labels == 1, 255, 0).astype(np.uint8), (5, 5), 0)
        write(root / f"p{seed}.jpg", jpeg(image))
        write(root / f"p{seed}.png", cv2.imencode(".png", grey)[1].tobytes())
    return root
