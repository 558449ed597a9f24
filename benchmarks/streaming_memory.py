"""Does memory stay constant? Track an endless video and watch the resident memory of this process.

    python -m benchmarks.streaming_memory --frames 3000 --imgsz 256 --objects 2

prints one JSON record: a stream, a session that keeps its history on disk, and one that keeps none, each in a
process of its own. The published code grows by 12.6 MB a frame. Weights are random: what is kept does not
depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import machine
from edgetam import FrameResult, Prompt, TrackerOptions, VideoTracker, load_model
from edgetam.config import get_config
from edgetam.engine import Engine
from edgetam.engine.select import ENGINES
from edgetam.model import build_model
from edgetam.weights import save_native

MODES = ("stream", "session", "session without history")
SETTINGS = ("engine", "frames", "imgsz", "objects", "threads")
FIRST_MARK = 100
"""Frames after which buffers of all sizes have been allocated."""
BOUND_MB = 50.0
WIDTH, HEIGHT = 640, 360


class EndlessVideo:
    """Moving squares over noise, drawn frame by frame; takes the place of a very long file."""

    name = "endless"
    fps = 30.0
    width, height = WIDTH, HEIGHT

    def __init__(self, length: int) -> None:
        self.length = length
        self.noise = np.random.default_rng(0).integers(0, 80, (HEIGHT, WIDTH, 3), np.uint8)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One frame, with a square for each of two objects."""
        frame = np.roll(self.noise, index, axis=1)
        for row, speed in ((60, 3), (200, 2)):
            x = (100 + index * speed) % (WIDTH - 100)
            frame[row : row + 100, x : x + 100] += np.uint8(150)
        return frame

    def time(self, index: int) -> float | None:
        """Seconds from the start."""
        return index / self.fps

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> EndlessVideo:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


def prompts(objects: int) -> dict[int, Prompt]:
    """One box per object on the first frame."""
    boxes = {1: [100, 60, 200, 160], 2: [100, 200, 200, 300]}
    return {i: Prompt(box=boxes[i]) for i in range(1, objects + 1)}


def results(mode: str, tracker: VideoTracker, video: EndlessVideo, objects: int) -> Iterator[FrameResult]:
    """Track the whole video in one of the three ways."""
    if mode == "stream":
        stream = tracker.stream()
        for i in range(len(video)):
            yield stream.step(video[i], prompts(objects) if i == 0 else None)
        return
    with tracker.open(video) as session:
        for object_id, prompt in prompts(objects).items():
            session.prompt(0, object_id, box=prompt.box)
        yield from session.propagate()


def resident_mb() -> float:
    """Resident memory of this process, from /proc."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def random_engine(engine: str, size: int, threads: int) -> Engine:
    """Random weights for which every object is present, so that all parts take part."""
    torch.manual_seed(0)
    model = build_model(get_config("edgetam", size))
    presence = model.mask_decoder.presence_head.layers[-1]
    assert isinstance(presence, torch.nn.Linear)
    torch.nn.init.constant_(presence.bias, 10)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.safetensors"
        save_native(path, model)
        return load_model(weights=path, engine=engine, threads=threads)


def watch(mode: str, given: argparse.Namespace) -> dict[str, Any]:
    """Resident memory along one video."""
    frames, objects = given.frames, given.objects
    engine = random_engine(given.engine, given.imgsz, given.threads)
    tracker = VideoTracker(engine, TrackerOptions(history=mode != MODES[2]))
    marks = {FIRST_MARK, *range(500, frames + 1, 500), frames}
    seen: dict[str, float] = {}
    for count, result in enumerate(results(mode, tracker, EndlessVideo(frames), objects), start=1):
        assert len(result.objects) == objects
        if count in marks:
            seen[str(count)] = round(resident_mb(), 1)
    values = list(seen.values())
    growth = values[-1] - values[0]
    return {
        "name": mode,
        "engine": engine.name,
        "resident_mb": seen,
        "frames": frames,
        "growth_mb": round(growth, 1),
        "growth_kb_per_frame": round(growth * 1000 / (frames - FIRST_MARK), 2),
        "within_bound": growth <= BOUND_MB,
    }


def in_own_process(mode: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One mode must not profit from memory that another has freed."""
    command = [sys.executable, "-m", "benchmarks.streaming_memory", "--mode", mode]
    for name in SETTINGS:
        command += [f"--{name}", str(getattr(arguments, name))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print one record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", default="auto", choices=ENGINES)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--imgsz", type=int, default=256, choices=(256, 512, 1024))
    parser.add_argument("--objects", type=int, default=2, choices=(1, 2))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mode", choices=MODES, help="only this one, in this process")
    arguments = parser.parse_args()
    if arguments.frames <= FIRST_MARK:
        parser.error(f"--frames is {arguments.frames}; expected more than {FIRST_MARK}.")
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    if arguments.mode:
        print(json.dumps(watch(arguments.mode, arguments)))
        return
    record = {
        "benchmark": "streaming_memory",
        "machine": machine(),
        "model": "edgetam, random weights",
        **{name: getattr(arguments, name) for name in SETTINGS},
        "bound_mb": BOUND_MB,
        "published_growth_mb_per_frame": 12.6,
        "runs": [in_own_process(mode, arguments) for mode in MODES],
    }
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
