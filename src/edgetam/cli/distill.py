"""``edgetam distill``: a recipe with a teacher to weights."""

from __future__ import annotations

import typer

from edgetam.cli.screen import open_screen
from edgetam.cli.train import (
    AcceptChanges,
    Output,
    Overrides,
    Overwrite,
    Quiet,
    RecipeFile,
    TrainJob,
    train_recipe,
)

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def distill(
    recipe: RecipeFile,
    overrides: Overrides = None,
    output: Output = None,
    overwrite: Overwrite = False,
    accept_changes: AcceptChanges = False,
    quiet: Quiet = False,
) -> None:
    """Train a network that follows a frozen teacher, from a recipe that names one.

    Another teacher: distill.teacher=WEIGHTS. Without: edgetam train RECIPE distill=null.
    """
    job = TrainJob(recipe, overrides or [], output, overwrite, accept_changes, distill=True)
    train_recipe(job, open_screen(quiet=quiet))
