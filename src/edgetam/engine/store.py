"""Converted models on disk, so that conversion happens once and later starts need no PyTorch.

An artifact is a folder of files with their hashes. It appears whole or not at all, is checked every time it
is read, and is made again when it is damaged. What is whole is not replaced: others may be reading it. Where
the cache cannot be written, what is in it is still used, and what is missing lives in a temporary folder.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, TextIO

from edgetam.errors import EngineError, OutputError
from edgetam.locks import alone
from edgetam.weights.cache import cache_dir, sha256_of

__all__ = ["Store", "Unneeded", "remove", "unneeded"]

SUMS = "sha256.json"
DAY_S = 86_400.0
PATIENCE_S = 10.0
"""How long others may take to put an artifact in place, which is a matter of milliseconds."""
_DISK = {
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO") if hasattr(errno, name)
}
_log = logging.getLogger(__name__)
_warned: set[Path] = set()
"""Caches that were said to be of no use: once per process is enough."""


class Store:
    """Artifacts that belong to one set of facts.

    Args:
        runtime: name and version of the runtime; one folder of the cache (versions may have slashes).
        facts: everything else the artifacts depend on.

    Raises:
        OutputError: the user has no home folder, and there is no temporary folder either.
    """

    def __init__(self, runtime: str, *facts: object) -> None:
        self.runtime, self.facts = runtime, facts
        key = hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
        self._root = _root()
        self.folder = self._root / runtime.replace("/", "-") / key
        self._spare: tempfile.TemporaryDirectory[str] | None = None
        self._said = False

    def get(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder of an artifact, made by ``make(folder)`` if it is not there or damaged.

        Raises:
            OutputError: neither the cache nor a temporary folder can be written.
            EngineError: ``make`` failed for another reason.
        """
        folder = self.folder / name
        if _is_whole(folder):
            with suppress(OSError):
                os.utime(self.folder)  # for `unneeded`: in use today
            return folder
        if self._spare is None:
            if _is_there(folder):
                _log.warning("%s is damaged, or may not be read; making it again.", folder)
            try:
                return self._keep(name, make, replace=False)
            except OSError as error:
                self._warn_once(error)
        try:
            return self._get_spare(name, make)
        except OSError as error:
            raise OutputError(
                f"Converted models can be written neither to the cache {self.folder} nor to a temporary "
                f"folder ({error.strerror or error}); free some space, or set EDGETAM_CACHE to a folder that "
                "can be written."
            ) from error

    def say_converting(self, name: str, runtime: str) -> None:
        """Tell the log what takes a while now; where nobody set one up, tell people once if they look.

        Args:
            name: of the artifact.
            runtime: what people call it.
        """
        _log.info("Converting '%s' for %s; this happens once.", name, runtime)
        unheard = not _log.hasHandlers() and _log.isEnabledFor(logging.WARNING)  # else somebody has chosen
        if unheard and not self._said and _is_watched(sys.stderr):
            self._said = True
            said = f"edgetam: converting the model for {runtime}, which takes a while and happens once."
            print(said, file=sys.stderr)

    def _warn_once(self, error: OSError) -> None:
        if self._root in _warned:
            return
        _warned.add(self._root)
        _log.warning(
            "The cache %s cannot be used (%s); models are converted again at every start. Free some "
            "space, or set EDGETAM_CACHE to a folder that can be written.",
            self._root,
            error.strerror or error,
        )

    def _get_spare(self, name: str, make: Callable[[Path], None]) -> Path:
        if self._spare is None:
            self._spare = tempfile.TemporaryDirectory(prefix="edgetam-")
        root = Path(self._spare.name)
        folder = root / name
        return folder if _is_whole(folder) else _make(folder, make, root, replace=False)

    def check(self) -> None:
        """Find out whether `put` can write, before what it is to keep is made.

        Raises:
            OutputError: the cache cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryDirectory(dir=self.folder, prefix=".", suffix=".part").cleanup()
        except OSError as error:
            raise self._unwritable(error) from error

    def put(self, name: str, make: Callable[[Path], None]) -> Path:
        """Make an artifact in any case; one that is there is replaced.

        Raises:
            OutputError: the cache cannot be written.
        """
        try:
            return self._keep(name, make, replace=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"The cache {self.folder} cannot be written ({error.strerror or error}); free some space, or "
            "set EDGETAM_CACHE to a folder that can be written."
        )

    def _keep(self, name: str, make: Callable[[Path], None], *, replace: bool) -> Path:
        folder = _make(self.folder / name, make, self._root, replace=replace)
        with suppress(OSError):
            for left in _left_behind(self._root):
                shutil.rmtree(left, ignore_errors=True)
        return folder


def _is_watched(stream: TextIO | None) -> bool:
    """Whether it is a terminal, or the output of a notebook's cell, which says that it is none."""
    if stream is None:
        return False
    return stream.isatty() or any(kind.__module__ == "ipykernel.iostream" for kind in type(stream).__mro__)


def _root() -> Path:
    return (cache_dir() / "engines").absolute()  # the process may go elsewhere


def _make(folder: Path, make: Callable[[Path], None], root: Path, *, replace: bool) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = _part(folder.parent)
    part.mkdir()  # mkdtemp would keep other users out: caches are shared, and baked into images
    aside = _part(folder.parent)
    try:
        _make_in(part, make)
        sums = {path.name: sha256_of(path) for path in part.iterdir()}
        (part / SUMS).write_text(json.dumps(sums))
        with ExitStack() as stack:
            with suppress(OSError):  # others take long, or there can be no lock: go on without
                stack.enter_context(alone(root / ".lock", PATIENCE_S))
            if replace or not _is_whole(folder):
                with suppress(FileNotFoundError):
                    folder.replace(aside)  # in one step: removing takes a while, and others look meanwhile
                part.replace(folder)
    except OSError:
        if replace or not _is_whole(folder):  # else another process was faster
            raise
    finally:
        for rest in (part, aside):
            shutil.rmtree(rest, ignore_errors=True)
    return folder


def _make_in(part: Path, make: Callable[[Path], None]) -> None:
    """Let a converter write into a folder.

    Raises:
        OSError: of the disk.
        EngineError: any other that the converter met, such as a library that cannot be loaded.
    """
    try:
        make(part)
    except OSError as error:
        named = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if _is_path(name)]
        if error.errno in _DISK or any(path.is_relative_to(part) for path in named):
            raise
        raise EngineError(f"The model cannot be converted ({error}); see 'edgetam doctor'.") from error


def _is_path(name: object) -> bool:
    return isinstance(name, (str, bytes, os.PathLike))


def _part(parent: Path) -> Path:
    """A new name for what is not an artifact yet, or not any more."""
    return parent / f".{secrets.token_hex(8)}.part"


def _is_there(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:  # a folder above it may not be entered
        return False


def _is_whole(folder: Path) -> bool:
    try:
        sums = json.loads((folder / SUMS).read_text())
        return bool(sums) and all(sha256_of(folder / name) == digest for name, digest in sums.items())
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


class Unneeded(NamedTuple):
    """A folder of the cache that may go: its bytes, and the days since it was used."""

    folder: Path
    size: int
    days: float


def unneeded(days: float) -> list[Unneeded]:
    """What killed processes left in the cache, and models that were not used for some days.

    Raises:
        OutputError: the cache cannot be read.
    """
    root = _root()
    try:
        unused = [folder for folder in root.glob("*/[!.]*") if _age_s(folder) >= days * DAY_S]
        left = [folder for folder in _left_behind(root) if folder.parent not in unused]
        return [Unneeded(folder, _size(folder), _age_s(folder) / DAY_S) for folder in sorted(unused + left)]
    except OSError as error:
        raise OutputError(
            f"The cache {root} cannot be read ({error.strerror or error}); check its permissions, or set "
            "EDGETAM_CACHE to another folder."
        ) from error


def remove(folder: Path) -> None:
    """Remove a folder of the cache; for others it vanishes in one step.

    Raises:
        OutputError: it cannot be removed.
    """
    aside = _part(folder.parent)
    try:
        with suppress(FileNotFoundError):  # somebody else was faster
            folder.replace(aside)
            shutil.rmtree(aside)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be removed ({error.strerror or error}); check who owns it and whether it is in "
            "use."
        ) from error


def _left_behind(root: Path) -> list[Path]:
    """What nobody can be working on any more: no conversion takes a day."""
    parts = [part for pattern in ("*/.*.part", "*/*/.*.part") for part in root.glob(pattern)]
    return [part for part in parts if _age_s(part) >= DAY_S]


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            size += path.stat().st_size if path.is_file() else 0
    return size


def _age_s(folder: Path) -> float:
    """Since it was last used, or changed; nothing if it has just gone."""
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0
