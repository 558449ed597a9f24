"""The network's inference form: the same answers from less work.

Every block that owns norms, branches or two linear maps in a row offers ``folded()`` beside its training
form, and says there what becomes of what. This is the one place that applies them; every engine runs it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from edgetam.model.edgetam import EdgeTAM
from edgetam.model.layers import fold_

__all__ = ["in_full_precision", "inference_form"]


def inference_form(model: EdgeTAM) -> EdgeTAM:
    """A folded copy of ``model`` in evaluation mode, without gradients; equal up to float32 rounding."""
    network = copy.deepcopy(model).eval().requires_grad_(False)
    with in_full_precision():
        fold_(network)
    return network


@contextmanager
def in_full_precision() -> Iterator[None]:
    """Fold and trace what is written, whatever ``torch.autocast`` the caller is in."""
    with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
        yield
