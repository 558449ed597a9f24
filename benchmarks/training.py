"""Clips per second, processor time, share of time spent waiting for data and peak memory of training.

    python -m benchmarks.training recipes/demo.yaml [KEY=VALUE]... --steps 20

prints one JSON record with a row per stage of the recipe, and in it the kinds of steps that take turns. Every
stage runs in a process of its own, so that none profits from memory that another has freed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from benchmarks.common import machine
from edgetam.train.loop import Trainer
from edgetam.train.progress import Report, Window
from edgetam.train.ranks import device_for
from edgetam.train.recipe import Recipe
from edgetam.train.recipe_file import load_recipe
from edgetam.train.setup import starting_model
from edgetam.train.sources import Sources, StageClips
from edgetam.train.stage import Stage, Turn
from edgetam.train.teacher import open_teacher

WARM_UP = 3
"""Steps before measuring: workers start, memory grows, convolutions choose their form."""


def only_stage(recipe: Recipe, number: int, steps: int) -> Recipe:
    """One stage of a recipe, for so many steps, of which nothing is reported."""
    stage = replace(recipe.stages[number], steps=steps, minutes=None)
    model = replace(recipe.model, image_size=None)  # weights may be saved at the size of another stage
    return replace(recipe, model=model, stages=(stage,), every=replace(recipe.every, log_steps=10**9))


def measure(recipe: Recipe, number: int, steps: int) -> dict[str, Any]:
    """Train a stage for some steps."""
    one = only_stage(recipe, number, WARM_UP + steps)
    (stage,) = one.stages
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    device = device_for(recipe.device)
    teacher = open_teacher(recipe.distill, device) if recipe.distill else None
    trainer = Trainer(
        one, starting_model(one.model, one.seed), partial(StageClips, Sources(one)), device, teacher
    )
    reports, start = [], 0.0
    for report in trainer.run():
        reports.append(report)
        if len(reports) == WARM_UP:
            trainer.progress.window, start = Window(), time.process_time()
    spent = time.process_time() - start
    last = reports[-1]
    assert isinstance(last, Report)
    return {
        "stage": stage.name,
        "kinds": kinds(stage, one.seed, range(WARM_UP, WARM_UP + steps)),
        "accumulate": stage.accumulate,
        "steps": steps,
        "clips_per_second": round(last.clips_per_second, 3),
        "processor_s_per_step": round(spent / steps, 3),  # of this process, without its data workers
        "share_waiting_for_data": round(last.waiting, 4),
        "peak_memory_mb": round(_peak_memory(device)),
    }


def kinds(stage: Stage, seed: int, steps: range) -> list[dict[str, Any]]:
    """What the steps of a stage are like, one row per turn; one for a stage without.

    ``share`` is how often a turn comes in the long run, ``steps`` how often it did in those measured.
    """
    turns = stage.turns or (Turn(),)
    whole = sum(turn.share for turn in turns)
    drawn = [stage.kind_at(seed, step) for step in steps]
    return [
        {
            "share": round(turn.share / whole, 4),
            "image_size": kind.image_size,
            "frames": kind.frames,
            "clips": kind.clips,
            "objects": kind.objects,
            "steps": drawn.count(kind),
        }
        for turn, kind in zip(turns, stage.kinds, strict=True)
    ]


def _peak_memory(device: torch.device) -> float:
    """Of the training process, without its data workers; on a GPU, of the GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def in_own_process(given: argparse.Namespace, number: int) -> dict[str, Any]:
    """`measure` in a fresh interpreter."""
    command = [sys.executable, "-m", "benchmarks.training", given.recipe, *given.overrides]
    command += ["--steps", str(given.steps), "--stage", str(number)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def main() -> None:
    """Print one record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--stage", type=int, help="only this one, in this process")
    given = parser.parse_args()
    recipe = load_recipe(given.recipe, given.overrides)
    if given.stage is not None:
        print(json.dumps(measure(recipe, given.stage, given.steps)))
        return
    record = {
        "benchmark": "training",
        "machine": machine(),
        "recipe": given.recipe,
        "overrides": given.overrides,
        "precision": recipe.precision,
        "threads": recipe.threads or torch.get_num_threads(),
        "workers": recipe.data.workers,
        "stages": [in_own_process(given, number) for number in range(len(recipe.stages))],
    }
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
