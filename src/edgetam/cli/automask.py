"""``edgetam automask``: everything in a picture, or in each picture of a folder."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from edgetam.atomic import atomic_folder, atomic_write, make_folder
from edgetam.cli import options
from edgetam.cli.options import ModelChoice, parse_kinds
from edgetam.cli.runs import default_folder, describe_source, open_run
from edgetam.cli.screen import STAND_IN, Screen, open_screen
from edgetam.errors import InputError, MediaError
from edgetam.io import overlay, read_image
from edgetam.io.images import folder_images
from edgetam.io.sa1b import write_sa1b
from edgetam.tracking import AutoMask, AutoMasker, AutoMaskOptions

__all__ = ["AutomaskJob", "app", "automask_images"]

app = typer.Typer(add_completion=False)

KINDS = ("json", "overlay", "objects")
_GRID = "Where to click, what to keep"


@dataclass(frozen=True)
class AutomaskJob:
    """What to mask and where to put it."""

    source: Path
    choice: ModelChoice
    options: AutoMaskOptions
    output: Path | None = None
    save: str = "json,overlay"
    overwrite: bool = False


@app.command()
def automask(
    source: Annotated[Path, typer.Argument(help="A picture, or a folder of pictures.")],
    points_per_side: Annotated[
        int, typer.Option(metavar="N", help="Of the grid of clicks.", rich_help_panel=_GRID)
    ] = 32,
    min_score: Annotated[
        float,
        typer.Option(metavar="0..1", help="The model's own estimate of the IoU.", rich_help_panel=_GRID),
    ] = 0.8,
    min_stability: Annotated[
        float, typer.Option(metavar="0..1", help="Of the outline.", rich_help_panel=_GRID)
    ] = 0.95,
    max_overlap: Annotated[
        float,
        typer.Option(metavar="0..1", help="IoU of boxes; the better mask stays.", rich_help_panel=_GRID),
    ] = 0.7,
    min_region: Annotated[
        int, typer.Option(metavar="N", help="Remove smaller holes and islands.", rich_help_panel=_GRID)
    ] = 0,
    crop_layers: Annotated[
        int, typer.Option(metavar="N", help="Also look at 4, 16, ... enlarged parts.", rich_help_panel=_GRID)
    ] = 0,
    refine: Annotated[
        bool, typer.Option("--refine", help="Ask again with each answer.", rich_help_panel=_GRID)
    ] = False,
    output: options.Output = None,
    save: Annotated[
        str, typer.Option(metavar="LIST", help="Of json,overlay,objects.", rich_help_panel="Results")
    ] = "json,overlay",
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
    """Mask everything in a picture, or in each picture of a folder.

    JSON files are laid out as those of SA-1B, so that 'edgetam train' can learn from them. The same
    command again completes an interrupted run.
    """
    choice = ModelChoice(model, weights, engine, device, precision, imgsz, threads)
    wanted = AutoMaskOptions(
        points_per_side=points_per_side,
        min_score=min_score,
        min_stability=min_stability,
        max_overlap=max_overlap,
        min_region=min_region,
        crop_layers=crop_layers,
        refine=refine,
    )
    automask_images(AutomaskJob(source, choice, wanted, output, save, overwrite), open_screen(quiet=quiet))


def automask_images(job: AutomaskJob, screen: Screen) -> Path:
    """Mask everything in each picture; returns the folder of the results.

    Raises:
        EdgeTAMError: anything that cannot be used; a picture that cannot be read is left out until all others
            have been written.
    """
    kinds = parse_kinds(job.save, KINDS)
    job.choice.check()
    pictures = _pictures(job.source)
    _check_readable(pictures, job.source)
    about = {
        # pictures may come and go: each has results of its own
        "source": describe_source(str(job.source)),
        "options": dataclasses.asdict(job.options),
        "model": job.choice.identity,
    }
    folder = job.output or default_folder(job.source.resolve().name, file=job.source.is_file())
    places = [f"{path.stem}.json" for path in pictures] if "json" in kinds else []
    places += [kind for kind in kinds if kind != "json"]
    run = open_run(folder, about, places, overwrite=job.overwrite)
    masker = AutoMasker(job.choice.load(partial="image"), job.options)
    run.note()
    bad: list[str] = []
    for path in pictures:
        if run.resume and all(_place(folder, kind, path).exists() for kind in kinds):
            screen.say(f"{path.name}: already there")
            continue
        try:
            image = read_image(path)
        except MediaError as error:
            screen.note(f"edgetam: warning: {error}")
            bad.append(path.name)
            continue
        with screen.watching(path.name, "clicks/s") as told:
            masks = masker.generate(image, told)
        _write(folder, kinds, path, image, masks)
        screen.say(f"{path.name}: {len(masks)} masks{'' if masks else _why_none(job.options)}")
    screen.say(f"results  {folder}")
    if job.choice.stand_in:
        screen.note(STAND_IN)
    if bad:
        raise MediaError(
            f"{len(bad)} of {len(pictures)} pictures could not be read ({', '.join(bad[:3])}"
            f"{', ...' if len(bad) > 3 else ''}); repair or remove them, and the same command does the rest."
        )
    return folder


def _check_readable(pictures: list[Path], source: Path) -> None:
    """Find a picture that can be read, before a model is loaded and a folder is made."""
    for path in pictures:
        try:
            read_image(path)
        except MediaError:
            if len(pictures) == 1:
                raise
        else:
            return
    raise MediaError(f"None of the {len(pictures)} pictures in '{source}' can be read; fetch them again.")


def _pictures(source: Path) -> list[Path]:
    """Pictures to look at, whose results can be told apart by their names."""
    if not source.is_dir():
        return [source]
    pictures = folder_images(source)
    count = Counter(path.stem for path in pictures)
    twice = [path.name for path in pictures if count[path.stem] > 1]
    if twice:
        raise InputError(
            f"'{source}' holds {' and '.join(twice[:2])}, whose results would have the same name; rename one."
        )
    return pictures


def _why_none(options: AutoMaskOptions) -> str:
    return (
        f"; no answer had a score above {options.min_score:g} and a stability of "
        f"{options.min_stability:g}, so lower --min-score and --min-stability"
    )


def _place(folder: Path, kind: str, picture: Path) -> Path:
    return {
        "json": folder / f"{picture.stem}.json",
        "overlay": folder / "overlay" / f"{picture.stem}.png",
        "objects": folder / "objects" / picture.stem,
    }[kind]


def _write(
    folder: Path, kinds: tuple[str, ...], picture: Path, image: NDArray[np.uint8], masks: list[AutoMask]
) -> None:
    make_folder(folder)
    if "objects" in kinds:
        with atomic_folder(_place(folder, "objects", picture)) as objects:
            for number, found in enumerate(masks, 1):
                (objects / f"{number:03d}.png").write_bytes(_png(found.mask.astype(np.uint8) * 255))
    if "overlay" in kinds:
        path = _place(folder, "overlay", picture)
        make_folder(path.parent)
        atomic_write(path, _png(_drawn(image, masks)[..., ::-1]))
    if "json" in kinds:
        size = (image.shape[1], image.shape[0])
        write_sa1b(_place(folder, "json", picture), picture.name, size, masks)


def _drawn(image: NDArray[np.uint8], masks: list[AutoMask]) -> NDArray[np.uint8]:
    """Small masks on top, so that all are seen."""
    by_size = sorted(masks, key=lambda found: found.area)
    return overlay(image, {number: found.mask for number, found in enumerate(by_size, 1)})


def _png(pixels: NDArray[np.uint8]) -> bytes:
    _, data = cv2.imencode(".png", pixels)
    return data.tobytes()
