"""What parts of the model and of its training are worth at a small scale, with several seeds each.

    python -m benchmarks.study --runs runs/study --seeds 3

trains every variant of `recipes/study.yaml` with every seed and prints one JSON record. Runs that are
finished are not repeated, and a run that was interrupted goes on; so the command may be stopped and given
again, and ``--part 0/2`` and ``--part 1/2`` share the work between two processes. ``--only`` leaves out the
variants that it does not name.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import machine
from edgetam.train.journal import LOG
from edgetam.train.loop import Trainer
from edgetam.train.recipe import Recipe
from edgetam.train.recipe_file import load_recipe
from edgetam.train.run import Run
from edgetam.train.setup import starting_model
from edgetam.train.sources import Sources, StageClips
from edgetam.train.teacher import open_teacher
from edgetam.train.trial import make_evaluator

RECIPE = Path(__file__).parent.parent / "recipes" / "study.yaml"
TEACHER = "teacher"

Overrides = Sequence[str]

VARIANTS: Mapping[str, Overrides] = {
    "all": (),
    "global latents only": ("model.perceiver={global_latents: 256, window_grid: 0}",),
    "2D latents only": ("model.perceiver={global_latents: 0, window_grid: 16}",),
    "without drawn clips": ("stages.0.sources={davis: 1, stills: 1}",),
    "drawn clips only": ("stages.0.sources={drawn: 1}",),
    "without guides": ("guides={features: 0, memory: 0}",),
    "Muon": ("optimizer={kind: muon}",),
    "distilled": ("distill={teacher: TEACHER, image: 1.0, memory: 1.0}",),
    "distilled from the bundled weights": ("distill={teacher: bundled, image: 1.0, memory: 1.0}",),
    "distilled from the bundled weights, normalised": (
        "distill={teacher: bundled, image: 1.0, memory: 1.0, normalised: true}",
    ),
}
"""What differs from the recipe. ``TEACHER``: weights of a longer run with the full encoder."""

TEACHES: Overrides = ("model.encoder=null", "stages.0.steps=500")


def runs(
    folder: Path, seeds: int, only: Collection[str] = VARIANTS
) -> Iterator[tuple[str, int, Path, Overrides]]:
    """Variant, seed, folder and overrides of every run: a teacher first, then variants seed by seed."""
    teacher = folder / TEACHER
    if any("TEACHER" in override for name in only for override in VARIANTS[name]):
        yield TEACHER, 0, teacher, TEACHES
    for seed in range(seeds):
        for name, overrides in VARIANTS.items():
            if name not in only:
                continue
            filled = [o.replace("TEACHER", str(teacher / "weights.safetensors")) for o in overrides]
            yield name, seed, folder / f"{name.replace(' ', '_')}-{seed}", (*filled, f"seed={seed}")


def finish(recipe: Recipe, folder: Path) -> dict[str, float]:
    """Train to the end, unless that was done, and give the last scores."""
    if not (scores := last_scores(folder)):
        teacher = open_teacher(recipe.distill, torch.device("cpu")) if recipe.distill else None
        clips = partial(StageClips, Sources(recipe))
        trainer = Trainer(
            recipe, starting_model(recipe.model, recipe.seed), clips, torch.device("cpu"), teacher
        )
        run = Run(trainer, folder, make_evaluator(recipe))
        run.resume()
        for _ in run.go():
            pass
        scores = last_scores(folder)
    return scores


def last_scores(folder: Path) -> dict[str, float]:
    """What the log of a finished run ends with, or nothing."""
    log = folder / LOG
    lines = log.read_text().splitlines() if log.exists() else []
    found: dict[str, float] = json.loads(lines[-1]).get("scores", {}) if lines else {}
    return found


def summary(scores: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds, of every score."""
    rows = {name: [one[name] for one in scores] for name in scores[0]}
    return {
        name: {
            "mean": round(statistics.mean(values), 4),
            "deviation": round(statistics.stdev(values), 4) if len(values) > 1 else None,
            "seeds": len(values),
        }
        for name, values in rows.items()
    }


def main() -> None:
    """Run what is missing, and print one record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="for every run")
    parser.add_argument("--runs", type=Path, default=Path("runs/study"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), metavar="VARIANT"
    )
    parser.add_argument("--part", default="0/1", help="i/n: every n-th run, from the i-th on")
    given = parser.parse_args()
    part, parts = map(int, given.part.split("/"))
    torch.set_num_threads(1)
    scores: dict[str, list[dict[str, float]]] = {}
    for number, (name, _, folder, overrides) in enumerate(runs(given.runs, given.seeds, given.only)):
        recipe = load_recipe(RECIPE, (*overrides, *given.overrides))
        mine = number % parts == part or (name == TEACHER and part == 0)
        found = finish(recipe, folder) if mine else last_scores(folder)
        if found:
            scores.setdefault(name, []).append(found)
    record = {
        "benchmark": "study",
        "machine": machine(),
        "recipe": str(RECIPE.name),
        "overrides": given.overrides,
        "variants": {name: summary(rows) for name, rows in scores.items()},
    }
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
