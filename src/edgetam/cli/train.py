"""``edgetam train``: a recipe to weights."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from edgetam.atomic import make_folder
from edgetam.cli.errors import StoppedError
from edgetam.cli.screen import Screen, open_screen
from edgetam.errors import ConfigError
from edgetam.locks import sole_writer
from edgetam.train.data.check import check_data
from edgetam.train.loop import Trainer
from edgetam.train.progress import Report
from edgetam.train.ranks import connected, device_for, rank, world
from edgetam.train.recipe import Recipe
from edgetam.train.recipe_file import load_recipe
from edgetam.train.run import Run, Scores
from edgetam.train.setup import starting_model
from edgetam.train.sources import Sources, StageClips, to_check
from edgetam.train.teacher import open_teacher
from edgetam.train.trial import make_evaluator

__all__ = [
    "AcceptChanges",
    "Output",
    "Overrides",
    "Overwrite",
    "Quiet",
    "RecipeFile",
    "TrainJob",
    "app",
    "train_recipe",
]

app = typer.Typer(add_completion=False)
RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file, such as recipes/demo.yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Changes to it, such as seed=1 or stages.0.steps=100."),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Where the run lives (runs/RECIPE).")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Start anew where another run is.")]
AcceptChanges = Annotated[
    bool, typer.Option("--accept-changes", help="Go on although the recipe is another one now.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class TrainJob:
    """What was asked for on the command line."""

    recipe: Path
    overrides: list[str]
    output: Path | None = None
    overwrite: bool = False
    accept_changes: bool = False
    distill: bool = False

    @property
    def folder(self) -> Path:
        """Where the run lives."""
        return self.output or Path("runs") / self.recipe.stem


@app.command()
def train(
    recipe: RecipeFile,
    overrides: Overrides = None,
    output: Output = None,
    overwrite: Overwrite = False,
    accept_changes: AcceptChanges = False,
    only_check: Annotated[
        bool, typer.Option("--check-data", help="Only report what there is to train on, with a picture.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train a network from a recipe.

    The same command again goes on with an interrupted run. Under torchrun, all processes train together.
    """
    job = TrainJob(recipe, overrides or [], output, overwrite, accept_changes)
    (check if only_check else train_recipe)(job, open_screen(quiet=quiet))


def check(job: TrainJob, screen: Screen) -> None:
    """Look at the data of a recipe instead of training on it."""
    recipe = load_recipe(job.recipe, job.overrides)
    sources, asks = to_check(recipe)  # before anything is made
    sheet = make_folder(job.folder) / "data.png"
    for audit in check_data(sources, asks, sheet=sheet):
        for line in audit.lines():
            screen.say(line)
    screen.say(str(sheet))


def train_recipe(job: TrainJob, screen: Screen) -> None:
    """Train as a recipe says, going on where an earlier run of it ended."""
    recipe = load_recipe(job.recipe, job.overrides)
    _check_teacher(recipe, job)
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    device = device_for(recipe.device)
    with connected(device):
        first = rank() == 0
        shown = screen if first else Screen(quiet=True)
        run = Run(_trainer(recipe, device), job.folder, make_evaluator(recipe))
        with sole_writer(job.folder) if first else nullcontext():
            _begin(run, job, shown)
            with _signals(run.trainer, shown):
                _follow(run, shown)
        if not run.trainer.finished:
            shown.note(f"Stopped at step {run.trainer.progress.step}; the same command goes on from there.")
            raise StoppedError
        shown.say(f"{run.weights}")


def _check_teacher(recipe: Recipe, job: TrainJob) -> None:
    if job.distill and recipe.distill is None:
        raise ConfigError(
            f"{job.recipe} has no teacher; add one with distill.teacher=WEIGHTS, or run edgetam train."
        )
    if not job.distill and recipe.distill is not None:
        raise ConfigError(
            f"{job.recipe} has a teacher; run edgetam distill, or leave it out with distill=null."
        )


def _trainer(recipe: Recipe, device: torch.device) -> Trainer:
    teacher = open_teacher(recipe.distill, device, recipe.precision) if recipe.distill else None
    model = starting_model(recipe.model, recipe.seed)
    return Trainer(recipe, model, partial(StageClips, Sources(recipe)), device, teacher)


def _begin(run: Run, job: TrainJob, screen: Screen) -> None:
    trainer = run.trainer
    if job.overwrite:
        if rank() == 0:
            run.start_anew()
    elif run.resume(accept_changes=job.accept_changes):
        at = f"step {trainer.progress.step}, {trainer.progress.seconds / 60:.1f} minutes"
        screen.note(f"Going on from {run.checkpoint} ({at}).")
    many = f" in {world()} processes" if world() > 1 else ""
    screen.note(f"Training on {trainer.device}{many}; everything goes to {job.folder}.")


def _follow(run: Run, screen: Screen) -> None:
    for event in run.go():
        screen.note(_scores(event) if isinstance(event, Scores) else _line(event))


def _line(report: Report) -> str:
    losses = "  ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
    broken = f"  {report.broken} broken samples" if report.broken else ""
    left = "" if report.seconds_left is None else f"  {_clock(report.seconds_left)} left of the stage"
    return (
        f"{report.stage} {100 * report.share:3.0f}%  step {report.step}  {losses}  "
        f"{report.clips_per_second:.2f} clips/s  data {100 * report.waiting:.0f}%{left}{broken}"
    )


def _scores(event: Scores) -> str:
    return f"step {event.step}  " + "  ".join(f"{name} {value:.3f}" for name, value in event.scores.items())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"


@contextmanager
def _signals(trainer: Trainer, screen: Screen) -> Iterator[None]:
    """Let the first Ctrl-C end the run after its step, and the second one at once."""

    def stop(number: int, frame: Any) -> None:
        if trainer.stopping:
            raise KeyboardInterrupt
        screen.note("Stopping after this step; again to stop at once (the last checkpoint is kept).")
        trainer.stop()

    before: dict[int, Callable[..., Any] | int | None] = {n: signal.signal(n, stop) for n in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
