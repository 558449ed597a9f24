"""Sessions on disk: prompts as JSON, memories as safetensors, so that work can go on later or elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from edgetam.errors import InputError
from edgetam.io.atomic import atomic_write
from edgetam.tracking.prompts import Clicks
from edgetam.tracking.records import FrameRecord, ObjectTrack

if TYPE_CHECKING:
    from edgetam.tracking.session import TrackingSession

__all__ = ["restore_session", "save_session"]

FORMAT = 1
MANIFEST = "session.json"
CHUNK = 64
"""Records per file, so that writing and reading need little memory."""


def save_session(session: TrackingSession, folder: Path) -> None:
    """Write a session to ``folder``; the manifest comes last, so half a session is not taken for one.

    Raises:
        OutputError: the folder cannot be written.
    """
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "model": session.engine.config.name,
        "image_size": session.engine.config.image_size,
        "video": {"width": session.size[0], "height": session.size[1], "frames": len(session)},
        "objects": [_save_track(track, folder) for track in session.tracks.values()],
    }
    atomic_write(folder / MANIFEST, json.dumps(manifest, indent=1).encode())


def restore_session(session: TrackingSession, folder: Path) -> None:
    """Fill a fresh session from ``folder``.

    Raises:
        InputError: no session there, a damaged one, or one of another video, model or size.
    """
    manifest = _read_manifest(folder)
    config = session.engine.config
    here = {"width": session.size[0], "height": session.size[1], "frames": len(session)}
    for what, saved, now in (
        ("model", manifest["model"], config.name),
        ("image_size", manifest["image_size"], config.image_size),
        ("video", manifest["video"], here),
    ):
        if saved != now:
            raise InputError(f"The session in {folder} was saved with {what} {saved}, but now it is {now}.")
    try:
        for entry in manifest["objects"]:
            track = session.new_track(entry["id"])
            _restore_track(track, entry, folder)
            session.tracks[track.object_id] = track
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise InputError(f"The session in {folder} is damaged ({error}); save it again.") from error


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"There is no saved session in {folder} ({error}).") from error
    if manifest.get("format") != FORMAT:
        raise InputError(
            f"The session in {folder} has format {manifest.get('format')}; this version reads {FORMAT}."
        )
    return manifest


def _save_track(track: ObjectTrack, folder: Path) -> dict[str, Any]:
    prefix = f"object-{track.object_id}"
    files = []
    named = [(f"prompted.{t}", r) for t, r in track.prompted.items()]
    named += [(f"pending.{t}", r) for t, (r, _) in track.pending.items()]
    names = [n for n, _ in named] + [f"tracked.{t}" for t in track.tracked]
    known = dict(named)
    for i in range(0, len(names), CHUNK):
        arrays: dict[str, NDArray[Any]] = {}
        for name in names[i : i + CHUNK]:
            record = known.get(name) or track.tracked[int(name.split(".")[1])]
            arrays |= {f"{name}.{key}": value for key, value in record.to_arrays().items()}
        files.append(f"{prefix}-{i // CHUNK:04d}.safetensors")
        atomic_write(folder / files[-1], save(arrays))
    masks = {str(t): c.mask for t, c in track.prompts.items() if c.mask is not None}
    if masks:
        atomic_write(folder / f"{prefix}-masks.safetensors", save(masks))
    return {
        "id": track.object_id,
        "files": files,
        "masks": f"{prefix}-masks.safetensors" if masks else None,
        "prompts": {
            str(t): {"points": c.points.tolist(), "labels": c.labels.tolist()}
            for t, c in track.prompts.items()
        },
        "conditioning": {str(t): conditioning for t, (_, conditioning) in track.pending.items()},
        "corrected": sorted(track.corrected),
        "visited": {str(t): reverse for t, reverse in track.visited.items()},
    }


def _restore_track(track: ObjectTrack, entry: dict[str, Any], folder: Path) -> None:
    masks = load_file(folder / entry["masks"]) if entry["masks"] else {}
    for key, prompt in entry["prompts"].items():
        points = np.array(prompt["points"], np.float32).reshape(-1, 2)
        track.prompts[int(key)] = Clicks(points, np.array(prompt["labels"], np.int64), masks.get(key))
    track.corrected = set(entry["corrected"])
    track.visited = {int(t): reverse for t, reverse in entry["visited"].items()}
    for file in entry["files"]:
        arrays = load_file(folder / file)
        for kind, frame in dict.fromkeys(tuple(name.split(".")[:2]) for name in _in_order(arrays)):
            prefix = f"{kind}.{frame}."
            parts = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
            _place(track, kind, int(frame), FrameRecord.from_arrays(parts), entry)


def _in_order(arrays: dict[str, NDArray[Any]]) -> list[str]:
    """Oldest frames first: the store keeps what was put last closest at hand."""
    return sorted(arrays, key=lambda name: int(name.split(".")[1]))


def _place(track: ObjectTrack, kind: str, frame: int, record: FrameRecord, entry: dict[str, Any]) -> None:
    if kind == "prompted":
        track.prompted[frame] = record
    elif kind == "pending":
        track.pending[frame] = record, entry["conditioning"][str(frame)]
    else:
        track.tracked[frame] = record
