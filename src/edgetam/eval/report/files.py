"""Scores as JSON with every digit, and as CSV tables for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgetam.atomic import atomic_write, make_folder
from edgetam.eval.metrics import ObjectScores, Scores

__all__ = ["FILES", "as_json", "write_scores"]

FILES = ("scores.json", "objects.csv", "sequences.csv")
"""What `write_scores` writes."""


def as_json(scores: Scores) -> dict[str, Any]:
    """Return everything as JSON can hold it: shares of 1 at full precision, null where there is no number."""
    return {
        "protocol": scores.protocol,
        "gt": str(scores.gt),
        "pred": str(scores.pred),
        "summary": _numbers(scores.summary),
        "sequences": {part.sequence: _numbers(part.scores) for part in scores.sequences},
        "objects": [_object(entry) for entry in scores.objects],
        "missing": list(scores.missing),
        "notes": list(scores.notes),
    }


def _object(entry: ObjectScores) -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "object": entry.object,
        "group": entry.group or None,
        "scores": _numbers(entry.scores),
        "frames": list(entry.frames),
        "curves": {
            name: [_number(value) for value in curve.tolist()] for name, curve in entry.curves.items()
        },
    }


def _numbers(table: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in table.items()}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def write_scores(scores: Scores, folder: Path) -> None:
    """Write ``scores.json``, ``objects.csv`` and ``sequences.csv``.

    Raises:
        OutputError: the folder cannot be written.
    """
    make_folder(folder)
    atomic_write(folder / "scores.json", json.dumps(as_json(scores), indent=1).encode())
    measures = list(dict.fromkeys(name for entry in scores.objects for name in entry.scores))
    atomic_write(folder / "objects.csv", _objects(scores, measures))
    atomic_write(folder / "sequences.csv", _sequences(scores))


def _objects(scores: Scores, measures: Sequence[str]) -> bytes:
    head = ["sequence", "object", "group", "frames", *measures]
    rows = (
        [entry.sequence, entry.object, entry.group, len(entry.frames)]
        + [_cell(entry.scores.get(name, math.nan)) for name in measures]
        for entry in scores.objects
    )
    return _csv(head, rows)


def _sequences(scores: Scores) -> bytes:
    parts = scores.sequences
    measures = list(parts[0].scores) if parts else []
    rows = (
        [part.sequence, len(part.objects)] + [_cell(part.scores[name]) for name in measures] for part in parts
    )
    return _csv(["sequence", "objects", *measures], rows)


def _cell(value: float) -> str:
    """Every digit, or nothing."""
    return repr(value) if math.isfinite(value) else ""


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return buffer.getvalue().encode()
