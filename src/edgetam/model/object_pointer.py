"""Object pointers: one vector per object and frame that says what the object is (SAM 2, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgetam.config import HIDDEN_DIM, MASK_STRIDE
from edgetam.model.layers import MLP

__all__ = ["ObjectPointer"]


class ObjectPointer(nn.Module):
    """Turns a mask token into a pointer, or into the learned "no object"."""

    def __init__(self) -> None:
        super().__init__()
        self.project = MLP((HIDDEN_DIM, HIDDEN_DIM, HIDDEN_DIM, HIDDEN_DIM))
        self.absent = nn.Parameter(torch.randn(HIDDEN_DIM) * 0.02)
        self.mask_downsample = nn.Conv2d(1, 1, MASK_STRIDE, stride=MASK_STRIDE)

    def forward(self, token: Tensor, presence: Tensor) -> Tensor:
        """Token ``[B, 256]`` and presence logit ``[B, 1]`` to the pointer ``[B, 256]``."""
        return torch.where(presence > 0, self.project(token), self.absent)
