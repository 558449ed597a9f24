"""Sessions on disk: prompts as JSON, memories as safetensors, so that work can go on later or elsewhere."""

from __future__ import annotations

import json
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from edgetam.atomic import atomic_write, make_folder
from edgetam.config import MEMORY_DIM
from edgetam.errors import InputError
from edgetam.tracking.prompts import BOX_LABELS, Clicks
from edgetam.tracking.records import FrameRecord, ObjectTrack

if TYPE_CHECKING:
    from edgetam.tracking.session import TrackingSession

__all__ = ["restore_session", "save_session"]

FORMAT = 1
MANIFEST = "session.json"
_MEMORIES = re.compile(r"object--?\d+-([0-9a-f]{8})-(?:\d{4,}|masks)\.safetensors")
_OLD_S = 86_400.0
_LABELS = (-1, 0, 1, *BOX_LABELS)
"""Scripts written for SAM 2 may give -1, which is no point at all, and ids below 0."""
CHUNK = 64
"""Records per file, so that writing and reading need little memory."""


def save_session(session: TrackingSession, folder: Path) -> None:
    """Write a session to ``folder``, which is made if need be; a session saved there before is replaced.

    New files get new names and the manifest comes last, so an interruption leaves the earlier session whole.

    Raises:
        OutputError: the folder cannot be written.
    """
    make_folder(folder)
    before, token = _manifest_text(folder), secrets.token_hex(4)
    try:
        _write(session, folder, token)
    finally:
        with suppress(OSError):
            _tidy(folder, before, token)


def _write(session: TrackingSession, folder: Path, token: str) -> None:
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "model": session.engine.config.name,
        "image_size": session.engine.config.image_size,
        "weights_id": session.engine.weights_id,
        "video": _video(session),
        "objects": [_save_track(track, folder, token) for track in session.tracks.values()],
    }
    atomic_write(folder / MANIFEST, json.dumps(manifest, indent=1).encode())


def _manifest_text(folder: Path) -> str:
    try:
        return (folder / MANIFEST).read_text()
    except (OSError, ValueError):
        return ""


def _tidy(folder: Path, before: str, token: str) -> None:
    """Remove memories that belong to no session: of the one that was replaced, or not saved to the end.

    Others may be saving here too, so files that are neither are left until they are old.
    """
    named = _manifest_text(folder)
    for file in folder.iterdir():
        found = _MEMORIES.fullmatch(file.name)
        if found is None or file.name in named:
            continue
        if found[1] == token or file.name in before or time.time() - file.stat().st_mtime > _OLD_S:
            file.unlink()


def restore_session(session: TrackingSession, folder: Path) -> None:
    """Fill a fresh session from ``folder``.

    Raises:
        InputError: no session there, a damaged one, or one of another video, model, size or weights.
    """
    manifest = _read_manifest(folder)
    config = session.engine.config
    for what, now in (
        ("model", config.name),
        ("image_size", config.image_size),
        ("weights_id", session.engine.weights_id),
        ("video", _video(session)),
    ):
        unknown = what == "weights_id" and not (now and manifest.get(what))  # of older files and bundles
        if manifest.get(what) != now and not unknown:
            raise InputError(
                f"The session in {folder} was saved with {what} {manifest.get(what)}, but now it is {now}: "
                "go on with what it was saved with, or track anew."
            )
    try:
        tracks = [_restore_track(session, entry, folder) for entry in manifest["objects"]]
    except (
        OSError,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        SafetensorError,
    ) as error:
        raise InputError(f"The session in {folder} is damaged ({error}); save it again.") from error
    session.tracks.update({track.object_id: track for track in tracks})


def _video(session: TrackingSession) -> dict[str, int]:
    width, height = session.size
    return {"width": width, "height": height, "frames": len(session)}


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"There is no saved session in {folder} ({error}).") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise InputError(f"The session in {folder} has format {found}; this version reads {FORMAT}.")
    return manifest


def _save_track(track: ObjectTrack, folder: Path, token: str) -> dict[str, Any]:
    prefix = f"object-{track.object_id}-{token}"
    records = [f"prompted.{t}" for t in track.prompted] + [f"pending.{t}" for t in track.pending]
    # what was put in last must be put in last again: it is what the next frame reads
    records += [f"tracked.{t}" for t in track.tracked.by_recency()]
    files = []
    for i in range(0, len(records), CHUNK):
        names = records[i : i + CHUNK]
        arrays: dict[str, NDArray[Any]] = {}
        for name in names:
            arrays |= {f"{name}.{key}": value for key, value in _record(track, name).to_arrays().items()}
        files.append({"name": f"{prefix}-{i // CHUNK:04d}.safetensors", "records": names})
        atomic_write(folder / f"{prefix}-{i // CHUNK:04d}.safetensors", save(arrays))
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


def _record(track: ObjectTrack, name: str) -> FrameRecord:
    kind, frame = _parse(name)
    if kind == "pending":
        return track.pending[frame][0]
    return track.prompted[frame] if kind == "prompted" else track.tracked[frame]


def _parse(name: str) -> tuple[str, int]:
    kind, frame = name.split(".")
    if kind not in ("prompted", "pending", "tracked"):
        raise ValueError(f"unknown record {name!r}")
    return kind, int(frame)


def _restore_track(session: TrackingSession, entry: dict[str, Any], folder: Path) -> ObjectTrack:
    track = session.new_track(int(entry["id"]))
    masks = load_file(_inside(folder, entry["masks"])) if entry["masks"] else {}
    for key, prompt in entry["prompts"].items():
        track.prompts[_frame(session, key)] = _restore_clicks(prompt, masks.get(key))
    track.corrected = {_frame(session, t) for t in entry["corrected"]}
    track.visited = {_frame(session, t): bool(reverse) for t, reverse in entry["visited"].items()}
    for file in entry["files"]:
        arrays = load_file(_inside(folder, file["name"]))
        for name in file["records"]:
            parts = {n.removeprefix(f"{name}."): a for n, a in arrays.items() if n.startswith(f"{name}.")}
            record = FrameRecord.from_arrays(parts)
            _check_shapes(record, session, name)
            _frame(session, _parse(name)[1])
            _place(track, name, record, entry["conditioning"])
    return track


def _frame(session: TrackingSession, number: str | int) -> int:
    if not 0 <= int(number) < len(session):
        raise ValueError(f"it speaks of frame {number}, and the video has frames 0 to {len(session) - 1}")
    return int(number)


def _restore_clicks(prompt: dict[str, Any], mask: NDArray[np.bool_] | None) -> Clicks:
    points = np.array(prompt["points"], np.float32).reshape(-1, 2)
    labels = np.array(prompt["labels"], np.int64)
    if labels.shape != (len(points),) or not np.isin(labels, _LABELS).all():
        raise ValueError(f"labels {prompt['labels']!r} do not belong to {len(points)} points")
    return Clicks(points, labels, mask)


def _check_shapes(record: FrameRecord, session: TrackingSession, name: str) -> None:
    config = session.engine.config
    expected = {
        "logits": (config.mask_size, config.mask_size),
        "pointer": session.engine.absent_pointer.shape,
        "memory": (config.memory_layout.tokens, MEMORY_DIM),
    }
    for part, array in record.to_arrays().items():
        if part in expected and array.shape != expected[part]:
            raise ValueError(f"{part} of {name} has shape {array.shape}, not {expected[part]}")


def _inside(folder: Path, name: str) -> Path:
    """A file of the session; a manifest from elsewhere must not lead to other folders."""
    if Path(name).name != name:
        raise ValueError(f"file name {name!r} leads out of the folder")
    return folder / name


def _place(track: ObjectTrack, name: str, record: FrameRecord, conditioning: dict[str, bool]) -> None:
    kind, frame = _parse(name)
    if kind == "prompted":
        track.prompted[frame] = record
    elif kind == "pending":
        track.pending[frame] = record, conditioning[str(frame)]
    else:
        track.tracked[frame] = record
