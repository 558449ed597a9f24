"""DAVIS, MOSE and YouTube-VOS: a folder of JPEGs and one of palette PNGs for every video.

::

    [SPLIT/]JPEGImages/[RESOLUTION/]VIDEO/FRAME.jpg
    [SPLIT/]Annotations/[RESOLUTION/]VIDEO/FRAME.png     pixel values are object ids
    ImageSets/YEAR/SPLIT.txt                             (DAVIS) the videos of a split
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from edgetam.errors import ConfigError
from edgetam.io.images import natural_key
from edgetam.io.lists import listed_videos
from edgetam.train.data.decode import Grey
from edgetam.train.data.files import Files
from edgetam.train.data.grey import grey_of
from edgetam.train.data.items import LabelledFrames, left_out, wrong_layout

__all__ = ["LabelledVideos", "open_palette"]

EXPECTED = (
    "[SPLIT/]JPEGImages/[RESOLUTION/]VIDEO/FRAME.jpg and [SPLIT/]Annotations/[RESOLUTION/]VIDEO/FRAME.png"
)
_TREES = {"JPEGImages": {".jpg", ".jpeg", ".png"}, "Annotations": {".png"}}


class _Branch(NamedTuple):
    """Where videos of one kind are: what stands before and after ``JPEGImages``."""

    split: str
    resolution: str


_Frames = dict[str, dict[str | int, str]]  # video to frame to file name


@dataclass(frozen=True)
class LabelledVideos:
    """Videos with a label map for some or all frames."""

    name: str
    files: Files
    videos: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    grey: Grey
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> LabelledFrames:
        name, pairs = self.videos[index]
        return LabelledFrames(f"{self.name}/{name}", self.files, pairs, self.grey)


def open_palette(
    files: Files,
    name: str,
    split: str | None = None,
    resolution: str | None = None,
    masks: str | None = None,
) -> LabelledVideos:
    """List the videos of a split. Frames without an annotation are left out, and so are masks without one.

    Args:
        files: of the data set.
        name: what to call it.
        split: "train" when left out and there are several; a folder, or a list in ``ImageSets``.
        resolution: "480p" when left out and there are several.
        masks: what pixels of grey masks hold: "ids", or "binary" (brighter than half is the object). The rule
            is what some of them show.

    Raises:
        ConfigError: the layout is another, there is no such split or resolution, ``masks`` is unknown, or it
            must be said.
    """
    images, labels = (_tree(files, tree) for tree in _TREES)
    both = [branch for branch in images if branch in labels]
    if not both:
        raise wrong_layout(files, EXPECTED)
    lists = _lists(files)
    listed = None
    if lists and len({branch.split for branch in both}) == 1:
        listed = set(_read_list(files, _choose("split", split, lists, "train", files)))
        split = None
    where = _choose("split", split, [b.split for b in both], "train", files)
    sizes = [branch.resolution for branch in both if branch.split == where]
    branch = _Branch(where, _choose("resolution", resolution, sizes, "480p", files))
    videos = _paired(images[branch], labels[branch], listed)
    if not videos:
        raise wrong_layout(files, EXPECTED)
    grey = grey_of(files, [mask for _, pairs in videos for _, mask in pairs], masks)
    return LabelledVideos(name, files, videos, grey, _notes(images[branch], labels[branch], listed))


def _tree(files: Files, tree: str) -> dict[_Branch, _Frames]:
    found: dict[_Branch, _Frames] = defaultdict(lambda: defaultdict(dict))
    for name in files.names:
        parts = PurePosixPath(name).parts
        if tree not in parts[:-1] or PurePosixPath(name).suffix.lower() not in _TREES[tree]:
            continue
        at = parts.index(tree)
        inside = parts[at + 1 : -1]
        if len(inside) in (1, 2):
            branch = _Branch("/".join(parts[:at]), inside[0] if len(inside) == 2 else "")
            found[branch][inside[-1]][_number(parts[-1])] = name
    return found


def _number(file: str) -> str | int:
    """Frames pair up by number: one tree may write more digits than the other."""
    stem = PurePosixPath(file).stem
    return int(stem) if stem.isdecimal() else stem


def _paired(
    images: _Frames, masks: _Frames, listed: set[str] | None
) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    videos = []
    for video in sorted(images.keys() & masks.keys(), key=natural_key):
        frames = sorted(images[video].keys() & masks[video].keys(), key=lambda key: natural_key(str(key)))
        if frames and (listed is None or video in listed):
            videos.append((video, tuple((images[video][f], masks[video][f]) for f in frames)))
    return tuple(videos)


def _notes(images: _Frames, masks: _Frames, listed: set[str] | None) -> tuple[str, ...]:
    """What of the listed videos, or of all, has no counterpart."""
    here, there = (
        {video: frames.keys() for video, frames in tree.items() if listed is None or video in listed}
        for tree in (images, masks)
    )
    return left_out(
        (sum(len(here[v]) for v in here.keys() - there), "frames are of videos without annotations"),
        (sum(len(here[v] - there[v]) for v in here.keys() & there), "frames have no annotation"),
        (sum(len(there[v] - here.get(v, set())) for v in there), "masks have no picture"),
        (len((listed or set()) - here.keys()), "listed videos are missing"),
    )


def _lists(files: Files) -> list[str]:
    """The lists of a data set: ``2017/train`` for ``ImageSets/2017/train.txt``."""
    return [
        name.partition("ImageSets/")[2].removesuffix(".txt")
        for name in files.names
        if "ImageSets/" in name and name.endswith(".txt")
    ]


def _read_list(files: Files, which: str) -> list[str]:
    name = next(n for n in files.names if n.endswith(f"ImageSets/{which}.txt"))
    return listed_videos(files.read(name).decode())


def _choose(what: str, wish: str | None, there: list[str], usual: str, files: Files) -> str:
    """One of what is there: the wish, the only one, or the usual one."""
    options = sorted(set(there))
    if wish is None and len(options) == 1:
        return options[0]
    wanted = wish or usual
    # "2017/train" may be asked for as "train", the latest year being meant.
    fitting = [option for option in options if option == wanted or option.endswith("/" + wanted)]
    if not fitting:
        shown = ", ".join(repr(option) for option in options)
        raise ConfigError(
            f"'{files.path}' has no {what} {wanted!r}, expected one of {shown}: set '{what}' to one of them."
        )
    return fitting[-1]
