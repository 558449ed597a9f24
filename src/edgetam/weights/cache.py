"""Where downloads are kept, and what is known about them."""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from edgetam.atomic import atomic_write
from edgetam.errors import DownloadError, OutputError
from edgetam.hashing import sha256_of
from edgetam.locks import alone

__all__ = ["Record", "Records", "cache_dir", "is_offline", "sha256_of"]

_TRUE = {"1", "true", "yes", "on"}
_log = logging.getLogger(__name__)
Record = dict[str, Any]


def cache_dir() -> Path:
    """Return ``EDGETAM_CACHE``, or the platform's folder for caches; it may not exist yet.

    Where the user has no home folder it is a temporary one, which goes when the process ends.

    Raises:
        OutputError: there is no temporary folder either.
    """
    try:
        return _lasting_dir()
    except RuntimeError:  # pathlib knows no home
        return Path(_passing_dir().name)


def _lasting_dir() -> Path:
    chosen = os.environ.get("EDGETAM_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "edgetam"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "edgetam"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgetam"


@functools.cache
def _passing_dir() -> tempfile.TemporaryDirectory[str]:
    """One for the whole process, so that nothing is fetched or converted twice in it."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="edgetam-cache-")
    except OSError as error:
        raise OutputError(
            f"There is neither a home folder for the cache nor a temporary one ({error.strerror or error}); "
            "set EDGETAM_CACHE to a folder that can be written."
        ) from error
    _log.warning(
        "There is no home folder for the cache; weights are downloaded and models converted again at every "
        "start. Set EDGETAM_CACHE to a folder that can be written."
    )
    return folder


def is_offline() -> str | None:
    """Name the environment variable that forbids the network, if there is one."""
    for name in ("EDGETAM_OFFLINE", "HF_HUB_OFFLINE"):
        if os.environ.get(name, "").strip().lower() in _TRUE:
            return name
    return None


class Records:
    """What was downloaded into a folder: per file its url, sha256, size and time of change.

    The time spares hashing a large file on every use; when it or the size differs from
    what was noted, the file is hashed again.
    """

    def __init__(self, folder: Path) -> None:
        """Use the records of ``folder``."""
        self._path = folder / "downloads.json"

    def get(self, name: str) -> Record:
        """Return what is known about the file ``name``; empty if nothing is."""
        return self._read().get(name, {})

    def note(self, path: Path, url: str, sha256: str) -> None:
        """Write down that ``path`` came from ``url`` and hashed to ``sha256``.

        Raises:
            DownloadError: the records cannot be written.
        """
        stat = path.stat()
        record = {"url": url, "sha256": sha256, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        try:
            with alone(f"{self._path}.lock"):  # others may be writing down another file
                records = {**self._read(), path.name: record}
                atomic_write(self._path, json.dumps(records, indent=1, sort_keys=True).encode())
        except (OSError, OutputError) as error:
            raise DownloadError(
                f"{self._path} cannot be written ({error.__cause__ or error}); free some disk space or "
                "set EDGETAM_CACHE."
            ) from error

    def _read(self) -> dict[str, Record]:
        try:
            records = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(records, dict):
            return {}
        return {name: record for name, record in records.items() if isinstance(record, dict)}

    def is_good(self, path: Path, sha256: str | None, size: int | None = None) -> bool:
        """Whether ``path`` is there, can be read and is still the file it was, or should be."""
        try:
            return path.is_file() and self._is_same(path, sha256, size)
        except OSError:  # it, or a folder above it, is not for this user
            return False

    def _is_same(self, path: Path, sha256: str | None, size: int | None) -> bool:
        stat = path.stat()
        record = self.get(path.name)
        expected = sha256 or record.get("sha256")
        if size is not None and stat.st_size != size:
            return False
        unchanged = (record.get("size"), record.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns)
        if expected is None or (unchanged and record.get("sha256") == expected):
            return True
        return sha256_of(path) == expected
