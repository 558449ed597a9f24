"""``edgetam eval``: run a tracker over a benchmark and score it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgetam.cli import options
from edgetam.cli.options import ModelChoice
from edgetam.cli.screen import open_screen

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Run a tracker over a benchmark and score it.")

_DATA, _RUN, _SCORE = "Data", "Run", "Scores"

DatasetName = Annotated[
    str,
    typer.Option(
        "--dataset", metavar="NAME", help="davis2017, sav, ...; generic for yours.", rich_help_panel=_DATA
    ),
]
Root = Annotated[Path, typer.Option(metavar="FOLDER", help="Where it lies.", rich_help_panel=_DATA)]
Split = Annotated[str | None, typer.Option(metavar="NAME", help="val, test, ...", rich_help_panel=_DATA)]
Sequences = Annotated[
    str | None, typer.Option(metavar="A,B", help="Only these sequences.", rich_help_panel=_DATA)
]
Frames = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="Where frames lie, such as 'rgb/{video}/{frame}.jpg'.",
        rich_help_panel=_DATA,
    ),
]
Masks = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="Where masks lie, such as 'gt/{video}/{object}/{frame}.png'.",
        rich_help_panel=_DATA,
    ),
]
Foreground = Annotated[
    bool, typer.Option("--foreground", help="All that is not black is one object.", rich_help_panel=_DATA)
]
ClickTrackerName = Annotated[
    str,
    typer.Option(
        "--tracker", metavar="NAME", help="edgetam, or MODULE:FUNCTION of yours.", rich_help_panel=_RUN
    ),
]
TrackerName = Annotated[
    str,
    typer.Option(
        "--tracker",
        metavar="NAME",
        help="edgetam, copy, flow, or MODULE:FUNCTION of yours.",
        rich_help_panel=_RUN,
    ),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where results go.", rich_help_panel=_RUN)
]
Jobs = Annotated[int, typer.Option(min=1, metavar="N", help="Processes.", rich_help_panel=_RUN)]
Shard = Annotated[
    str | None, typer.Option(metavar="I/N", help="This machine's part, such as 1/4.", rich_help_panel=_RUN)
]
Lenient = Annotated[
    bool, typer.Option("--lenient", help="Leave out what is broken and list it.", rich_help_panel=_RUN)
]
Postprocess = Annotated[
    bool,
    typer.Option(
        "--postprocess",
        help="Fill holes and the like, which published scores do without.",
        rich_help_panel=_RUN,
    ),
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
    frames: Frames = None,
    masks: Masks = None,
    foreground: Foreground = False,
    tracker: TrackerName = "edgetam",
    prompt: Annotated[
        str, typer.Option(metavar="KIND", help="mask, box, 1click, 3click or 5click.", rich_help_panel=_RUN)
    ] = "mask",
    postprocess: Postprocess = False,
    memory: options.Memory = "auto",
    jobs: Jobs = 1,
    shard: Shard = None,
    lenient: Lenient = False,
    overwrite: options.Overwrite = False,
    protocol: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="How to score (the data set's own rules).", rich_help_panel=_SCORE),
    ] = None,
    meta: Annotated[
        Path | None, typer.Option(metavar="JSON", help="What is to be scored.", rich_help_panel=_SCORE)
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Which categories or videos are unseen.", rich_help_panel=_SCORE),
    ] = None,
    model: options.Model = None,
    weights: options.Weights = None,
    engine: options.EngineName = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    imgsz: options.ImageSize = None,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
) -> None:
    """Semi-supervised tracking: objects are prompted where they first show, then followed to the end."""
    from edgetam.cli.eval_runs import DataChoice, WorkChoice
    from edgetam.cli.eval_trackers import TrackerChoice
    from edgetam.cli.eval_vos import VosChoice, evaluate_vos

    choice = ModelChoice(model, weights, engine, device, precision, imgsz, threads)
    chosen = VosChoice(
        DataChoice(dataset, root, split, sequences, frames, masks, foreground),
        WorkChoice(output, jobs, shard, lenient, overwrite),
        TrackerChoice(tracker, choice, postprocess, history=False, memory=memory),
        prompt,
        protocol,
        meta,
        groups,
    )
    evaluate_vos(chosen, open_screen(quiet=quiet))


@app.command()
def pvs(
    dataset: DatasetName,
    root: Root,
    output: Output,
    split: Split = None,
    sequences: Sequences = None,
    frames: Frames = None,
    masks: Masks = None,
    foreground: Foreground = False,
    tracker: ClickTrackerName = "edgetam",
    mode: Annotated[
        str, typer.Option(metavar="offline|online", help="How to annotate.", rich_help_panel=_RUN)
    ] = "offline",
    rounds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Frames to prompt at most.", rich_help_panel=_RUN)
    ] = 8,
    clicks: Annotated[
        int, typer.Option(min=1, metavar="N", help="Clicks on each of them.", rich_help_panel=_RUN)
    ] = 3,
    threshold: Annotated[
        float,
        typer.Option(
            min=0, max=1, metavar="IOU", help="Online, prompt below this overlap.", rich_help_panel=_RUN
        ),
    ] = 0.75,
    postprocess: Postprocess = False,
    memory: options.Memory = "auto",
    jobs: Jobs = 1,
    shard: Shard = None,
    lenient: Lenient = False,
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
    """Interactive tracking: a simulated annotator clicks on the frames that went wrong."""
    from edgetam.cli.eval_pvs import PvsChoice, evaluate_pvs
    from edgetam.cli.eval_runs import DataChoice, WorkChoice
    from edgetam.cli.eval_trackers import TrackerChoice
    from edgetam.eval.protocols.pvs import Annotator

    choice = ModelChoice(model, weights, engine, device, precision, imgsz, threads)
    chosen = PvsChoice(
        DataChoice(dataset, root, split, sequences, frames, masks, foreground),
        WorkChoice(output, jobs, shard, lenient, overwrite),
        TrackerChoice(tracker, choice, postprocess, memory=memory),
        mode,
        Annotator(rounds, clicks, threshold),
    )
    evaluate_pvs(chosen, open_screen(quiet=quiet))


@app.command()
def sa(
    root: Annotated[
        list[Path],
        typer.Option(
            metavar="PATH",
            help="A folder with images/ and masks/, or COCO JSON; repeatable.",
            rich_help_panel=_DATA,
        ),
    ],
    output: Output,
    images: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Of COCO images; beside the JSON.", rich_help_panel=_DATA),
    ] = None,
    foreground: Foreground = False,
    clicks: Annotated[
        str, typer.Option(metavar="N,N", help="Score after so many clicks.", rich_help_panel=_RUN)
    ] = "1,5",
    tracker: ClickTrackerName = "edgetam",
    jobs: Jobs = 1,
    shard: Shard = None,
    lenient: Lenient = False,
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
    """Clicks on images: the mean overlap after one click, and after a few."""
    from edgetam.cli.eval_runs import WorkChoice
    from edgetam.cli.eval_sa import SaChoice, evaluate_sa, parse_clicks
    from edgetam.cli.eval_trackers import TrackerChoice

    choice = ModelChoice(model, weights, engine, device, precision, imgsz, threads)
    work = WorkChoice(output, jobs, shard, lenient, overwrite)
    segmenter = TrackerChoice(tracker, choice)
    chosen = SaChoice(tuple(root), images, work, segmenter, parse_clicks(clicks), foreground)
    evaluate_sa(chosen, open_screen(quiet=quiet))
