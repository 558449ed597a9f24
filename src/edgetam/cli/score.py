"""``edgetam score``: score predicted masks by the rules of a benchmark."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from edgetam.atomic import check_file
from edgetam.cli import options
from edgetam.cli.runs import check_writable
from edgetam.cli.screen import Screen, open_screen
from edgetam.errors import InputError, MediaError
from edgetam.eval.metrics import Scores, score_folder
from edgetam.eval.report import Comparison, Illustrations, Row, as_json, compare, write_report, write_scores

__all__ = ["ScoreChoice", "app", "name_gaps", "score_predictions", "show_scores"]

app = typer.Typer(add_completion=False)

_SHOWN = 10
"""Rows of the table of sequences."""


@dataclass(frozen=True)
class ScoreChoice:
    """What to score, how, and where results go."""

    protocol: str
    gt: Path
    predictions: Sequence[Path]
    names: Sequence[str] = ()
    split: str | None = None
    meta: Path | None = None
    groups: Path | None = None
    sequences: Sequence[str] = ()
    lenient: bool = False
    jobs: int = 1
    output: Path | None = None
    report: Path | None = None
    images: Path | None = None
    as_json: bool = False

    def named(self) -> dict[str, Path]:
        """Return the predictions by name: what was given, else the shortest ends of their paths that differ.

        Raises:
            InputError: there are not as many names as predictions, or two are the same.
        """
        if self.names and len(self.names) != len(self.predictions):
            raise InputError(
                f"There are {len(self.names)} --name for {len(self.predictions)} --pred; give one for "
                "each, or none."
            )
        names = list(self.names) or _ends([path.absolute() for path in self.predictions])
        if len(set(names)) < len(names):
            twice = max(names, key=names.count)
            raise InputError(f"Two predictions are called '{twice}'; give each another --name.")
        return dict(zip(names, self.predictions, strict=True))


def _ends(paths: Sequence[Path]) -> list[str]:
    length = 1
    while len({path.parts[-length:] for path in paths}) < len(set(paths)):
        length += 1
    return ["/".join(path.parts[-length:]) for path in paths]


@app.command()
def score(
    protocol: Annotated[str, typer.Option(metavar="NAME", help="davis2017, sav, mosev2, youtube-vos, ...")],
    gt: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The benchmark's root, or its folder of sequences.")
    ],
    pred: Annotated[
        list[Path], typer.Option(metavar="FOLDER", help="Predicted masks; several are compared.")
    ],
    name: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="What to call each prediction.")
    ] = None,
    split: Annotated[str | None, typer.Option(metavar="NAME", help="val, test-dev, ...")] = None,
    sequences: Annotated[str | None, typer.Option(metavar="A,B", help="Only these sequences.")] = None,
    meta: Annotated[
        Path | None, typer.Option(metavar="FILE", help="meta.json, when it is not in the root.")
    ] = None,
    groups: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Which categories or videos are unseen.")
    ] = None,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="Score what is there and list what is not.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Processes.")] = 1,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="For JSON and CSV files.", rich_help_panel="Results"
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For a page to look at.", rich_help_panel="Results")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Frames to draw errors on.", rich_help_panel="Results"),
    ] = None,
    print_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for programs.", rich_help_panel="Results")
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Score predicted masks by the rules of a benchmark."""
    only = tuple(part.strip() for part in (sequences or "").split(",") if part.strip())
    if sequences is not None and not only:
        raise InputError(f"--sequences is '{sequences}'; expected names such as a,b.")
    choice = ScoreChoice(
        protocol,
        gt,
        pred,
        name or (),
        split,
        meta,
        groups,
        only,
        lenient,
        jobs,
        output,
        report,
        images,
        print_json,
    )
    score_predictions(choice, open_screen(quiet=quiet))


def score_predictions(choice: ScoreChoice, screen: Screen) -> None:
    """Score all predictions, print tables and write what was asked for.

    Raises:
        EdgeTAMError: something cannot be used, scored or written.
    """
    named = choice.named()
    _check_places(choice)
    comparison = compare({name: _score(choice, name, pred, screen) for name, pred in named.items()})
    name_gaps(comparison, screen)
    _write(choice, comparison)
    if choice.as_json:
        # also when quiet: that is about what people read
        typer.echo(json.dumps({name: as_json(scores) for name, scores in comparison.scores.items()}))
        return
    if not screen.quiet:
        show_scores(comparison)
    for path in (choice.output, choice.report):
        if path is not None:
            screen.note(f"Wrote {path}.")


def _check_places(choice: ScoreChoice) -> None:
    """Find out before all is scored whether what comes of it can be written, and drawn."""
    if choice.output is not None:
        check_writable(choice.output)
    if choice.report is not None:
        check_file(choice.report, make=False)
    if choice.images is not None and not choice.images.is_dir():
        raise MediaError(
            f"There is no folder '{choice.images}'; expected --images to be where the frames are."
        )


def _score(choice: ScoreChoice, name: str, pred: Path, screen: Screen) -> Scores:
    with screen.watching(f"scoring {name}") as progress:
        return score_folder(
            choice.protocol,
            choice.gt,
            pred,
            split=choice.split,
            meta=choice.meta,
            groups=choice.groups,
            sequences=choice.sequences,
            lenient=choice.lenient,
            jobs=choice.jobs,
            progress=progress,
        )


def name_gaps(comparison: Comparison, screen: Screen) -> None:
    """Say what was left out and what may surprise."""
    for name, scores in comparison.scores.items():
        where = f"{name}: " if len(comparison.names) > 1 else ""
        for kind, lines in (("left out", scores.missing), ("note", scores.notes)):
            for line in lines[:_SHOWN]:
                screen.note(f"{where}{kind}: {line}")
            if len(lines) > _SHOWN:
                screen.note(f"{where}{kind}: {len(lines) - _SHOWN} more; -o and --report write all of them.")


def _write(choice: ScoreChoice, comparison: Comparison) -> None:
    """Write tables, one folder for each prediction where there are several, and the page."""
    if choice.output is not None:
        for name, scores in comparison.scores.items():
            many = len(comparison.names) > 1
            write_scores(scores, choice.output / name if many else choice.output)
    if choice.report is not None:
        write_report(comparison, choice.report, Illustrations(choice.images))


def show_scores(comparison: Comparison) -> None:
    """Print summary and worst sequences, in percent, with the differences from the first prediction."""
    console = Console(markup=False, emoji=False, highlight=False)
    summary = comparison.summary()
    table = _table(f"{comparison.protocol}, percent", comparison.names)
    for measure in _measures(summary):
        _add(table, measure, summary.values(measure))
    console.print(table)
    rows = comparison.sequences()
    worst = _table("worst sequences, J&F", comparison.names)
    for row in rows[:_SHOWN]:
        _add(worst, row.sequence, row.values("J&F"))
    if len(rows) > _SHOWN:
        worst.add_row(f"... and {len(rows) - _SHOWN} more")
    console.print(worst)


def _table(title: str, names: Sequence[str]) -> Table:
    table = Table(title)
    for name in (*names, *(f"{name} - {names[0]}" for name in names[1:])):
        table.add_column(name, justify="right")
    return table


def _measures(row: Row) -> list[str]:
    return list(dict.fromkeys(name for table in row.scores for name in table or ()))


def _add(table: Table, label: str, values: Sequence[float]) -> None:
    changes = [_percent(value - values[0], sign=True) for value in values[1:]]
    table.add_row(label, *(_percent(value) for value in values), *changes)


def _percent(value: float, *, sign: bool = False) -> str:
    if math.isnan(value):
        return "-"
    return f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}"
