"""Results as one JSON file per part of the work; what is there is finished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgetam.atomic import atomic_write, make_folder
from edgetam.errors import MediaError

__all__ = ["ResultFolder"]


class ResultFolder:
    """A folder of JSON files named after parts of the work.

    Args:
        folder: made when the first result is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, name: str) -> bool:
        return self._path(name).is_file()

    def write(self, name: str, result: Any) -> None:
        """Write a result, whole or not at all.

        Raises:
            OutputError: the folder cannot be written.
        """
        path = self._path(name)
        make_folder(path.parent)
        atomic_write(path, json.dumps(result, indent=1).encode())

    def read(self, name: str) -> Any:
        """Read a result.

        Raises:
            MediaError: it is not there, or was changed by somebody else.
        """
        path = self._path(name)
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise MediaError(
                f"'{path}' is not a result; delete it, and the same command makes it again."
            ) from error

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"
