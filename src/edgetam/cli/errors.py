"""Failures as people and scripts meet them: one sentence on stderr and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import re
import traceback
from typing import NoReturn

import typer

from edgetam.errors import EdgeTAMError, EngineError, InputError, OutputError, WeightsError
from edgetam.io.paths import shortened

__all__ = [
    "EXIT_INTERRUPTED",
    "EXIT_UNEXPECTED",
    "StderrHandler",
    "StoppedError",
    "exit_code",
    "fail",
    "say_error",
    "show_traceback",
]

EXIT_UNEXPECTED = 1
EXIT_INTERRUPTED = 130
_CODES: tuple[tuple[type[EdgeTAMError], int], ...] = (
    (InputError, 2),
    (WeightsError, 3),
    (EngineError, 3),
    (OutputError, 4),
)
# The library speaks of arguments, the command line of options.
_WORDS = {
    "on_bad_frame='skip'": "--on-bad-frame skip",
    "start anew without resuming": "pass --overwrite",
    "or set TrackerOptions(history=False)": "or leave out --both",
    "pass a checkpoint file, or a name such as edgetam": "give --weights a file, or a name such as edgetam",
}
_OPTION = re.compile(r"\b(engine|device|precision)='([^']*)'")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_PATHS = {
    getattr(errno, name)
    for name in ("ENAMETOOLONG", "EACCES", "EPERM", "EROFS", "ENOTDIR", "EISDIR", "ELOOP")
}
"""What is wrong with a path and not with the program."""
_debug = False


class StoppedError(Exception):
    """Ctrl-C, after files were completed and people told where they are."""


def show_traceback(on: bool) -> None:
    """Choose whether errors come with where they happened."""
    global _debug
    _debug = on or os.environ.get("EDGETAM_DEBUG", "").strip().lower() in {"1", "true", "yes", "on"}


def exit_code(error: BaseException) -> int:
    """Return 2 for bad input, 3 for weights and engines, 4 for output, 130 for Ctrl-C, otherwise 1."""
    if isinstance(error, (KeyboardInterrupt, typer.Abort, StoppedError)):
        return EXIT_INTERRUPTED
    if isinstance(error, OSError) and error.errno in _FULL:
        return 4
    if isinstance(error, OSError) and error.errno in _PATHS and error.filename:
        return 2
    return next((code for kind, code in _CODES if isinstance(error, kind)), EXIT_UNEXPECTED)


def fail(error: BaseException) -> NoReturn:
    """Say what happened on stderr and leave with the exit code for it."""
    if _debug:
        traceback.print_exception(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "torch":
        error = EngineError("This command needs PyTorch, which is not installed; run: pip install torch")
    if isinstance(error, EdgeTAMError):
        say_error(str(error))
    elif isinstance(error, (KeyboardInterrupt, typer.Abort)):
        typer.echo("edgetam: stopped.", err=True)
    elif not isinstance(error, StoppedError):  # that one has said where things are
        say_error(_unexpected(error))
    raise typer.Exit(exit_code(error))


def say_error(text: str) -> None:
    """Print one error."""
    for word, option in _WORDS.items():
        text = text.replace(word, option)
    text = _OPTION.sub(r"--\1 \2", text)
    typer.echo(f"edgetam: error: {' '.join(text.split())}", err=True)


def _unexpected(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"The disk is full ({error.filename or 'temporary files'}); free some space and try again."
    if isinstance(error, OSError) and error.errno in _PATHS and error.filename:
        return f"Cannot use '{shortened(error.filename)}' ({error.strerror}); check the path."
    if isinstance(error, MemoryError):
        return "There is not enough memory; try a smaller --imgsz or fewer objects."
    what = str(error).strip() or "no details"
    return (
        f"Something went wrong that should not have ({type(error).__name__}: {what.splitlines()[0]}); "
        "run it again as 'edgetam --traceback ...' and report what it prints."
    )


class StderrHandler(logging.Handler):
    """Warnings and notes of the library, in the voice of the command line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        typer.echo(f"edgetam: {level}{' '.join(record.getMessage().split())}", err=True)
