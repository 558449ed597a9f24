"""What people see: lines, and a bar with frames per second and the time left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["STAND_IN", "Screen", "open_screen", "set_log_levels"]

STAND_IN = (
    "These weights are a stand-in that this project trained on a small budget; for the published ones run "
    "'edgetam weights download edgetam' and pass --weights edgetam."
)


class _RateColumn(ProgressColumn):
    """How fast it goes, such as in frames per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """Show the rate of now, or nothing yet."""
        return Text(f"{task.speed:.1f} {self.unit}" if task.speed else "")


class Screen:
    """Prints, unless quiet.

    Args:
        quiet: nothing but errors.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, text: str) -> None:
        """Print a line of the result."""
        if not self.quiet:
            typer.echo(text)

    def note(self, text: str) -> None:
        """Print a line about the run."""
        if not self.quiet:
            typer.echo(text, err=True)

    @contextmanager
    def counting(self, what: str, total: int | None) -> Iterator[Callable[[], None]]:
        """Show a bar; call what is handed out once per frame."""
        with self._bar() as bar:
            if bar is None:
                yield lambda: None
                return
            task = bar.add_task(what, total=total)
            yield lambda: bar.advance(task)

    @contextmanager
    def watching(self, what: str, unit: str = "fps") -> Iterator[Callable[[int, int], None]]:
        """Show a bar; call what is handed out with the frames done and the frames in all."""
        with self._bar(unit) as bar:
            if bar is None:
                yield lambda done, total: None
                return
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    @contextmanager
    def _bar(self, unit: str = "fps") -> Iterator[Progress | None]:
        console = Console(stderr=True)
        # Bars are for people: a log file gets the lines alone.
        if self.quiet or not console.is_terminal:
            yield None
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(unit),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            yield bar


def open_screen(*, quiet: bool = False) -> Screen:
    """The screen of a command, with the package's log as quiet as the command is."""
    set_log_levels(quiet=quiet)
    return Screen(quiet=quiet)


def set_log_levels(*, quiet: bool) -> None:
    """Warnings are for people, unless quiet."""
    logging.getLogger("edgetam").setLevel(logging.ERROR if quiet else logging.WARNING)
    # engines say when they convert a model, which takes a while
    logging.getLogger("edgetam.engine").setLevel(logging.ERROR if quiet else logging.INFO)
