"""Files appear whole or not at all.

Bytes go to a hidden temporary file in the same folder, are flushed to the disk, and only then
take the final name: a reader never sees half a file, and an interruption leaves the old one.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from edgetam.errors import OutputError

__all__ = [
    "atomic_folder",
    "atomic_open",
    "atomic_path",
    "atomic_write",
    "check_file",
    "make_folder",
    "output_error",
]

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file would be larger than this system allows; choose another folder",
    errno.EACCES: "this user may not write there; choose another folder",
    errno.EPERM: "this user may not write there; choose another folder",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.ENOTDIR: "a part of that path is a file, not a folder; choose another folder",
    errno.EEXIST: "a file of that name is in the way; choose another folder",
    errno.EISDIR: "a folder of that name is in the way; choose another name",
    errno.ENOENT: "the folder does not exist; create it first",
    errno.ENAMETOOLONG: "the name is too long for this disk; choose a shorter one",
}


def output_error(path: str | os.PathLike[str], error: OSError) -> OutputError:
    """Say in one sentence why `path` could not be written."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"Cannot write '{os.fspath(path)}': {reason}.")


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Create a folder and its parents where they are missing.

    Raises:
        OutputError: the folder cannot be created.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
    return folder


def check_file(path: str | os.PathLike[str], *, make: bool = True) -> None:
    """Find out whether a file can be written, before what it is to hold is made.

    Args:
        path: the file.
        make: create its folder where that is missing.

    Raises:
        OutputError: it cannot.
    """
    target = Path(path)
    if make:
        make_folder(target.parent)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise output_error(target, error) from error


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Lend a temporary path that becomes `path` when the block ends well and vanishes otherwise.

    The temporary name keeps the suffix, for writers that choose a format by it.

    Raises:
        OutputError: the disk is full, or the folder is missing or not writable.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part" + target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _flush(temporary)
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(target)
    except OSError as error:
        raise output_error(_blamed(target, error), error) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def atomic_open(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open `path` for writing bytes; it takes its name only when the block ends well.

    Raises:
        OutputError: the disk is full, or the folder is missing or not writable.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        yield file


def atomic_write(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Write `data` to `path`, whole or not at all.

    Raises:
        OutputError: the disk is full, or the folder is missing or not writable.
    """
    with atomic_open(path) as file:
        file.write(data)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Lend a temporary folder that becomes `path` when the block ends well and vanishes otherwise.

    A folder that is there is replaced.

    Raises:
        OutputError: the disk is full, or the folder cannot be written.
    """
    target = Path(path)
    make_folder(target.parent)
    temporary: Path | None = None
    try:
        temporary = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=target.parent))
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush(file)
        temporary.chmod(0o777 & ~_UMASK)
        if target.exists():
            target.replace(temporary.with_suffix(".old"))
        temporary.replace(target)
    except OSError as error:
        raise output_error(_blamed(target, error), error) from error
    finally:
        if temporary is not None:
            old = temporary.with_suffix(".old")
            if old.exists() and not target.exists():  # stopped between the two steps
                old.replace(target)
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _blamed(target: Path, error: OSError) -> Path:
    """What could not be written: `target`, or a file elsewhere (a temporary one, say) whose disk is full."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not isinstance(error.filename, str):
        return target
    file = Path(error.filename).absolute()
    return target if target.absolute().parent in file.parents else file


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


# Read once: setting the mask, the only way to read it, would race between threads.
_UMASK = _read_umask()
