"""What a bundle says about itself: `edgetam.export` writes it, `edgetam.load_bundle` reads it.

A bundle is a folder: ``manifest.json``, ``parity.json``, ``constants.json`` and a folder for each program. A
program is one verb with fixed shapes. All files but the manifest are listed in it with size and SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from edgetam.errors import BundleError
from edgetam.hashing import sha256_of

__all__ = ["FORMAT", "MANIFEST", "Contents", "Limits", "Manifest", "Program", "Socket", "read_manifest"]

FORMAT = 2
"""Raised when older versions of this package could not read what is written."""
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Limits:
    """What fits into the fixed shapes of a bundle.

    Attributes:
        objects: that may be tracked at once.
        prompted: prompted frames that an object may have.
        points: of one prompt; a box counts as two.
        memories: remembered frames that a frame reads, prompted ones included.
        pointers: object pointers that a frame reads.
    """

    objects: int
    prompted: int
    points: int
    memories: int
    pointers: int


@dataclass(frozen=True)
class Socket:
    """An input or output of a program.

    ``axes`` names what can be fewer than in ``shape``: objects, memories, pointers or points, else ``None``.
    """

    name: str
    shape: tuple[int, ...]
    axes: tuple[str | None, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Program:
    """A verb with fixed shapes; ``name`` is also that of its folder."""

    name: str
    verb: str
    inputs: tuple[Socket, ...]
    outputs: tuple[Socket, ...]


@dataclass(frozen=True)
class Contents:
    """A file of the bundle."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """The whole of ``manifest.json``.

    Attributes:
        target: ``onnx``, ``openvino``, ``coreml`` or ``executorch``.
        precision: what programs compute in.
        model: name of the variant.
        image_size: side of the square that frames are resized to.
        limits: see `Limits`.
        programs: smaller ones of a verb before larger ones.
        files: by path inside the bundle.
        preprocessing: how frames become the input of ``encode``.
        licence: of code and weights.
        made: by which versions, from which weights.
        format: of the bundle.
    """

    target: str
    precision: str
    model: str
    image_size: int
    limits: Limits
    programs: tuple[Program, ...]
    files: dict[str, Contents]
    preprocessing: dict[str, Any] = field(default_factory=dict)
    licence: dict[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(asdict(self), indent=1) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read a bundle's manifest and check every file it lists.

    Raises:
        BundleError: this is no bundle, one of another format, or one whose files are missing or altered.
    """
    data = _read_json(folder)
    version = data.get("format")
    if not isinstance(version, int) or version < 1:
        raise BundleError(f"'{folder / MANIFEST}' says nothing about its format: export the bundle again.")
    if version > FORMAT:
        raise BundleError(
            f"The bundle '{folder}' has format {version} and this version of edgetam reads {FORMAT}; "
            "update it with: pip install -U edgetam"
        )
    if version < FORMAT:
        raise BundleError(
            f"The bundle '{folder}' has format {version}, of an earlier edgetam, and this version reads "
            f"{FORMAT}; export it again with: edgetam export"
        )
    try:
        manifest = _parsed(data)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"'{folder / MANIFEST}' is damaged ({type(error).__name__}: {error}); export the bundle again."
        ) from error
    _check_files(folder, manifest.files.items())
    return manifest


def _read_json(folder: Path) -> dict[str, Any]:
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(
            f"'{folder}' is not a bundle: it has no {MANIFEST}; make one with 'edgetam export'."
        ) from error
    except (OSError, ValueError) as error:
        raise BundleError(
            f"'{folder / MANIFEST}' cannot be read ({error}); export the bundle again."
        ) from error
    if not isinstance(data, dict):
        raise BundleError(
            f"'{folder / MANIFEST}' is damaged: expected a JSON object; export the bundle again."
        )
    return data


def _parsed(data: dict[str, Any]) -> Manifest:
    programs = tuple(
        Program(p["name"], p["verb"], _sockets(p["inputs"]), _sockets(p["outputs"])) for p in data["programs"]
    )
    files = {name: Contents(**entry) for name, entry in data["files"].items()}
    parts = {"limits": Limits(**data["limits"]), "programs": programs, "files": files}
    return Manifest(**{**data, **parts})


def _sockets(data: list[dict[str, Any]]) -> tuple[Socket, ...]:
    return tuple(Socket(s["name"], tuple(s["shape"]), tuple(s["axes"]), s["dtype"]) for s in data)


def _check_files(folder: Path, files: Iterable[tuple[str, Contents]]) -> None:
    for name, expected in files:
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts:
            raise BundleError(f"The bundle '{folder}' lists '{name}', which is outside of it; do not use it.")
        path = folder / parts
        if not path.is_file():
            raise BundleError(f"The bundle '{folder}' lacks '{name}'; copy or export it again.")
        if path.stat().st_size != expected.size:
            raise BundleError(
                f"'{name}' in the bundle '{folder}' has {path.stat().st_size} bytes, expected "
                f"{expected.size}; copy or export it again."
            )
        if sha256_of(path) != expected.sha256:
            raise BundleError(
                f"'{name}' in the bundle '{folder}' was altered: its SHA-256 is not the one in {MANIFEST}; "
                "copy or export it again."
            )
