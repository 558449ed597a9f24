"""Telling weights apart by their values, whatever file they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch

__all__ = ["exact_hash", "fingerprint"]


def fingerprint(state: Mapping[str, torch.Tensor]) -> str:
    """Twelve hexadecimal digits that differ where weights do.

    Values count in half precision, so that a file and its copy in float16 are the same weights.

    Args:
        state: tensors by native name.
    """
    return exact_hash({name: x.half() if x.is_floating_point() else x for name, x in state.items()})[:12]


def exact_hash(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of all names and values, to the last bit."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
