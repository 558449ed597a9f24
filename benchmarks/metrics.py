"""How fast masks are scored: per CPU second beside the plain algorithm, reading apart, and over two
processes.

A drawn set of 854x480 is scored: blobs of four sizes that move and change shape, and a prediction with
ragged borders, holes and lost objects. Ours and the plain algorithm take turns, so that other work on the
machine hits both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.common import machine
from edgetam.eval.metrics import score_folder
from edgetam.eval.metrics.labels import read_labels
from edgetam.eval.metrics.measures import jf
from edgetam.io.masks import palette_png

HEIGHT, WIDTH, OBJECTS = 480, 854, 4
Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
PUBLISHED = {"davis2017-evaluation": 65, "sav_evaluator": 66, "vos-benchmark": 164}
"""Frame-objects per CPU second of the official tools at this size, as measured on another machine."""


def blob(rng: np.random.Generator, frame: int, size: float, phase: float) -> Mask:
    """A wobbling ellipse on its way."""
    angle = np.linspace(0, 2 * np.pi, 90)
    radius = size * (1 + 0.15 * np.sin(3 * angle + phase + frame / 5) + 0.1 * np.sin(7 * angle - frame / 3))
    x = WIDTH / 2 + 0.35 * WIDTH * np.sin(phase + frame / 25) + radius * np.cos(angle)
    y = HEIGHT / 2 + 0.3 * HEIGHT * np.cos(1.7 * phase + frame / 20) + 0.8 * radius * np.sin(angle)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [np.stack([x, y], 1).round().astype(np.int32)], (1,))
    return mask > 0


def spoil(rng: np.random.Generator, mask: Mask) -> Mask:
    """What a tracker might have made of it."""
    if rng.random() < 0.05:
        return np.zeros_like(mask)
    coarse = cv2.resize(rng.normal(size=(30, 54)), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    distance -= cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    return distance + 4 * coarse > 0


def draw(root: Path, sequences: int, frames: int, repeats: int) -> None:
    """Write ground truth and prediction; each sequence shows its frames several times over."""
    rng = np.random.default_rng(0)
    for s in range(sequences):
        phases = rng.uniform(0, 6, OBJECTS)
        for t in range(frames):
            truth = {i + 1: blob(rng, t, 30 * (i + 1), phases[i]) for i in range(OBJECTS)}
            guess = {item: spoil(rng, mask) for item, mask in truth.items()}
            for side, masks in (("gt", truth), ("pred", guess)):
                folder = root / side / f"s{s}"
                folder.mkdir(parents=True, exist_ok=True)
                data = palette_png(masks, HEIGHT, WIDTH)
                for again in range(repeats):
                    (folder / f"{t + again * frames:05d}.png").write_bytes(data)


def plain(pred: Mask, gt: Mask) -> dict[str, float]:
    """J and F on whole pictures with OpenCV's dilation, as the official tools do it."""
    radius = int(np.ceil(0.008 * np.hypot(*gt.shape)))
    steps = np.arange(-radius, radius + 1)
    disk = (steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.uint8)
    found, wanted = (edges(mask).astype(np.uint8) for mask in (pred, gt))
    union = np.count_nonzero(pred | gt)
    j = np.count_nonzero(pred & gt) / union if union else 1.0
    if not found.any() or not wanted.any():
        return {"J": j, "F": float(found.any() == wanted.any())}
    precision = np.count_nonzero(found & cv2.dilate(wanted, disk)) / np.count_nonzero(found)
    recall = np.count_nonzero(wanted & cv2.dilate(found, disk)) / np.count_nonzero(wanted)
    total = precision + recall
    return {"J": j, "F": 2 * precision * recall / total if total else 0.0}


def edges(mask: Mask) -> Mask:
    """Pixels that differ from the right, lower or lower right neighbour."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:])


def paths(root: Path) -> Iterator[tuple[Path, Path]]:
    """Prediction and ground truth of all frames."""
    for path in sorted((root / "gt").rglob("*.png")):
        yield root / "pred" / path.relative_to(root / "gt"), path


def measure_all(
    frames: list[tuple[Labels, Labels]], how: Callable[[Mask, Mask], dict[str, float]]
) -> tuple[float, list[float]]:
    """Measure all objects of frames in memory; frame-objects per CPU second, and the numbers."""
    start = time.process_time()
    values = [
        number
        for pred, gt in frames
        for item in range(1, OBJECTS + 1)
        for number in how(pred == item, gt == item).values()
    ]
    return len(values) / 2 / (time.process_time() - start), values


def beside_plain(root: Path, rounds: int, limit: int) -> dict[str, Any]:
    """Ours and the plain algorithm in turns, on masks in memory."""
    frames = [(read_labels(pred), read_labels(gt)) for pred, gt in list(paths(root))[:limit]]
    ours, theirs = [], []
    for _ in range(rounds):
        rate, values = measure_all(frames, jf)
        ours.append(rate)
        rate, wanted = measure_all(frames, plain)
        theirs.append(rate)
        assert values == wanted, "the two do not agree"
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {
        "frame_objects": len(frames) * OBJECTS,
        "frame_objects_per_cpu_second": spread(ours),
        "plain_frame_objects_per_cpu_second": spread(theirs),
        "times_plain": spread(ratios),
        "numbers_equal": True,
    }


def reading(root: Path, rounds: int) -> dict[str, Any]:
    """Reading PNGs alone, and reading with scoring as ``edgetam score`` does it, per CPU second."""
    files = list(paths(root))
    alone, whole = [], []
    for _ in range(rounds):
        start = time.process_time()
        for pred, gt in files:
            read_labels(pred)
            read_labels(gt)
        alone.append(2 * len(files) / (time.process_time() - start))
        start = time.process_time()
        scores = score_folder("davis2017", root / "gt", root / "pred")
        count = sum(len(entry.frames) for entry in scores.objects)
        whole.append(count / (time.process_time() - start))
    return {
        "pictures_read_per_cpu_second": spread(alone),
        "frame_objects_per_cpu_second_with_reading": spread(whole),
    }


def scaling(root: Path, rounds: int) -> dict[str, Any]:
    """One process and two in turns, on the clock and on the CPU; starting the processes counts."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    work: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for jobs in seconds:
            start, used = time.perf_counter(), cpu_seconds()
            score_folder("davis2017", root / "gt", root / "pred", jobs=jobs)
            seconds[jobs].append(time.perf_counter() - start)
            work[jobs].append(cpu_seconds() - used)
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    return {
        "seconds_one_process": spread(seconds[1]),
        "seconds_two_processes": spread(seconds[2]),
        "times_faster": spread(ratios),
        "cpu_seconds_one_process": spread(work[1]),
        "cpu_seconds_two_processes": spread(work[2]),
    }


def cpu_seconds() -> float:
    """CPU time of this process and of those it has started that have ended."""
    return sum(os.times()[:4])


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def main() -> None:
    """Print one record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--frames", type=int, default=40, help="drawn for each sequence")
    parser.add_argument("--repeats", type=int, default=8, help="of these frames, for longer sequences")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plain-frames", type=int, default=40, help="frames measured beside the plain way")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    before = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        draw(root, arguments.sequences, arguments.frames, arguments.repeats)
        record = {
            "benchmark": "metrics",
            "machine": machine(),
            "set": {"width": WIDTH, "height": HEIGHT, "objects": OBJECTS, **vars(arguments)},
            "in_memory": beside_plain(root, arguments.rounds, arguments.plain_frames),
            "from_files": reading(root, arguments.rounds),
            "processes": scaling(root, arguments.rounds),
            "published_frame_objects_per_cpu_second": PUBLISHED,
            "load_average": {"before": list(before), "after": list(os.getloadavg())},
        }
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
