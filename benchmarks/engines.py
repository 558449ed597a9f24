"""Engines and precisions side by side: verbs, frames, masks, a file from start to end, and the start.

    python -m benchmarks.engines --sizes 512 768 1024 --objects 1 2 5 10 --threads 2 > engines.json

prints one JSON record. All engines take turns in one process, so that noise hits all alike. With
``--published DIR``, a checkout of facebookresearch/EdgeTAM with its requirements installed, that code takes
turns with them.
Speed is measured in steady state (seven memories, sixteen pointers); masks on the demo clip.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import machine
from benchmarks.tracking import Task, Timings, measure, our_tasks, published_tasks
from edgetam import TrackerOptions, VideoTracker, load_model
from edgetam.engine import Engine
from edgetam.engine.native.library import pays
from edgetam.engine.openvino import core
from edgetam.engine.openvino_attention import LEVELS
from edgetam.engine.silent_openvino import op, ov
from edgetam.engine.source import Source
from edgetam.io.bundled import demo_clip
from edgetam.quantize import bundled_clip, quantize
from edgetam.structs import FrameResult
from edgetam.tracking import TrackingSession
from edgetam.weights.registry import weights_path

CASES = ("torch:fp32", "torch:bf16", "openvino:fp32", "openvino:bf16")
OWN = ("native:fp32", "native:bf16")
"""Measured besides where it pays."""
REFERENCE = "torch:fp32"
PARTS = ("speed", "quality", "file", "start")
WARM = 18
"""Frames after which sixteen pointers are read."""
STARTS, STEP, FOLLOWED = 5, 8, 4
"""Masks are compared on the four frames after each of five given ones, eight frames apart."""
START = """
import sys
from edgetam import ImageSegmenter, load_model
import numpy as np
size = int(sys.argv[3])
segmenter = ImageSegmenter(load_model(engine=sys.argv[1], precision=sys.argv[2], image_size=size, threads=2))
segmenter.set_image(np.full((360, 640, 3), 90, np.uint8))
print(segmenter.predict(points=[[320, 180]]).masks.shape)
"""


def load(case: str, size: int, threads: int, device: str = "cpu") -> Engine:
    """One engine in one precision, such as ``openvino:bf16``; int8 is calibrated on the demo clip."""
    engine, precision = case.split(":")
    if precision == "int8":
        source = Source.of_weights(weights_path("edgetam", None), "edgetam", size)
        quantize(source, [bundled_clip()], threads=threads)
    return load_model(engine=engine, precision=precision, image_size=size, threads=threads, device=device)


@contextmanager
def demo(engine: Engine) -> Iterator[TrackingSession]:
    """The demo clip with its prompt."""
    clip, prompts = demo_clip()
    prompt = json.loads(prompts.read_text())["prompts"][0]
    with VideoTracker(engine).open(clip) as session:
        session.prompt(prompt["frame"], 1, points=prompt["points"], labels=prompt["labels"])
        yield session


def outlines() -> dict[int, NDArray[np.bool_]]:
    """The object of the demo clip at every few frames, as the bundled weights see it at their own size."""
    with demo(load_model()) as session:
        last = (STARTS - 1) * STEP
        return {r.frame: r.objects[1].mask for r in session.propagate(frames=last + 1) if r.frame % STEP == 0}


def track(
    engine: Engine, given: dict[int, NDArray[np.bool_]], store: Literal["auto", "bf16"] = "auto"
) -> list[FrameResult]:
    """Tracked frames of the demo clip after each of the given masks.

    Holes stay open: filling them comes after the network, and a logit that it moves says nothing of engines.
    """
    options = TrackerOptions(fill_holes=0, store=store)
    results = []
    for start, mask in given.items():
        with VideoTracker(engine, options).open(demo_clip()[0]) as session:
            session.prompt(start, 1, mask=mask)
            results += list(session.propagate(frames=1 + FOLLOWED))[1:]
    return results


def quality(results: list[FrameResult], reference: list[FrameResult]) -> dict[str, Any]:
    """How far masks and logits are from the reference's; frames empty in both have no overlap to speak of."""
    overlaps, differences = [], []
    for got, expected in zip(results, reference, strict=True):
        mine, theirs = got.objects[1], expected.objects[1]
        union = (mine.mask | theirs.mask).sum()
        if union:
            overlaps.append(float((mine.mask & theirs.mask).sum() / union))
        differences.append(float(np.abs(mine.logits - theirs.logits).max()))
    return {
        "mean_iou": round(statistics.mean(overlaps), 5) if overlaps else None,
        "least_iou": round(min(overlaps), 5) if overlaps else None,
        "largest_logit_difference": max(differences),
        "frames": len(results),
        "frames_with_an_object": len(overlaps),
    }


def file_to_masks(engines: dict[str, Engine], frames: int) -> dict[str, dict[str, Any]]:
    """Decode, resize, track and write masks: frames per second once memories are full, engines in turn."""
    seconds: dict[str, list[float]] = {case: [] for case in engines}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        opened = {case: stack.enter_context(demo(engine)) for case, engine in engines.items()}
        running = {case: session.propagate(frames=frames) for case, session in opened.items()}
        for _ in range(frames):
            for case, results in running.items():
                begin = time.perf_counter()
                result = next(results, None)
                if result is None:
                    break
                picture = result.objects[1].mask.astype(np.uint8) * 255
                cv2.imwrite(str(Path(folder) / f"{result.frame:05d}.png"), picture)
                seconds[case].append(time.perf_counter() - begin)
    return {case: _frame_rate(found[WARM:]) for case, found in seconds.items()}


def _frame_rate(seconds: list[float]) -> dict[str, Any]:
    least, low, middle, high, most = np.percentile(np.array(seconds) * 1000, [0, 25, 50, 75, 95])
    return {
        "frames_per_second": round(1000 / float(middle), 2),
        "ms_per_frame": round(float(middle), 1),
        "ms_quartiles": [round(float(low), 1), round(float(high), 1)],
        "ms_least": round(float(least), 1),
        "ms_p95": round(float(most), 1),
    }


def start_seconds(case: str, size: int, repeats: int) -> dict[str, float]:
    """From the start of a process to its first mask, with everything converted before."""
    engine, precision = case.split(":")
    times = []
    for _ in range(repeats + 1):  # the first one converts
        begin = time.perf_counter()
        command = [sys.executable, "-c", START, engine, precision, str(size)]
        subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))
        times.append(time.perf_counter() - begin)
    return {"first": round(times[0], 2), "later": round(statistics.median(times[1:]), 2)}


def peaks(threads: int) -> dict[str, int]:
    """GFLOP/s (in int8 operations) of large matrix products, the best of many: what the machine could do."""
    side = 2048
    numbers = np.random.default_rng(0).uniform(-1, 1, (side, side)).astype(np.float32)
    found = {}
    for name, hint in (("fp32", "f32"), ("bf16", "bf16"), ("int8", "bf16")):
        given = op.parameter([side, side], np.float32)
        factors = [given, op.constant(numbers)]
        if name == "int8":
            ends = [op.constant(np.float32(end)) for end in (-1, 1 - 2 / LEVELS)]
            factors = [op.fake_quantize(factor, *ends, *ends, LEVELS) for factor in factors]
        model = ov.Model([op.matmul(*factors, False, False)], [given])
        settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
        request = core().compile_model(model, "CPU", settings).create_infer_request()

        def task(request: ov.InferRequest = request) -> None:
            request.infer([numbers], share_inputs=True)

        best = min(_seconds(task) for _ in range(20))
        found[name] = round(2 * side**3 / best / 1e9)
    return found


def _seconds(task: Task) -> float:
    begin = time.perf_counter()
    task()
    return time.perf_counter() - begin


def tasks_of(engines: dict[str, Engine], objects: list[int]) -> Iterator[tuple[str, Task]]:
    """Verbs in the order of a frame, engine by engine, so that each finds the cache as it leaves it."""
    for case, engine in engines.items():
        for verb, task in our_tasks(engine, objects).items():
            yield f"{case} {verb}", task


def frame_of(timings: Timings, case: str, objects: int) -> dict[str, Any]:
    """A tracked frame: sums over its verbs of medians, and of quartiles."""
    names = [f"{case} encode", *(f"{case} {verb} x{objects}" for verb in ("attend", "decode", "remember"))]
    quartiles = np.array([np.percentile(timings.seconds[n], [25, 50, 75]) for n in names]).sum(0) * 1000
    low, middle, high = (round(float(x), 1) for x in quartiles)
    return {"ms": middle, "ms_quartiles": [low, high], "frames_per_second": round(1000 / middle, 2)}


def run_size(size: int, options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one input size."""
    engines = {case: load(case, size, options.threads, options.device) for case in options.cases}
    record: dict[str, Any] = {"size": size}
    if "speed" in options.parts:
        record |= speed(engines, size, options)
    if "quality" in options.parts:
        given = outlines()
        results = {case: track(engine, given) for case, engine in engines.items()}
        record["quality"] = {case: quality(results[case], results[REFERENCE]) for case in engines}
        rounded = {case: track(e, given, "bf16") for case, e in engines.items() if case.endswith(":fp32")}
        record["quality_of_bf16_memories"] = {
            case: quality(found, rounded[REFERENCE]) for case, found in rounded.items()
        }
    if "file" in options.parts:
        record["file_to_masks"] = file_to_masks(engines, options.frames)
    if "start" in options.parts:
        record["start_s"] = {case: start_seconds(case, size, 3) for case in engines}
    return record


def speed(engines: dict[str, Engine], size: int, options: argparse.Namespace) -> dict[str, Any]:
    """Verbs and frames in steady state."""
    tasks = dict(tasks_of(engines, options.objects))
    if options.published:
        tasks = {**published_tasks(options.published, size, options.device), **tasks}
    timings = measure(tasks, options.repeats)
    record: dict[str, Any] = {
        "verbs_ms": {name: timings.summary(name) for name in tasks},
        "frames": {case: {str(n): frame_of(timings, case, n) for n in options.objects} for case in engines},
    }
    if options.published:
        theirs = [statistics.median(s) for n, s in timings.seconds.items() if n.startswith("published")]
        record["published_frame_ms"] = round(sum(theirs) * 1000, 1)
    return record


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 768, 1024])
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument(
        "--cases",
        nargs="+",
        default=[*CASES, *OWN] if pays() else list(CASES),
        help="engine:precision, the reference first",
    )
    parser.add_argument("--device", default="cpu", help="cuda, for engines torch and compiled")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=60, help="of the clip that is tracked from its file")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure")
    parser.add_argument("--published", type=Path, help="checkout of facebookresearch/EdgeTAM to compare with")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Print one JSON record."""
    options = parse(arguments)
    record = {
        "benchmark": "engines",
        "machine": machine(),
        "threads": options.threads,
        "repeats": options.repeats,
        "peak_gflops": peaks(options.threads),
        "sizes": [run_size(size, options) for size in options.sizes],
    }
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
