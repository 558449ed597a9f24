"""Reading and writing checkpoint files, without trusting them.

What a file is follows from its first bytes, never from its name. A PyTorch file is read
with ``weights_only=True`` and only in the zip container that PyTorch has written since
1.6: older containers are bare pickles, which are programs, and are refused unread.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from edgetam.atomic import atomic_path, make_folder
from edgetam.errors import OutputError, WeightsError

__all__ = ["Checkpoint", "read", "read_metadata", "write_safetensors", "write_torch"]

_HEAD_BYTES = 1024
_STATE_KEYS = ("model", "state_dict")
"""Where PyTorch files keep the state dict; published checkpoints use the first."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors as they lie in a file, and the file's own notes about them."""

    path: Path
    container: str
    state: dict[str, torch.Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Checkpoint:
    """Read a checkpoint file of any kind we know.

    Raises:
        WeightsError: not a checkpoint, truncated, or a pickle that holds code.
    """
    container = _container(path)
    try:
        if container == "safetensors":
            return _read_safetensors(path)
        return Checkpoint(path, container, _read_torch(path))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error}); check the file and the disk.") from error


def read_metadata(path: Path) -> dict[str, str]:
    """Return the notes in a safetensors header; empty for other files."""
    if _container(path) != "safetensors":
        return {}
    with _safetensors_errors(path), safetensors.safe_open(str(path), framework="pt") as file:
        return dict(file.metadata() or {})


def _container(path: Path) -> str:
    if path.is_dir():
        raise WeightsError(f"{path} is a folder, expected a checkpoint file; pass the file inside it.")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise WeightsError(
            f"{path} does not exist; check the path, or pass a name such as edgetam."
        ) from None
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error}); check its permissions.") from error
    if head.startswith(b"PK\x03\x04"):
        return "torch"
    length = int.from_bytes(head[:8], "little")
    if len(head) > 8 and head[8:9] == b"{" and length < 1 << 32:
        if length > size - 8:
            raise WeightsError(f"{path} is truncated ({size} bytes, expected more); download it again.")
        return "safetensors"
    raise WeightsError(f"{path} {_what_else(head)}")


def _what_else(head: bytes) -> str:
    """Say what a file is that starts with ``head`` and is no checkpoint, and what to do."""
    if not head:
        return "is empty, expected a checkpoint; download it again."
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, expected the file it stands for; run git lfs pull."
    if head.lstrip().startswith(b"<"):
        return "is a web page, expected a checkpoint; open its address in a browser and download the file."
    if head.startswith(b"\x80") or head[257:262] == b"ustar":
        return (
            "is a bare pickle, which can run code and was not opened; expected .safetensors or a .pt "
            "written by PyTorch 1.6 or newer, so ask its author for one."
        )
    return "is not a checkpoint; expected .safetensors, or a .pt written by torch.save."


@contextlib.contextmanager
def _safetensors_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except safetensors.SafetensorError as error:
        raise WeightsError(
            f"{path} is a damaged or truncated safetensors file ({error}); download it again."
        ) from error


def _read_safetensors(path: Path) -> Checkpoint:
    with _safetensors_errors(path), safetensors.safe_open(str(path), framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
        return Checkpoint(path, "safetensors", state, dict(file.metadata() or {}))


def _read_torch(path: Path) -> dict[str, torch.Tensor]:
    _check_zip(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than tensors{_forbidden(error)} and was refused, because unpickling it could "
            "run code; expected plain tensors, so ask its author for a .safetensors file."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        reason = str(error).partition("\n")[0][:120]
        raise WeightsError(f"{path} is damaged or truncated ({reason}); download it again.") from error
    return _state_dict(path, content)


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise WeightsError(f"{path} is truncated or damaged ({error}); download it again.") from error
    if any(name.endswith("/constants.pkl") for name in names):
        raise WeightsError(f"{path} is a TorchScript program, expected plain weights; save its state_dict().")
    if not any(name.endswith("/data.pkl") for name in names):
        raise WeightsError(f"{path} is a zip archive without weights; expected a file written by torch.save.")


def _forbidden(error: Exception) -> str:
    found = re.search(r"Unsupported (?:global|class|operand)[^\n]*?([\w.]+\.[\w.]+)", str(error))
    return f" (it asks for {found.group(1).rstrip('.')})" if found else ""


def _state_dict(path: Path, content: object) -> dict[str, torch.Tensor]:
    inner = content
    if isinstance(content, Mapping):
        inner = next((content[key] for key in _STATE_KEYS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(inner, Mapping) or not inner:
        raise WeightsError(
            f'{path} holds {type(content).__name__}, expected {{"model": state dict}}; check what it is.'
        )
    strangers = [str(key) for key, value in inner.items() if not isinstance(value, torch.Tensor)]
    if strangers:
        raise WeightsError(
            f"{path} holds entries that are not tensors ({', '.join(strangers[:3])}); "
            'expected {"model": state dict}, so save only the weights.'
        )
    return {str(key): value for key, value in inner.items()}


def write_safetensors(path: Path, state: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write ``state`` to ``path`` in one step; nothing is left behind on failure.

    The same tensors and notes are the same bytes.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    # Tensors of one storage or with gaps cannot be stored as they are.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}

    def save(part: Path) -> None:
        safetensors.torch.save_file(tensors, str(part), metadata=dict(metadata))
        _sort_header(part)

    _write(path, save)


def _sort_header(path: Path) -> None:
    """Bring a header's entries into the order of their names: safetensors leaves that to chance."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        ordered = json.dumps(header, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        assert len(ordered) <= length  # the same entries, as tightly written
        file.seek(8)
        file.write(ordered.ljust(length))


def write_torch(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Write ``{"model": state}`` to ``path`` in one step, as the official checkpoints are.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    _write(path, lambda part: torch.save({"model": tensors}, part))


def _write(path: Path, save: Callable[[Path], None]) -> None:
    make_folder(path.parent)
    with atomic_path(path) as part:
        try:
            save(part)
        except (RuntimeError, safetensors.SafetensorError) as error:  # what a full disk is told as
            raise OutputError(
                f"{path} cannot be written ({error}); free disk space or choose another place."
            ) from error
