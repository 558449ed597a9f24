"""What a training clip costs on one core.

    python -m benchmarks.data --davis 'data/davis_*.tar' --static 'data/static_*.tar'

prints one JSON record: processor time per clip of four frames, from the files to the finished arrays. Reading
and decoding is measured apart, on as many clips.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.common import machine
from edgetam.train.data import Ask, ClipSource, open_source
from edgetam.train.data.footage import draw_footage
from edgetam.train.data.pseudo import PseudoClips
from edgetam.train.data.real import RealClips


def described(davis: list[str], static: list[str]) -> dict[str, dict[str, Any]]:
    """The sources to measure."""
    sources: dict[str, dict[str, Any]] = {}
    if davis:
        sources["davis"] = {"kind": "davis", "root": davis, "stride": 3}
        sources["davis, strong, pasted"] = {**sources["davis"], "augment": "strong", "paste": 0.5}
    if static:
        sources["pseudo"] = {"kind": "pseudo", "root": static}
    return {**sources, "synthetic": {"kind": "synthetic"}}


def milliseconds(task: Callable[[np.random.Generator], Any], count: int) -> list[float]:
    """Processor time of each of ``count`` runs with different dice, after one warm-up."""
    task(np.random.default_rng(0))
    spent = []
    for seed in range(1, count + 1):
        dice = np.random.default_rng(seed)
        start = time.process_time()
        task(dice)
        spent.append((time.process_time() - start) * 1000)
    return spent


def measured(source: ClipSource, ask: Ask, count: int) -> Mapping[str, float]:
    """Median, mean and 95th percentile of a clip, and of its reading and decoding alone."""
    clip = milliseconds(lambda dice: source.sample(dice, ask), count)
    row = {"median": np.median(clip), "mean": np.mean(clip), "p95": np.percentile(clip, 95)}
    if isinstance(source, (RealClips, PseudoClips)):
        part = Ask(1, ask.objects, ask.size) if isinstance(source, PseudoClips) else ask
        read = milliseconds(lambda dice: draw_footage(dice, source.collection, part, source.rules), count)
        row["reading"] = np.mean(read)
    return {name: round(float(value), 1) for name, value in row.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--davis", nargs="*", default=[])
    parser.add_argument("--static", nargs="*", default=[])
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--clips", type=int, default=100)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    ask = Ask(given.frames, given.objects, given.size)
    rows = {
        name: measured(open_source(one), ask, given.clips)
        for name, one in described(given.davis, given.static).items()
    }
    print(json.dumps({"benchmark": "data", "clip": vars(ask), "ms": rows, "machine": machine()}, indent=1))


if __name__ == "__main__":
    main()
