"""What a bundle says about itself: `edgetam.export` writes it, `edgetam.load_bundle` reads it.

A bundle is a folder: ``manifest.json``, ``parity.json``, ``constants.json`` and a folder for each program. A
program is one verb with fixed shapes. All files but the manifest are listed in it with size and SHA-256, and
no other file is ever opened.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from edgetam.config import check_whole
from edgetam.errors import BundleError
from edgetam.hashing import sha256_of

__all__ = [
    "CONSTANTS",
    "FORMAT",
    "MANIFEST",
    "PRECISIONS",
    "Contents",
    "Limits",
    "Manifest",
    "Program",
    "TensorSpec",
    "check_program",
    "read_manifest",
]

FORMAT = 3
"""Raised when older versions of this package could not read what is written."""
OLDEST = 2
"""That is still read: as 3, without the network."""
MANIFEST = "manifest.json"
CONSTANTS = "constants.json"
PRECISIONS = {
    "onnx": ("fp32", "fp16"),
    "openvino": ("fp32", "bf16", "fp16"),
    "coreml": ("fp16", "fp32"),
    "executorch": ("fp32",),
}
"""Target to what its programs can compute in; the first is the default."""
OPENED = {
    "onnx": ("model.onnx",),
    "openvino": ("model.xml", "model.bin"),
    "executorch": ("model.pte",),
}
"""Target to the files of a program that its runtime opens; others have no runtime in Python."""
PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
"""Of programs: nothing that leads out of the bundle."""


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

    @property
    def too_many_points(self) -> str:
        """What to say to a prompt of more points."""
        return (
            f"This bundle takes at most {self.points} points per prompt, and a box counts as two; "
            "give fewer, or export it with more --points."
        )


@dataclass(frozen=True)
class TensorSpec:
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
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


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
        network: `edgetam.config.config_to_fields`, but for name and size; None stands for the variant's own.
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
    network: dict[str, Any] | None = None
    format: int = FORMAT

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(asdict(self), indent=1) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read a bundle's manifest and check every file it lists, among them all that will be opened.

    Raises:
        BundleError: this is no bundle, one of another format, or one whose files are missing, altered or not
            listed.
    """
    data = _read_json(folder)
    version = data.get("format")
    if not isinstance(version, int) or version < 1:
        raise BundleError(f"'{folder / MANIFEST}' says nothing about its format: export the bundle again.")
    if version > FORMAT:
        raise BundleError(
            f"The bundle '{folder}' has format {version} and this version of edgetam reads up to {FORMAT}; "
            "update it with: pip install -U edgetam"
        )
    if version < OLDEST:
        raise BundleError(
            f"The bundle '{folder}' has format {version}, of an earlier edgetam, and this version reads "
            f"{OLDEST} and later; export it again with: edgetam export"
        )
    try:
        manifest = _parsed(data)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {error}".rstrip(".")
        raise BundleError(f"'{folder / MANIFEST}' is damaged ({said}); export the bundle again.") from error
    _check_listed(folder, manifest)
    for name, contents in manifest.files.items():
        try:
            _check_file(folder, name, contents)
        except OSError as error:
            raise BundleError(
                f"'{name}' in the bundle '{folder}' cannot be read ({error}); copy or export it again."
            ) from error
    return manifest


def check_program(folder: Path, manifest: Manifest, name: str) -> Path:
    """The folder of a program, whose files are still those that were there when the manifest was read.

    Raises:
        BundleError: they are not.
    """
    try:
        for file, contents in manifest.files.items():
            if file.startswith(f"{name}/"):
                _check_file(folder, file, contents)
    except (BundleError, OSError) as error:
        raise BundleError(
            f"The bundle '{folder}' has changed since it was loaded, so its program '{name}' cannot be "
            f"opened; load it again. ({error})"
        ) from error
    return folder / name


def _read_json(folder: Path) -> dict[str, Any]:
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(
            f"'{folder}' is not a bundle: it has no {MANIFEST}; make one with 'edgetam export'."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(
            f"'{folder / MANIFEST}' cannot be read ({error}); export the bundle again."
        ) from error
    if not isinstance(data, dict):
        raise BundleError(
            f"'{folder / MANIFEST}' is damaged: expected a JSON object; export the bundle again."
        )
    return data


def _parsed(data: dict[str, Any]) -> Manifest:
    programs = tuple(map(_program, data["programs"]))
    if len({program.name for program in programs}) < len(programs):
        raise ValueError("two programs have the same name")
    files = {name: Contents(**entry) for name, entry in data["files"].items()}
    parts = {"limits": _limits(data["limits"]), "programs": programs, "files": files}
    manifest = Manifest(**{**data, **parts})
    _check_texts(manifest.target, manifest.precision, manifest.model)
    if not isinstance(manifest.network, dict | None):
        raise TypeError(f"network is {manifest.network!r}; expected an object")
    known = PRECISIONS.get(manifest.target)
    if known and manifest.precision not in known:
        raise ValueError(f"precision is {manifest.precision!r}; expected one of {', '.join(known)}")
    return manifest


def _limits(data: dict[str, Any]) -> Limits:
    limits = Limits(**data)
    for name, value in asdict(limits).items():
        check_whole(name, value, 1)
    return limits


def _program(data: dict[str, Any]) -> Program:
    _check_texts(data["name"], data["verb"])
    if not PLAIN_NAME.fullmatch(data["name"]):
        raise ValueError(f"{data['name']!r} is no name of a program")
    inputs, outputs = (tuple(map(_tensor_spec, data[ends])) for ends in ("inputs", "outputs"))
    return Program(data["name"], data["verb"], inputs, outputs)


def _tensor_spec(data: dict[str, Any]) -> TensorSpec:
    tensor = TensorSpec(data["name"], tuple(data["shape"]), tuple(data["axes"]), data["dtype"])
    _check_texts(tensor.name, tensor.dtype, *(axis for axis in tensor.axes if axis is not None))
    for length in tensor.shape:
        check_whole(f"a length of '{tensor.name}'", length, 1)
    if len(tensor.axes) != len(tensor.shape):
        raise ValueError(f"'{tensor.name}' has {len(tensor.shape)} lengths and {len(tensor.axes)} axes")
    return tensor


def _check_texts(*values: object) -> None:
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{value!r} should be a text")


def _check_listed(folder: Path, manifest: Manifest) -> None:
    """What is not listed is not hashed, and could be anything."""
    opened = OPENED.get(manifest.target, ())
    needed = [CONSTANTS, *(f"{program.name}/{file}" for program in manifest.programs for file in opened)]
    absent = [name for name in needed if name not in manifest.files]
    if absent:
        raise BundleError(
            f"The {MANIFEST} of the bundle '{folder}' does not list '{absent[0]}', so nothing tells whether "
            "that is whole; export it again."
        )


def _check_file(folder: Path, name: str, expected: Contents) -> None:
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or set(name) & set("\\:"):
        raise BundleError(f"The bundle '{folder}' lists '{name}', which is outside of it; do not use it.")
    path = folder / inside
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
