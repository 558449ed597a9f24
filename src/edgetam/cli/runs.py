"""The folder a run writes to: is it ours, is it the same run, is it safe to write there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgetam.atomic import atomic_write, make_folder
from edgetam.errors import OutputError
from edgetam.tracking.prompts import Clicks

__all__ = [
    "Run",
    "check_writable",
    "default_folder",
    "describe_prompts",
    "describe_source",
    "earlier_about",
    "open_run",
]

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
    check_writable(folder)
    if overwrite:
        return Run(folder, about, resume=False)
    earlier = earlier_about(folder)
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


def earlier_about(folder: Path) -> dict[str, Any] | None:
    """What the run in a folder was about: None without a run, an empty answer where it cannot be told."""
    if not (folder / _HIDDEN).is_dir():
        return None
    try:
        about = json.loads((folder / _HIDDEN / "run.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}


def check_writable(folder: Path) -> None:
    """Complain about a folder that cannot be made, before there is anything to lose.

    Raises:
        OutputError: it cannot.
    """
    present = folder.absolute()
    while not present.exists():
        present = present.parent
    if not present.is_dir():
        raise OutputError(
            f"Cannot write to '{folder}': '{present}' is a file; choose another folder with -o."
        )
    if not os.access(present, os.W_OK | os.X_OK):
        raise OutputError(f"Cannot write to '{folder}': this user may not; choose another folder with -o.")


def default_folder(name: str, *, file: bool = False) -> Path:
    """Return ``out/<name>``, without a file's suffix; in hosts and folders, what follows a dot counts."""
    stem = Path(name).stem if file else name
    safe = "".join(c if c.isalnum() or c in "-_. " else "_" for c in stem).strip(". ")
    return Path("out") / (safe or "video")


def describe_source(source: str, images: Sequence[Path] = (), **facts: Any) -> dict[str, Any]:
    """What tells one source from another, without reading all of it.

    Args:
        source: a path or a pattern.
        images: the files of a folder or a pattern, which may change while the path stays.
        facts: what else is known, as JSON.
    """
    path = Path(source)
    details: dict[str, Any] = {"path": str(path.absolute()), **facts}
    if path.is_file():
        details |= {"bytes": path.stat().st_size, "changed": path.stat().st_mtime_ns}
    elif images:
        details["images"] = _hash_of_stats(images)
    return details


def _hash_of_stats(files: Sequence[Path]) -> str:
    """Hash names, sizes and times of change: to read thousands of pictures would take too long."""
    facts = [(file.name, *_size_and_time(file)) for file in files]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _size_and_time(file: Path) -> tuple[int, int]:
    try:
        details = file.stat()
    except OSError:  # gone by now, which is said when its frame is asked for
        return -1, -1
    return details.st_size, details.st_mtime_ns


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
