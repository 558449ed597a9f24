"""``edgetam eval``: run a tracker over a benchmark and score it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgetam.cli import options
from edgetam.cli.options import ModelChoice
from edgetam.cli.screen import Screen

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Run a tracker over a benchmark and score it.")

_DATA, _RUN = "Data", "Run"

DatasetName = Annotated[
    str,
    typer.Option(
        "--dataset",
        metavar="NAME",
        help="davis2017, mose, sav, ...; generic for yours.",
        rich_help_panel=_DATA,
    ),
]
Root = Annotated[Path, typer.Option(metavar="FOLDER", help="Where it lies.", rich_help_panel=_DATA)]
Split = Annotated[str | None, typer.Option(metavar="NAME", help="val, test, ...", rich_help_panel=_DATA)]
Sequences = Annotated[
    str | None, typer.Option(metavar="A,B", help="Only these sequences.", rich_help_panel=_DATA)
]
TrackerName = Annotated[
    str,
    typer.Option(
        "--tracker", metavar="NAME", help="edgetam, copy, flow, or MODULE:FUNCTION.", rich_help_panel=_RUN
    ),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where results go.", rich_help_panel=_RUN)
]
Jobs = Annotated[int, typer.Option(min=1, metavar="N", help="Processes.", rich_help_panel=_RUN)]
Shard = Annotated[
    str | None, typer.Option(metavar="I/N", help="This machine's part, such as 1/4.", rich_help_panel=_RUN)
]


@app.callback()
def _group() -> None:
    """Run a tracker over a benchmark and score it."""


@app.command()
def vos(
    dataset: DatasetName,
    root: Root,
    output: Output,
    split: Split = None,
    sequences: Sequences = None,
    tracker: TrackerName = "edgetam",
    prompt: Annotated[
        str, typer.Option(metavar="KIND", help="mask, box, 1click, 3click or 5click.", rich_help_panel=_RUN)
    ] = "mask",
    jobs: Jobs = 1,
    shard: Shard = None,
    overwrite: options.Overwrite = False,
    model: options.Model = None,
    weights: options.Weights = None,
    engine: options.EngineName = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    imgsz: options.ImageSize = None,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
) -> None:
    """Semi-supervised tracking: prompted where objects first show, then followed to the end."""
    from edgetam.cli.eval_trackers import TrackerChoice
    from edgetam.cli.eval_vos import DataChoice, VosChoice, evaluate_vos

    choice = ModelChoice(model, weights, engine, device, precision, imgsz, threads)
    data = DataChoice(dataset, root, split, sequences)
    chosen = VosChoice(data, output, TrackerChoice(tracker, choice), prompt, jobs, shard, overwrite)
    evaluate_vos(chosen, Screen(quiet=quiet))
