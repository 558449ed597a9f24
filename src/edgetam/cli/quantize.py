"""``edgetam quantize``: calibrate int8, and show what it gains and costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgetam.cli import options
from edgetam.cli.options import ModelChoice
from edgetam.cli.screen import Screen, open_screen
from edgetam.engine.requirements import require_torch
from edgetam.errors import OutputError

if TYPE_CHECKING:
    from edgetam.engine.source import Source
    from edgetam.engine.verbs import GraphEngine
    from edgetam.eval.datasets import Dataset
    from edgetam.quantize import Report

__all__ = ["QuantizeJob", "app", "quantize_weights"]

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class QuantizeJob:
    """What to quantise and how to compare it.

    Attributes:
        choice: model, weights, size and threads.
        frames: videos or folders to calibrate on; the bundled clip where there are none.
        parts: graphs that compute in int8, separated by commas; by default memory attention.
        root: a data set laid out like DAVIS, to compare on.
        output: a JSON file for the report.
        overwrite: replace ``output``.
    """

    choice: ModelChoice
    frames: tuple[str, ...]
    parts: str | None
    root: Path | None
    output: Path | None
    overwrite: bool


@app.command()
def quantize(
    frames: Annotated[
        list[str] | None,
        typer.Option(metavar="VIDEO|FOLDER", help="To calibrate on; repeatable (the bundled clip)."),
    ] = None,
    parts: Annotated[
        str | None, typer.Option(metavar="A,B", help="Of encode, attend, track, remember (attend).")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A folder like DAVIS, to compare on, with J&F.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="JSON", help="The comparison as a file.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    model: options.Model = None,
    weights: options.Checkpoint = None,
    imgsz: options.ImageSize = None,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
) -> None:
    """Calibrate int8 for OpenVINO (--precision int8), and compare it with fp32 and bf16."""
    choice = ModelChoice(model, weights, image_size=imgsz, threads=threads)
    job = QuantizeJob(choice, tuple(frames or ()), parts, root, output, overwrite)
    quantize_weights(job, open_screen(quiet=quiet))


def quantize_weights(job: QuantizeJob, screen: Screen) -> None:
    """Calibrate, keep the graphs in the cache and compare them.

    Raises:
        EdgeTAMError: see `edgetam.quantize.quantize`.
    """
    job.choice.check()
    require_torch("Quantising")
    from edgetam.atomic import atomic_write, check_file
    from edgetam.engine.source import Source
    from edgetam.eval.datasets import get_benchmark, open_dataset
    from edgetam.quantize import Clip, bundled_clip, check_parts, measure, quantize
    from edgetam.quantize.calibrate import DEFAULT_PARTS, FRAMES
    from edgetam.weights.registry import weights_path

    choice = job.choice
    given = [part.strip() for part in (job.parts or "").split(",") if part.strip()]
    parts = DEFAULT_PARTS if job.parts is None else tuple(dict.fromkeys(given))
    check_parts(parts)
    if job.output is not None:
        check_file(job.output)
        if job.output.exists() and not job.overwrite:
            raise OutputError(f"'{job.output}' exists; pass --overwrite, or choose another name.")
    dataset = None if job.root is None else open_dataset(get_benchmark("generic"), job.root)
    clips = [Clip(source) for source in job.frames] or [bundled_clip()]
    for clip in clips:
        clip.check()
    if dataset is not None:
        _check(dataset, screen)
    path = weights_path(choice.name, choice.weights)
    source = Source.of_weights(path, choice.name, choice.image_size)
    quantize(source, clips, parts, threads=choice.threads, say=screen.note)
    seen = FRAMES if dataset is None else 0
    report = measure(_engines(source, choice.threads), clips, dataset, calibrated=seen, say=screen.note)
    _show(report, parts, screen)
    if job.output is not None:
        atomic_write(job.output, json.dumps(report.as_json(), indent=1).encode())


def _check(dataset: Dataset, screen: Screen) -> None:
    from edgetam.quantize import check_truth

    screen.note(f"Reading {len(dataset.names)} sequences, to find what is damaged before it is needed.")
    if without := check_truth(dataset):
        screen.note(
            f"edgetam: {len(without)} of {len(dataset.names)} sequences in '{dataset.root}', such as "
            f"'{without[0]}', have no mask between the prompts and the last frame with one, and get no J&F."
        )


def _engines(source: Source, threads: int | None) -> Mapping[str, GraphEngine]:
    from edgetam.engine.openvino import capabilities, openvino_engine

    precisions = ("fp32", "bf16", "int8") if "BF16" in capabilities() else ("fp32", "int8")
    return {precision: openvino_engine(source, precision, threads) for precision in precisions}


def _show(report: Report, parts: tuple[str, ...], screen: Screen) -> None:
    names = list(next(iter(report.cases.values())).ms)
    heads = "".join(f"{name:>10}" for name in names)
    screen.say(f"{report.image_size} pixels, {report.frames} tracked frames; int8: {', '.join(parts)}")
    if report.calibrated:
        screen.say(f"(int8 was calibrated on the first {report.calibrated} frames of each clip)")
    screen.say(f"{'ms':<6}{heads}{'frame':>10}{'mean IoU':>10}{'least':>8}{'J&F':>8}")
    for name, case in report.cases.items():
        times = "".join(f"{_number(case.ms[part], 1):>10}" for part in names)
        screen.say(
            f"{name:<6}{times}{_number(case.ms_per_frame, 1):>10}"
            f"{_number(case.mean_iou, 4):>10}{_number(case.least_iou, 4):>8}{_number(case.jf, 2):>8}"
        )
    screen.say(f"{'MB':<6}{heads}")
    for name, case in report.cases.items():
        screen.say(f"{name:<6}" + "".join(f"{case.megabytes[part]:>10.2f}" for part in names))


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
