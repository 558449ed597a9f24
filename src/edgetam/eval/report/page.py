"""One page that holds everything: numbers, curves and pictures, and needs nothing from the network."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from edgetam.atomic import atomic_write
from edgetam.eval.metrics import ObjectScores, Scores
from edgetam.eval.metrics.scores import Curve
from edgetam.eval.report.compare import Comparison, Row
from edgetam.eval.report.pictures import COLOURS, find_images, picture
from edgetam.io.images import natural_key

__all__ = ["Illustrations", "write_report"]

_DIGITS = 4
"""Of curves, which are many."""


@dataclass(frozen=True)
class Illustrations:
    """Which pictures a page gets."""

    images: Path | None = None
    """Folder with a folder of frames for each sequence; without it masks alone are drawn."""
    sequences: int = 12
    """Only for that many sequences, from the worst on."""
    frames: int = 3
    """Of each, so many frames."""


def write_report(comparison: Comparison, path: Path, illustrations: Illustrations | None = None) -> None:
    """Write the page.

    Raises:
        OutputError: the file cannot be written.
    """
    content = _content(comparison, illustrations or Illustrations())
    # "</script>" in a name must not end the script that holds the data.
    data = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    parts = {
        "title": html.escape(content["title"]),
        "style": _part("page.css"),
        "script": _part("page.js"),
        "data": data,
    }
    # all at once, since a title may hold the name of a place
    page = re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _part("page.html"))
    atomic_write(path, page.encode())


def _part(name: str) -> str:
    return (files("edgetam.eval.report") / name).read_text("utf-8")


def _content(comparison: Comparison, illustrations: Illustrations) -> dict[str, Any]:
    """Everything the page shows."""
    rows = comparison.sequences()
    objects = sum(len(comparison.objects(row.sequence)) for row in rows)
    summary = comparison.summary()
    measures = list(dict.fromkeys(name for table in summary.scores for name in table or ()))
    return {
        "title": f"{', '.join(comparison.names)} on {comparison.protocol}",
        "about": f"{objects} objects in {len(rows)} sequences, scored by the rules of {comparison.protocol}.",
        "names": comparison.names,
        "colours": {name: f"rgb{colour}" for name, colour in COLOURS.items()},
        "summary": [
            {"name": name, "values": [_number(value) for value in summary.values(name)]} for name in measures
        ],
        "sequences": [
            _sequence(comparison, row, illustrations if place < illustrations.sequences else None)
            for place, row in enumerate(rows)
        ],
        "missing": _lines(comparison, [each.missing for each in comparison.scores.values()]),
        "notes": _lines(comparison, [each.notes for each in comparison.scores.values()]),
    }


def _lines(comparison: Comparison, lists: Sequence[Sequence[str]]) -> list[str]:
    """Sentences of all predictions, with the name in front where there are several."""
    if len(lists) == 1:
        return list(lists[0])
    return [f"{name}: {line}" for name, lines in zip(comparison.names, lists, strict=True) for line in lines]


def _sequence(comparison: Comparison, row: Row, illustrations: Illustrations | None) -> dict[str, Any]:
    objects = comparison.objects(row.sequence)
    return {
        "name": row.sequence,
        "scores": [_numbers(table) for table in row.scores],
        "items": [_item(item, entries) for item, entries in objects.items()],
        "pictures": _pictures(comparison, objects, illustrations) if illustrations else [],
    }


def _item(name: str, entries: Sequence[ObjectScores | None]) -> dict[str, Any]:
    """One object with its curves on the frames that any prediction was scored on."""
    given = [entry for entry in entries if entry is not None]
    frames = sorted({frame for entry in given for frame in entry.frames}, key=natural_key)
    return {
        "object": name,
        "group": given[0].group,
        "scores": [None if entry is None else _numbers(entry.scores) for entry in entries],
        "frames": frames,
        "curves": [
            None if entry is None else {key: _spread(entry, entry.curves[key], frames) for key in ("J", "F")}
            for entry in entries
        ],
    }


def _spread(entry: ObjectScores, curve: Curve, frames: Sequence[str]) -> list[float | None]:
    """The values on all frames; null where there is none."""
    known = dict(zip(entry.frames, curve.tolist(), strict=True))
    values = [_number(known.get(frame, math.nan)) for frame in frames]
    return [None if value is None else round(value, _DIGITS) for value in values]


def _pictures(
    comparison: Comparison, objects: Mapping[str, Sequence[ObjectScores | None]], illustrations: Illustrations
) -> list[dict[str, Any]]:
    """The worst frames of a sequence, each as every prediction has it."""
    moments = []
    for name, frame in worst_frames(objects, illustrations.frames):
        shots = [
            None if entry is None else _shot(scores, entry, frame, illustrations.images)
            for scores, entry in zip(comparison.scores.values(), objects[name], strict=True)
        ]
        moments.append({"shots": shots})
    return moments


def _shot(scores: Scores, entry: ObjectScores, frame: str, images: Path | None) -> dict[str, Any] | None:
    if frame not in entry.frames:
        return None
    place = entry.frames.index(frame)
    drawn = picture(scores, entry, frame, find_images(scores.gt, images))
    return {
        "caption": f"object {entry.object}, frame {frame}",
        "J": _number(float(entry.curves["J"][place])),
        "F": _number(float(entry.curves["F"][place])),
        "src": drawn.address if drawn else None,
        "width": drawn.width if drawn else None,
        "height": drawn.height if drawn else None,
    }


def worst_frames(objects: Mapping[str, Sequence[ObjectScores | None]], count: int) -> list[tuple[str, str]]:
    """Return objects and frames with the lowest J&F of any prediction, spread over each object's time."""
    found = sorted(
        (float(value), name, place, frame)
        for name, entries in objects.items()
        for entry in entries
        if entry is not None
        for place, (frame, value) in enumerate(
            zip(entry.frames, (entry.curves["J"] + entry.curves["F"]) / 2, strict=True)
        )
    )
    chosen: list[tuple[str, int, str]] = []
    for _, name, place, frame in found:
        length = max(len(entry.frames) for entry in objects[name] if entry is not None)
        apart = max(1, length // (2 * count))  # neighbours fail alike: one of them is enough
        if all(name != other or abs(place - there) >= apart for other, there, _ in chosen):
            chosen.append((name, place, frame))
        if len(chosen) == count:
            break
    return [(name, frame) for name, _, frame in chosen]


def _numbers(table: Mapping[str, float] | None) -> dict[str, float | None] | None:
    return None if table is None else {name: _number(value) for name, value in table.items()}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
