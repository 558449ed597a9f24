"""Where downloads are kept, and what is known about them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from edgetam.errors import DownloadError
from edgetam.hashing import sha256_of

__all__ = ["Record", "Records", "cache_dir", "is_offline", "sha256_of"]

_TRUE = {"1", "true", "yes", "on"}
Record = dict[str, Any]


def cache_dir() -> Path:
    """Return ``EDGETAM_CACHE``, or the platform's folder for caches; it may not exist yet."""
    chosen = os.environ.get("EDGETAM_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "edgetam"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "edgetam"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgetam"


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
        """Write down that ``path`` came from ``url`` and hashed to ``sha256``."""
        records = self._read()
        stat = path.stat()
        records[path.name] = {
            "url": url,
            "sha256": sha256,
            "size": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
        }
        part = self._path.with_suffix(f".{os.getpid()}.part")
        try:
            part.write_text(json.dumps(records, indent=1, sort_keys=True))
            part.replace(self._path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise DownloadError(
                f"{self._path} cannot be written ({error}); free some disk space or set EDGETAM_CACHE."
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
        """Whether ``path`` is there and is still the file it was, or should be."""
        if not path.is_file():
            return False
        stat = path.stat()
        record = self.get(path.name)
        expected = sha256 or record.get("sha256")
        if size is not None and stat.st_size != size:
            return False
        unchanged = (record.get("size"), record.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns)
        if expected is None or (unchanged and record.get("sha256") == expected):
            return True
        return sha256_of(path) == expected
