"""Telling weights apart by what their file holds, without PyTorch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import BinaryIO

__all__ = ["CONFIG_KEY", "FORMAT_KEY", "weights_digest"]

FORMAT_KEY, CONFIG_KEY = "edgetam_format", "config"
"""Notes of a safetensors file that decide what is read from it."""
_LONGEST = 100_000_000
"""Bytes of a header; safetensors reads none that is longer."""
_CHUNK = 1 << 20


def weights_digest(path: Path) -> str:
    """What tells weights from others: a hash of a safetensors file's tensors, or of another file's bytes.

    Safetensors writes a header's notes in any order, so the same weights saved again are other bytes.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.sha256(_head(file))
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _head(file: BinaryIO) -> bytes:
    """A safetensors header, its entries in order, without notes that change nothing; else nothing is read."""
    length = int.from_bytes(file.read(8), "little")
    try:
        if length > _LONGEST:
            raise ValueError("not a header")
        header = dict(json.loads(file.read(length)))
        notes = dict(header.pop("__metadata__", None) or {})
        return json.dumps([notes.get(FORMAT_KEY), notes.get(CONFIG_KEY), header], sort_keys=True).encode()
    except (ValueError, TypeError, RecursionError):
        file.seek(0)
        return b""
