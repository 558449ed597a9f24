"""The folder a run writes to: is it ours, is it the same run, is it safe to write there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgetam.errors import OutputError
from edgetam.io import atomic_write
from edgetam.io.atomic import make_folder
from edgetam.tracking.prompts import Clicks

__all__ = ["Run", "default_folder", "describe_prompts", "describe_source", "open_run"]

_HIDDEN = ".edgetam"


@dataclass(frozen=True)
class Run:
    """A run and its folder; ``about`` is all that its results depend on.

    ``resume`` says that an earlier run left something to go on with, ``finished`` that it came to its end.
    """

    folder: Path
    about: Mapping[str, Any]
    resume: bool
    finished: bool = False

    def note(self, *, finished: bool = False) -> None:
        """Record what the run is about, so that it can be recognised, and how far it came."""
        content = {**self.about, "finished": finished}
        atomic_write(make_folder(self.folder / _HIDDEN) / "run.json", json.dumps(content, indent=1).encode())


def open_run(folder: Path, about: Mapping[str, Any], places: Iterable[str], *, overwrite: bool) -> Run:
    """Look at a folder without changing it.

    ``places`` are the files and folders that will be made in it.

    The same run again goes on where it stopped. Results of another run, and files that are not ours, are
    replaced only when asked for.

    Raises:
        OutputError: the folder cannot be written, or something is in the way.
    """
    _check_writable(folder)
    if overwrite:
        return Run(folder, about, resume=False)
    earlier = _earlier(folder)
    if earlier is not None:
        differing = [key for key in about if earlier.get(key) != about[key]]
        if differing:
            raise OutputError(
                f"'{folder}' holds results of another run (with other {', '.join(differing)}); choose "
                "another folder with -o, or pass --overwrite."
            )
        return Run(folder, about, resume=True, finished=bool(earlier.get("finished")))
    taken = [place for place in places if (folder / place).exists()]
    if taken:
        raise OutputError(
            f"'{folder / taken[0]}' is already there; choose another folder with -o, or pass --overwrite."
        )
    return Run(folder, about, resume=False)


def _earlier(folder: Path) -> dict[str, Any] | None:
    """What the run in a folder was about; an empty answer where it cannot be told."""
    if not (folder / _HIDDEN).is_dir():
        return None
    try:
        about = json.loads((folder / _HIDDEN / "run.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _check_writable(folder: Path) -> None:
    """Complain about a folder that cannot be made, before there is anything to lose."""
    present = folder.absolute()
    while not present.exists():
        present = present.parent
    if not present.is_dir():
        raise OutputError(
            f"Cannot write to '{folder}': '{present}' is a file; choose another folder with -o."
        )
    if not os.access(present, os.W_OK | os.X_OK):
        raise OutputError(f"Cannot write to '{folder}': this user may not; choose another folder with -o.")


def default_folder(name: str) -> Path:
    """Return ``out/<name without suffix>``."""
    safe = "".join(c if c.isalnum() or c in "-_. " else "_" for c in Path(name).stem).strip(". ")
    return Path("out") / (safe or "video")


def describe_source(source: str, size: tuple[int, int], frames: int) -> dict[str, Any]:
    """What tells one video from another, without reading all of it."""
    path = Path(source)
    details: dict[str, Any] = {"path": str(path.absolute()), "size": list(size), "frames": frames}
    if path.is_file():
        details |= {"bytes": path.stat().st_size, "changed": path.stat().st_mtime_ns}
    return details


def describe_prompts(prompts: Mapping[tuple[int, int], Clicks]) -> list[Any]:
    """Prompts as JSON; masks as their hashes."""
    return [
        {
            "frame": frame,
            "object": object_id,
            "points": clicks.points.tolist(),
            "labels": clicks.labels.tolist(),
            "mask": None if clicks.mask is None else hashlib.sha256(clicks.mask.tobytes()).hexdigest(),
        }
        for (frame, object_id), clicks in prompts.items()
    ]
