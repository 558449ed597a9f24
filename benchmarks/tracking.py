"""How long each verb and each frame takes, in steady state: seven memories and sixteen pointers.

    python -m benchmarks.tracking --sizes 512 1024 --objects 1 2 5 10 --threads 2

prints one JSON record. With ``--published DIR``, a checkout of facebookresearch/EdgeTAM with its requirements
installed, the published code is measured in the same process, interleaved with ours, and the ratio added.
Weights are random: time does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import machine
from edgetam.config import get_config
from edgetam.engine import Engine
from edgetam.engine.torch import TorchEngine
from edgetam.model import build_model
from edgetam.structs import MemoryContext
from edgetam.tracking.step import no_prompt

Task = Callable[[], Any]
MEMORIES, POINTERS = 7, 16


@dataclass
class Timings:
    """Seconds of each repetition of each task."""

    seconds: dict[str, list[float]]

    def summary(self, task: str) -> dict[str, float]:
        """Milliseconds: median, spread and percentiles."""
        ms = np.array(self.seconds[task]) * 1000
        low, high = np.percentile(ms, [25, 75])
        rows = {"median": np.median(ms), "min": ms.min(), "iqr": high - low}
        rows |= {f"p{p}": np.percentile(ms, p) for p in (50, 95, 99)}
        return {name: round(float(value), 1) for name, value in rows.items()}


def measure(tasks: dict[str, Task], repeats: int) -> Timings:
    """Run all tasks in turn, ``repeats`` times after warming up, so that noise hits all alike."""
    for task in tasks.values():
        for _ in range(3 if torch.cuda.is_available() else 1):  # compiled code is recorded on the second run
            task()
    _finish()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            _finish()
            seconds[name].append(time.perf_counter() - start)
    return Timings(seconds)


def _finish() -> None:
    """Wait for a GPU, which works on after it was asked."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def context(tokens: int, objects: int) -> MemoryContext[Any]:
    """Full memories of random content."""
    rng = np.random.default_rng(0)
    return MemoryContext(
        rng.standard_normal((objects, MEMORIES, tokens, 64), np.float32),
        np.array([[0, 6, 5, 4, 3, 2, 1]] * objects),
        rng.standard_normal((objects, POINTERS, 256), np.float32),
        np.zeros((objects, POINTERS), np.float32),
    )


def our_tasks(engine: Engine, objects: list[int]) -> dict[str, Task]:
    """The verbs, and whole frames, for each number of objects."""
    size = engine.config.image_size
    image = np.random.default_rng(1).standard_normal((1, 3, size, size), np.float32)
    features = engine.encode(image)
    tasks: dict[str, Task] = {"encode": lambda: engine.encode(image)}
    for count in objects:
        memory = context(engine.config.memory_layout.tokens, count)
        fused = engine.attend(features, memory)
        decoded = engine.decode(fused, features, no_prompt(count), "best")
        answer = (decoded.masks[:, :1], decoded.presence, decoded.pointer)
        tasks |= {
            f"attend x{count}": partial(engine.attend, features, memory),
            f"decode x{count}": partial(engine.decode, fused, features, no_prompt(count), "best"),
            f"remember x{count}": partial(
                engine.remember, features, *answer, binarize=False, exclusive=False
            ),
        }
    return tasks


def published_tasks(folder: Path, size: int, device: str = "cpu") -> dict[str, Task]:
    """The same four steps of the published code, one object.

    On a CPU eager in fp32; on a GPU in bf16 and with its own option to compile the image encoder.
    """
    sys.path.insert(0, str(folder))
    from sam2.build_sam import build_sam2_video_predictor  # type: ignore[import-not-found]

    grid = size // 16
    overrides = [
        f"++model.image_size={size}",
        *(f"++model.memory_attention.layer.cross_attention.q_sizes=[{grid},{grid}]",),
    ]
    if device != "cpu":
        overrides.append("++model.compile_image_encoder=true")
    net = build_sam2_video_predictor(
        "configs/edgetam.yaml", None, device=device, hydra_overrides_extra=overrides
    )
    image = torch.randn(1, 3, size, size, device=device)
    with _as_published(device):
        _, maps, places, sides = net._prepare_backbone_features(net.forward_image(image))
        coarse = maps[-1].permute(1, 2, 0).unflatten(2, (grid, grid))
        fine = [m.permute(1, 2, 0).unflatten(2, s) for m, s in zip(maps[:-1], sides[:-1], strict=True)]
        memory = torch.randn(MEMORIES * 512 + POINTERS * 4, 1, 64, device=device)

    def decode() -> Any:
        return net._forward_sam_heads(backbone_features=coarse, high_res_features=fine, multimask_output=True)

    with _as_published(device):
        heads = decode()
    tasks: dict[str, Task] = {
        "published encode": lambda: net.forward_image(image),
        "published attend": lambda: net.memory_attention(
            curr=[maps[-1]],
            curr_pos=[places[-1]],
            memory=memory,
            memory_pos=memory,
            num_obj_ptr_tokens=POINTERS * 4,
            num_spatial_mem=MEMORIES,
        ),
        "published decode": decode,
        "published remember": lambda: net._encode_new_memory(
            current_vision_feats=maps,
            feat_sizes=sides,
            pred_masks_high_res=heads[4],
            object_score_logits=heads[6],
            is_mask_from_pts=False,
        ),
    }
    return {name: _published(task, device) for name, task in tasks.items()}


@contextmanager
def _as_published(device: str) -> Iterator[None]:
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=device != "cpu"):
        yield


def _published(task: Task, device: str) -> Task:
    def run() -> Any:
        with _as_published(device):
            return task()

    return run


def frame_ms(timings: Timings, objects: int) -> float:
    """Milliseconds of one tracked frame: the sum of the medians of its steps."""
    names = ["encode", *(f"{verb} x{objects}" for verb in ("attend", "decode", "remember"))]
    return sum(statistics.median(timings.seconds[name]) for name in names) * 1000


def run_size(size: int, options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one input size."""
    engine = TorchEngine(build_model(get_config("edgetam", size)), precision=options.precision)
    tasks = our_tasks(engine, options.objects)
    if options.published:
        tasks |= published_tasks(options.published, size)
    timings = measure(tasks, options.repeats)
    frames = {n: frame_ms(timings, n) for n in options.objects}
    record: dict[str, Any] = {
        "size": size,
        "verbs_ms": {name: timings.summary(name) for name in tasks},
        "frame_ms": {str(n): round(ms, 1) for n, ms in frames.items()},
        "frames_per_second": {str(n): round(1000 / ms, 2) for n, ms in frames.items()},
        "objects_over_one": {str(n): round(ms / frames[1], 2) for n, ms in frames.items() if 1 in frames},
    }
    if options.published:
        medians = {n: statistics.median(s) for n, s in timings.seconds.items() if n.startswith("published")}
        theirs = sum(medians.values()) * 1000
        record["published_frame_ms"] = round(theirs, 1)
        if 1 in frames:  # all that the published code can follow
            record["speed_over_published"] = round(theirs / frames[1], 2)
    return record


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--published", type=Path, help="checkout of facebookresearch/EdgeTAM to compare with")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Print one JSON record."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    record = {
        "benchmark": "tracking",
        "machine": machine(),
        "engine": "torch",
        "precision": options.precision,
        "threads": options.threads,
        "repeats": options.repeats,
        "sizes": [run_size(size, options) for size in options.sizes],
    }
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
