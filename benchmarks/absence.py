"""What a tracker does while its object is gone and something else stands out.

    python -m benchmarks.absence --root DAVIS_LIKE_FOLDER [--weights FILE ...]

cuts from each sequence of ``JPEGImages/SEQUENCE`` and ``Annotations/SEQUENCE`` to two others and back,
follows the object from its mask, and prints one JSON record: in percent, the frames of the other
sequence on which something is taken up (more than 50 pixels of 854 x 480), the presence it says there, and
the overlap with the true mask before and after.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common import machine
from edgetam import Prompt, VideoTracker, load_model

SIZE = (854, 480)
BEFORE, AWAY, AFTER = 8, 8, 4
"""Frames."""
FEW = 50
"""Pixels that count as nothing."""


class Footage(NamedTuple):
    """Files of a sequence."""

    name: str
    pictures: list[Path]
    masks: list[Path]


def sequences(root: Path) -> list[Footage]:
    """All that are long enough, by name."""
    found = []
    for folder in sorted((root / "JPEGImages").iterdir()):
        masks = sorted((root / "Annotations" / folder.name).iterdir())
        if len(masks) >= BEFORE + AFTER:
            found.append(Footage(folder.name, sorted(folder.iterdir()), masks))
    return found


def follow(tracker: VideoTracker, own: Footage, other: Footage) -> dict[str, float]:
    """Cut from one sequence to another and back."""
    stream = tracker.stream()
    stream.step(_picture(own.pictures[0]), {1: Prompt(mask=_mask(own.masks[0]))})
    before = [
        _overlap(stream.step(_picture(own.pictures[t])).objects[1].mask, own.masks[t])
        for t in range(1, BEFORE)
    ]
    away = [stream.step(_picture(path)).objects[1] for path in other.pictures[:AWAY]]
    back = range(BEFORE, BEFORE + AFTER)
    after = [_overlap(stream.step(_picture(own.pictures[t])).objects[1].mask, own.masks[t]) for t in back]
    return {
        "taken_up": float(np.mean([found.mask.sum() > FEW for found in away])),
        "presence": float(np.mean([found.presence for found in away])),
        "before": float(np.mean(before)),
        "after": float(np.mean(after)),
    }


def pairs(found: Sequence[Footage]) -> Iterator[tuple[Footage, Footage]]:
    """Each sequence with the next one and the one half-way round.

    Raises:
        SystemExit: there are not two.
    """
    if len(found) < 2:
        raise SystemExit(f"{len(found)} sequences are long enough, expected two or more.")
    for i, own in enumerate(found):
        for step in sorted({1, len(found) // 2}):
            yield own, found[(i + step) % len(found)]


def _picture(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB").resize(SIZE))


def _mask(path: Path) -> NDArray[np.bool_]:
    return np.asarray(Image.open(path).convert("L").resize(SIZE, Image.Resampling.NEAREST)) > 0


def _overlap(mask: NDArray[np.bool_], truth: Path) -> float:
    other = _mask(truth)
    return float((mask & other).sum() / max(1, (mask | other).sum()))


def measured(root: Path, weights: Path | None, size: int | None, threads: int | None) -> dict[str, Any]:
    """Means over all pairs, and each of them."""
    model = load_model(weights=weights, image_size=size, threads=threads, precision="bf16")
    tracker = VideoTracker(model)
    rows = {
        f"{own.name} > {other.name}": follow(tracker, own, other) for own, other in pairs(sequences(root))
    }
    means = {key: float(np.mean([row[key] for row in rows.values()])) for key in next(iter(rows.values()))}
    return {"mean": _percent(means), "pairs": {name: _percent(row) for name, row in rows.items()}}


def _percent(row: dict[str, float]) -> dict[str, float]:
    return {name: round(100 * value, 1) for name, value in row.items()}


def main() -> None:
    """Print one record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="beside the bundled ones")
    parser.add_argument("--imgsz", type=int)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    rows = {
        "bundled weights" if path is None else str(path): measured(
            given.root, path, given.imgsz, given.threads
        )
        for path in (None, *given.weights)
    }
    print(json.dumps({"benchmark": "absence", "machine": machine(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
