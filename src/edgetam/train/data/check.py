"""A walk through data sets before training: what is there, and what cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from edgetam.atomic import atomic_write
from edgetam.errors import InputError
from edgetam.train.data.clip import Ask, ClipSource
from edgetam.train.data.items import Collection, Item, check_size
from edgetam.train.data.real import RealClips
from edgetam.train.data.sheet import contact_sheet

__all__ = ["MOST", "Audit", "check_data"]

MOST = 2000
"""Videos and images of a source that are looked at, unless told."""

_SHOWN = 10
_DECODED = 64
"""Pixels that are enough to see whether a picture can be decoded."""


@dataclass
class Audit:
    """What a source would be trained on.

    Attributes:
        name: of the source, and of its part.
        items: videos and images it has.
        seen: of these, how many were looked at; evenly spread, when there are too many.
        frames: annotated frames.
        empty: frames on which no object is visible.
        objects: different objects, over all videos and images.
        areas: for every object and frame, the share of the frame it covers.
        sizes: width and height to how many videos and images have it.
        least: annotated frames of the longest clips.
        short: videos and images with fewer.
        broken: name of a video or image to what is wrong with it.
        notes: what was left out when files were listed.
    """

    name: str
    items: int
    seen: int = 0
    frames: int = 0
    empty: int = 0
    objects: int = 0
    areas: list[float] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    least: int = 1
    short: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report, for people."""
        if not self.seen:
            return [f"{self.name}: drawn from nothing, there are no files to check"]
        part = "" if self.seen == self.items else f", {self.seen} of them looked at"
        out = [
            f"{self.name}: {self.items} videos or images{part}",
            f"  {self.frames} annotated frames, {self.empty} without an object; {self.objects} objects",
            *([f"  {self._areas()}"] if self.areas else ["  no object at all: nothing to train on"]),
            f"  {self._sizes()}",
            *(f"  left out: {note}" for note in self.notes),
            *([self._short()] if self.short else []),
            f"  {len(self.broken)} broken" + (":" if self.broken else ""),
            *(f"    {reason}" for reason in list(self.broken.values())[:_SHOWN]),
        ]
        more = len(self.broken) - _SHOWN
        return [*out, f"    and {more} more"] if more > 0 else out

    def _short(self) -> str:
        which = "all have" if self.short == self.seen - len(self.broken) else f"{self.short} have"
        return f"  {which} fewer than {self.least} annotated frames, too few for the longest clips"

    def _areas(self) -> str:
        low, middle, high = np.percentile(self.areas, (5, 50, 95)) * 100
        return f"areas: median {middle:.2g} % of the frame, nine in ten from {low:.2g} % to {high:.2g} %"

    def _sizes(self) -> str:
        common = ", ".join(f"{w}x{h} ({count})" for (w, h), count in self.sizes.most_common(3))
        more = len(self.sizes) - 3
        return f"sizes: {common or 'none'}" + (f" and {more} others" if more > 0 else "")


def check_data(
    sources: Mapping[str, ClipSource],
    asks: Mapping[str, Ask],
    *,
    most: int = MOST,
    sheet: Path | None = None,
    tell: Callable[[], None] = lambda: None,
) -> Iterator[Audit]:
    """Look at what sources would be trained on: every annotated frame of every video and image.

    Args:
        sources: by name.
        asks: the longest clips that are drawn from each.
        most: videos and images of a source to look at; with more of them, they are spread evenly.
        sheet: where to write a picture with clips of every source, as PNG.
        tell: called after each video or image, for a progress bar.

    Yields:
        One audit per source, and one for each collection of other images it takes things from.

    Raises:
        OutputError: the picture cannot be written.
    """
    for name, source in sources.items():
        if not source.collections:
            yield Audit(name, 0)
        for part, collection in source.collections.items():
            audit = Audit(f"{name}, {part}" if part else name, len(collection), notes=collection.notes)
            if isinstance(source, RealClips) and not part:  # others make clips of single frames
                audit.least = asks[name].frames
            _walk(audit, collection, most, tell)
            yield audit
    if sheet is not None:
        _, data = cv2.imencode(".png", contact_sheet(sources, asks)[..., ::-1])
        atomic_write(sheet, data.tobytes())


def _walk(audit: Audit, collection: Collection, most: int, tell: Callable[[], None]) -> None:
    count = min(most, len(collection))
    for number in range(count):
        item = collection[number * len(collection) // count]
        audit.seen += 1
        try:
            _look(audit, item)
        except InputError as error:
            audit.broken[item.name] = str(error)
        else:
            audit.short += len(item) < audit.least
        tell()


def _look(audit: Audit, item: Item) -> None:
    ids: set[int] = set()
    for frame in range(len(item)):
        objects = item.objects(frame)
        check_size(item, frame, picture := item.picture(frame, _DECODED), objects)
        areas = objects.areas()
        ids |= areas.keys()
        audit.frames += 1
        audit.empty += not areas
        pixels = picture.size[0] * picture.size[1]
        audit.areas += [area / pixels for area in areas.values()]
        if frame == 0:
            audit.sizes[picture.size[::-1]] += 1
    audit.objects += len(ids)
