"""SA-V: videos of 24 frames per second with masks of every fourth frame.

::

    VIDEO.mp4 or VIDEO/FRAME.jpg                    training: frames are numbered as in the video
    VIDEO_manual.json, VIDEO_auto.json              run-length masks, [frame][object]
    JPEGImages_24fps/VIDEO/FRAME.jpg                validation and test
    Annotations_6fps/VIDEO/OBJECT/FRAME.png         one binary mask per object
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from edgetam.errors import ConfigError, MediaError
from edgetam.io.video import VideoFrames
from edgetam.train.data.decode import Picture, decode_image, decode_labels
from edgetam.train.data.files import Files
from edgetam.train.data.items import UNREADABLE, Item, left_out, wrong_layout
from edgetam.train.data.objects import Objects, RleObjects, SeparateMasks

__all__ = ["MASKLETS", "SavVideos", "open_sav"]

EXPECTED = (
    "VIDEO_manual.json or VIDEO_auto.json with VIDEO.mp4 or VIDEO/FRAME.jpg; or "
    "JPEGImages_24fps/VIDEO/FRAME.jpg and Annotations_6fps/VIDEO/OBJECT/FRAME.png"
)
MASKLETS = {"manual": ("manual",), "auto": ("auto",), "both": ("manual", "auto")}
_STEP = 4
"""Frames from one annotated frame to the next."""

_AUTO = 1_000_000
"""Added to the ids of automatic masklets, which are numbered apart."""

Frames = Mapping[int, str]  # number to file


@dataclass(frozen=True)
class _Masklets:
    """A training video."""

    name: str
    files: Files
    notes: Mapping[str, str]  # "manual" and "auto" to JSON files
    video: str | None
    frames: Frames

    @cached_property
    def _found(self) -> tuple[tuple[int, int], list[dict[int, Any]]]:
        """Height and width, and for every annotated frame the masks by id."""
        size: tuple[int, int] = (0, 0)
        rows: list[dict[int, Any]] = []
        for kind, file in self.notes.items():
            size, found = _read_masklets(self.files, file, _AUTO if kind == "auto" else 0)
            rows = rows or [{} for _ in found]
            if len(rows) != len(found):
                raise MediaError(
                    f"'{self.name}' has {len(rows)} frames with manual and {len(found)} with automatic "
                    "masklets, expected as many: use one kind."
                )
            rows = [{**a, **b} for a, b in zip(rows, found, strict=True)]
        return size, rows

    @cached_property
    def _video(self) -> VideoFrames:
        assert self.video is not None
        return VideoFrames(self.files.whole(self.video))

    def __len__(self) -> int:
        return len(self._found[1])

    def picture(self, frame: int, least: int) -> Picture:
        number = frame * _STEP
        if number in self.frames:
            file = self.frames[number]
            return decode_image(self.files.read(file), self.files.label(file), least)
        if self.video is None or number >= len(self._video):
            raise MediaError(f"'{self.name}' has no frame {number}, which is annotated: fetch it again.")
        pixels = self._video[number]
        return Picture(pixels, (pixels.shape[0], pixels.shape[1]))

    def objects(self, frame: int) -> Objects:
        size, rows = self._found
        return RleObjects(rows[frame], size, f"{self.name}, frame {frame * _STEP}")


@dataclass(frozen=True)
class _SeparateVideo:
    """A validation or test video."""

    name: str
    files: Files
    frames: tuple[tuple[str, Mapping[int, str]], ...]  # image, and object to mask

    def __len__(self) -> int:
        return len(self.frames)

    def picture(self, frame: int, least: int) -> Picture:
        file = self.frames[frame][0]
        return decode_image(self.files.read(file), self.files.label(file), least)

    def objects(self, frame: int) -> Objects:
        masks = {
            i: decode_labels(self.files.read(file), self.files.label(file))
            for i, file in self.frames[frame][1].items()
        }
        shapes = {mask.shape for mask in masks.values()}
        if len(shapes) != 1:
            raise MediaError(
                f"frame {frame} of '{self.name}' has masks of the sizes {sorted(shapes)}, expected one size: "
                "fix or remove them."
            )
        height, width = shapes.pop()
        return SeparateMasks(masks, (height, width))


@dataclass(frozen=True)
class SavVideos:
    """The videos of SA-V."""

    name: str
    videos: tuple[Item, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> Item:
        return copy(self.videos[index])  # what a video reads and decodes goes when the clip is made


def open_sav(files: Files, name: str, masklets: str | None = None) -> SavVideos:
    """List the videos.

    Args:
        files: of the data set.
        name: what to call it.
        masklets: of training videos: "manual" (the rule), "auto" or "both".

    Raises:
        ConfigError: the layout is another, or ``masklets`` is unknown.
    """
    wanted = masklets or "manual"
    if wanted not in MASKLETS:
        raise ConfigError(f"masklets is {masklets!r}, expected one of {', '.join(MASKLETS)}: choose one.")
    videos, notes = _separate(files, name)
    if not videos:
        videos, notes = _training(files, name, MASKLETS[wanted])
    if not videos:
        raise wrong_layout(files, EXPECTED)
    return SavVideos(name, videos, notes)


def _training(files: Files, name: str, kinds: tuple[str, ...]) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    notes: dict[str, dict[str, str]] = defaultdict(dict)
    videos: dict[str, str] = {}
    frames: dict[str, dict[int, str]] = defaultdict(dict)
    for file in files.names:
        path = PurePosixPath(file)
        video, _, kind = path.stem.rpartition("_")
        if path.suffix == ".json" and kind in kinds:
            notes[video][kind] = file
        elif path.suffix == ".mp4":
            videos[path.stem] = file
        elif path.suffix == ".jpg" and path.stem.isdecimal():
            frames[path.parent.name][int(path.stem)] = file
    usable = [video for video in notes if video in videos or video in frames]
    bare = len((videos.keys() | frames.keys()) - notes.keys())
    return (
        tuple(
            _Masklets(f"{name}/{v}", files, dict(sorted(notes[v].items())), videos.get(v), frames.get(v, {}))
            for v in usable
        ),
        left_out(
            (len(notes) - len(usable), "annotated videos are missing"),
            (bare, f"videos have no {' or '.join(kinds)} masklets"),
        ),
    )


def _separate(files: Files, name: str) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    masks: dict[str, dict[int, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
    images: dict[str, dict[int, str]] = defaultdict(dict)
    for file in files.names:
        path = PurePosixPath(file)
        if not path.stem.isdecimal():
            continue
        if "Annotations_6fps" in path.parts and path.suffix == ".png" and path.parent.name.isdecimal():
            # Objects are numbered from 0; as ids they start at 1, since 0 is background.
            masks[path.parent.parent.name][int(path.stem)][int(path.parent.name) + 1] = file
        elif "JPEGImages_24fps" in path.parts and path.suffix == ".jpg":
            images[path.parent.name][int(path.stem)] = file
    videos, alone = [], 0
    for video, annotated in masks.items():
        numbers = sorted(annotated.keys() & images[video].keys())
        if numbers:
            alone += len(annotated) - len(numbers)
            frames = tuple((images[video][n], dict(annotated[n])) for n in numbers)
            videos.append(_SeparateVideo(f"{name}/{video}", files, frames))
    return tuple(videos), left_out(
        (len(masks) - len(videos), "annotated videos are missing"),
        (alone, "annotated frames have no picture"),
        (len(images.keys() - masks.keys()), "videos have no annotation"),
    )


def _read_masklets(files: Files, file: str, offset: int) -> tuple[tuple[int, int], list[dict[int, Any]]]:
    label = files.label(file)
    try:
        found = json.loads(files.read(file))
        size = (int(found["video_height"]), int(found["video_width"]))
        count = max((len(row) for row in found["masklet"]), default=0)
        ids = found.get("masklet_id") or range(count)
        rows = [
            {offset + int(i) + 1: mask for i, mask in zip(ids, row, strict=True) if mask}
            for row in found["masklet"]
        ]
    except UNREADABLE as error:
        raise MediaError(
            f"'{label}' cannot be read as masklets of SA-V ({error!r}): replace or remove it."
        ) from error
    return size, rows
