"""What lies at a path; one place where a path that cannot be looked at becomes an error in words."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, Literal

from edgetam.errors import EdgeTAMError, MediaError

__all__ = ["as_path", "look_at", "shortened"]

# EINVAL is what Windows says to a pattern.
_NOTHING_THERE = {errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.EBADF}


def as_path(path: Any, what: str, kind: type[EdgeTAMError] = MediaError) -> Path:
    """A path that a user gave.

    Args:
        path: text or a path.
        what: begins the sentence that says it is none.
        kind: of the error.

    Raises:
        EdgeTAMError: of ``kind``: something else was given.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise kind(f"{what} is a {type(path).__name__}; expected a path.")
    return Path(path)


def look_at(path: str | os.PathLike[str]) -> Literal["file", "folder"] | None:
    """Tell what is at a path; None where there is nothing.

    Raises:
        MediaError: that cannot be told: a name is too long, or this user may not look into a folder.
    """
    place = Path(path)
    try:
        place.stat()
    except ValueError:  # a zero byte in the name
        return None
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return None
        reason = error.strerror or str(error)
        raise MediaError(f"Cannot look at '{shortened(place)}' ({reason}); check the path.") from error
    return "folder" if place.is_dir() else "file"


def shortened(path: str | bytes | int | os.PathLike[str]) -> str:
    """A path to read, without the middle of a very long one."""
    text = str(path)
    return text if len(text) <= 200 else f"{text[:100]}...{text[-50:]}"
