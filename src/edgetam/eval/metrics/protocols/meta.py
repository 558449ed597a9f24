"""The files beside the masks that say which objects count."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgetam.errors import EdgeTAMError, MediaError
from edgetam.eval.metrics.problems import where
from edgetam.eval.metrics.protocols.base import GroundTruth

__all__ = ["describing", "find", "read_json", "videos"]


def find(truth: GroundTruth, given: Path | None, names: tuple[str, ...], option: str) -> Path:
    """Return the file that was given, or the first of these in the root, its split or the folder above.

    Raises:
        MediaError: it is not there.
    """
    folders = (*truth.folders, truth.root.parent)
    places = [given] if given else [folder / name for folder in folders for name in names]
    for place in places:
        if place.is_file():
            return place
    raise MediaError(
        f"There is no file '{places[0]}', which says what is to be scored; name it with {option}."
    )


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        MediaError: it is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise MediaError(f"'{path}' cannot be read as JSON; expected the benchmark's own file.") from error


@contextmanager
def describing(video: str) -> Iterator[None]:
    """Read what a meta file says about a video.

    Raises:
        MediaError: something is not there, or is not what it should be.
    """
    try:
        yield
    except EdgeTAMError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise MediaError(
            f"{where(video)}: its entry in the meta file cannot be used ({type(error).__name__}: {error}); "
            "expected the benchmark's own file."
        ) from error


def videos(truth: GroundTruth) -> Mapping[str, Any]:
    """Return the entry ``videos`` of the benchmark's description, only the sequences that count.

    Raises:
        MediaError: there is no such file, or it has no such entry.
    """
    splits = [folder.name for folder in truth.folders[1:]] + ([] if truth.split else ["test", "train"])
    path = find(truth, truth.meta, (*(f"{split}_meta.json" for split in splits), "meta.json"), "--meta")
    content = read_json(path)
    found = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(found, dict) or not found:
        raise MediaError(f"'{path}' has no entry 'videos'; expected the benchmark's own file.")
    return {name: found[name] for name in truth.wanted(list(found))}
