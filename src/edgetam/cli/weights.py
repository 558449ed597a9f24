"""``edgetam weights``: list, inspect, download and convert checkpoints; clean up conversions."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from edgetam.errors import OutputError, WeightsError
from edgetam.weights.bundled import BUNDLED_LICENCE, bundled_path
from edgetam.weights.cache import cache_dir, sha256_of
from edgetam.weights.registry import OWN, REGISTRY, Published, cached_path, download, published_as, resolve

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, help="List, inspect, download and convert checkpoints; clean up conversions."
)

_MB = 1_000_000


@app.command("list")
def list_() -> None:
    """Show the weights that go by a name, and which of them are on this machine."""
    table = Table("name", "size", "here", "licence", "published scores (J&F, percent)")
    with suppress(WeightsError):  # an installation without them
        size = _size(bundled_path().stat().st_size)
        table.add_row(OWN[0], size, "yes", BUNDLED_LICENCE, "(ours, a stand-in: see the model card)")
    for entry in REGISTRY.values():
        table.add_row(entry.name, _size(entry.size), _here(entry), entry.licence, _scores(entry))
    console = _console()
    console.print(table)
    console.print(f"Downloads are kept in {cache_dir()}.", soft_wrap=True)


def _console() -> Console:
    return Console(markup=False, emoji=False, highlight=False)


def _size(size: int | None) -> str:
    return "unknown" if size is None else f"{size / _MB:.0f} MB"


def _here(entry: Published) -> str:
    return "yes" if cached_path(entry.name) else "no"


def _scores(entry: Published) -> str:
    return ", ".join(f"{name} {score:.1f}" for name, score in entry.scores.items())


@app.command()
def info(
    source: Annotated[
        str, typer.Argument(metavar="PATH_OR_NAME", help="A file, a published name or a hub repository.")
    ] = OWN[0],
) -> None:
    """Say what a checkpoint is. A published one that is not here is described, not downloaded."""
    entry = REGISTRY.get(source)
    console = _console()
    if entry is not None and not Path(source).exists() and cached_path(source) is None:
        facts = {"name": entry.name, **_published_facts(entry), "address": entry.urls[0], "here": "no"}
    else:
        path = resolve(source)
        facts = _file_facts(path)
        known = published_as(path)
        if known is not None:
            facts |= {"published as": known.name, **_published_facts(known)}
    width = max(map(len, facts))
    for key, value in facts.items():  # no table: it would shorten paths and sums where the screen is narrow
        console.print(f"{key:<{width}}  {value}", soft_wrap=True)


def _published_facts(entry: Published) -> dict[str, str]:
    return {
        "size": _size(entry.size),
        "sha256": entry.sha256 or "unknown",
        "licence": entry.licence,
        "scores": _scores(entry),
    }


def _file_facts(path: Path) -> dict[str, str]:
    from edgetam.weights.files import read  # needs PyTorch, which lists and downloads do without
    from edgetam.weights.load import load_state

    stored = read(path).state
    loaded = load_state(path, partial="image")
    # Names tell parameters from the counters and averages of batch normalisation.
    parameters = sum(
        tensor.numel()
        for name, tensor in loaded.state.items()
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked", ".frequencies"))
    )
    dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in stored.values()})
    return {
        "file": str(path),
        "layout": loaded.layout,
        "model": loaded.config.name + (" (image only)" if loaded.image_only else ""),
        "image size": str(loaded.config.image_size),
        "tensors": str(len(stored)),
        "parameters": f"{parameters:,}",
        "dtype": ", ".join(dtypes),
        "size": _size(path.stat().st_size),
        "sha256": sha256_of(path),
        **{key: value for key, value in loaded.metadata.items() if key not in ("format", "dtype", "config")},
    }


@app.command("download")
def download_(
    name: Annotated[str, typer.Argument(help="A published name, an address or a hub repository.")],
) -> None:
    """Fetch a published checkpoint into the cache and print where it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)

        def progress(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        is_published = name in REGISTRY
        path = download(name, progress=progress) if is_published else resolve(name, progress=progress)
    typer.echo(path)


@app.command("convert")
def convert_(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A file or a published name.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="The file to write.")],
    to: Annotated[str, typer.Option("--to", help="native, official or hf.")] = "native",
    dtype: Annotated[str, typer.Option(help="float32, float16 or bfloat16.")] = "float32",
    force: Annotated[bool, typer.Option("--force", help="Replace DST if it exists.")] = False,
) -> None:
    """Write a checkpoint in another layout."""
    from edgetam.weights.load import convert

    if target.exists() and not force:
        raise OutputError(f"{target} exists already; pass --force to replace it, or another name.")
    path = resolve(source)
    known = published_as(path)
    notes = {"licence": known.licence} if known is not None else {}
    typer.echo(convert(path, target, to, dtype, notes))


@app.command("average")
def average_(
    sources: Annotated[list[str], typer.Argument(metavar="SRC...", help="Files or published names.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The native file to write.")],
    share: Annotated[
        list[float] | None,
        typer.Option("--share", help="How much each counts, once for each; alike if none."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32, float16 or bfloat16.")] = "float32",
    force: Annotated[bool, typer.Option("--force", help="Replace the output if it exists.")] = False,
) -> None:
    """Write the mean of weights that were trained from the same ones."""
    from edgetam.weights.averaging import average

    if output.exists() and not force:
        raise OutputError(f"{output} exists already; pass --force to replace it, or another name.")
    typer.echo(average([resolve(source) for source in sources], output, share or None, dtype))


@app.command()
def clean(
    days: Annotated[
        int, typer.Option(min=0, help="Keep what was used in the last so many days; 0 keeps nothing.")
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove models that engines converted and have not used for a while.

    They are converted again when needed, except int8 ones, which 'edgetam quantize' makes. Downloads stay.
    """
    from edgetam.engine.store import remove, unneeded

    console, found = _console(), unneeded(days)
    for each in found:
        if not dry_run:
            remove(each.folder)
        console.print(f"{_size(each.size):>8}  {each.days:4.0f} days  {each.folder}", soft_wrap=True)
    what = "would be removed" if dry_run else "removed"
    folders = "1 folder" if len(found) == 1 else f"{len(found)} folders"
    console.print(f"{folders} with {_size(sum(each.size for each in found))} {what}.")
