"""Converted models on disk, so that conversion happens once and later starts need no PyTorch.

An artifact is a folder of files with their hashes. It appears whole or not at all, is checked every time it
is read, and is made again when it is damaged. Where the cache cannot be written, artifacts live in a
temporary folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from edgetam.errors import OutputError
from edgetam.weights.cache import cache_dir, sha256_of

__all__ = ["Store"]

SUMS = "sha256.json"
_log = logging.getLogger(__name__)


class Store:
    """Artifacts that belong to one set of facts.

    Args:
        runtime: name and version of the runtime; one folder of the cache (versions may have slashes).
        facts: everything else the artifacts depend on.
    """

    def __init__(self, runtime: str, *facts: object) -> None:
        self.runtime, self.facts = runtime, facts
        key = hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
        self.folder = cache_dir() / "engines" / runtime.replace("/", "-") / key
        self._spare: tempfile.TemporaryDirectory[str] | None = None

    def get(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder of an artifact, made by ``make(folder)`` if it is not there or damaged.

        Raises:
            OutputError: neither the cache nor a temporary folder can be written.
        """
        folder = (self.folder if self._spare is None else Path(self._spare.name)) / name
        if folder.is_dir():
            if _is_whole(folder):
                return folder
            _log.warning("%s is damaged; making it again.", folder)
        try:
            return _make(folder, make)
        except OSError as error:
            if self._spare is not None:
                raise self._nowhere(error) from error
            _log.warning(
                "The cache %s cannot be used (%s); models are converted again at every start. Free some "
                "space, or set EDGETAM_CACHE to a folder that can be written.",
                self.folder,
                error.strerror or error,
            )
        try:
            self._spare = tempfile.TemporaryDirectory(prefix="edgetam-")
        except OSError as error:
            raise self._nowhere(error) from error
        return self.get(name, make)

    def _nowhere(self, error: OSError) -> OutputError:
        return OutputError(
            f"Converted models can be written neither to the cache {self.folder} nor to a temporary folder "
            f"({error.strerror or error}); free some space, or set EDGETAM_CACHE to a folder that "
            "can be written."
        )

    def put(self, name: str, make: Callable[[Path], None]) -> Path:
        """Make an artifact in any case; one that is there is replaced.

        Raises:
            OutputError: the cache cannot be written.
        """
        try:
            return _make(self.folder / name, make)
        except OSError as error:
            raise OutputError(
                f"The cache {self.folder} cannot be written ({error.strerror or error}); free some space, or "
                "set EDGETAM_CACHE to a folder that can be written."
            ) from error


def _make(folder: Path, make: Callable[[Path], None]) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=folder.parent))
    try:
        make(part)
        sums = {path.name: sha256_of(path) for path in part.iterdir()}
        (part / SUMS).write_text(json.dumps(sums))
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    except OSError:
        if folder.is_dir() and _is_whole(folder):  # another process was faster
            return folder
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _is_whole(folder: Path) -> bool:
    try:
        sums = json.loads((folder / SUMS).read_text())
        return bool(sums) and all(sha256_of(folder / name) == digest for name, digest in sums.items())
    except (OSError, ValueError, AttributeError):
        return False
