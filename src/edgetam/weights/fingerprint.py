"""Telling weights apart by their values, whatever file they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch

__all__ = ["fingerprint"]


def fingerprint(state: Mapping[str, torch.Tensor]) -> str:
    """Twelve hexadecimal digits that differ where weights do.

    Values count in half precision, so that a file and its copy in float16 are the same weights.

    Args:
        state: tensors by native name.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach()
        half = tensor.half() if tensor.is_floating_point() else tensor
        digest.update(name.encode())
        digest.update(half.cpu().contiguous().numpy().data)
    return digest.hexdigest()[:12]
