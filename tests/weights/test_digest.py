"""Weights are told apart by what is in a file, not by how it was written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from edgetam.hashing import sha256_of
from edgetam.weights.digest import weights_digest

TENSORS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b.bias": np.ones(4, np.float32)}
NOTES = {"edgetam_format": "1", "config": "{}", "provenance": "a run", "licence": "unknown"}


def rewritten(path: Path, change: str = "") -> Path:
    """The same file with the entries of its header the other way around, and something changed."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
    notes = header["__metadata__"]
    if change == "name":
        header["c.bias"] = header.pop("b.bias")
    elif change == "shape":
        header["a.weight"]["shape"] = [3, 2]
    elif change == "dtype":
        header["b.bias"]["dtype"] = "I32"
    elif change == "byte":
        body[-1] ^= 1
    elif change:
        notes[change] += " "
    backwards = {name: header[name] for name in reversed(header)}
    backwards["__metadata__"] = dict(reversed(notes.items()))
    text = json.dumps(backwards, indent=1).encode()
    out = path.with_name(f"again{change}.safetensors")
    out.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return out


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "weights.safetensors"
    found.write_bytes(save(TENSORS, NOTES))
    return found


@pytest.mark.parametrize("change", ["", "provenance"])
def test_the_order_of_a_header_and_what_is_noted_beside_change_nothing(path: Path, change: str) -> None:
    again = rewritten(path, change)
    assert sha256_of(again) != sha256_of(path)
    assert weights_digest(again) == weights_digest(path)


@pytest.mark.parametrize("change", ["name", "shape", "dtype", "byte", "config", "edgetam_format"])
def test_other_weights_are_others(path: Path, change: str) -> None:
    assert weights_digest(rewritten(path, change)) != weights_digest(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04" + bytes(100),
        (8).to_bytes(8, "little") + b"[1, 2, 3",
        (2).to_bytes(8, "little") + b"[]" + b"rest",
        (2).to_bytes(8, "little") + b"17",
        (20).to_bytes(8, "little") + b'{"__metadata__": 17}',
        (20000).to_bytes(8, "little") + b"[" * 20000,
    ],
)
def test_anything_else_is_told_by_its_bytes(tmp_path: Path, data: bytes) -> None:
    digests = set()
    for i, content in enumerate((data, data, data + b"x")):
        (tmp_path / str(i)).write_bytes(content)
        digests.add(weights_digest(tmp_path / str(i)))
    assert len(digests) == 2
