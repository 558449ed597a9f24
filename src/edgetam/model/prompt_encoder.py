"""Clicks, boxes and earlier masks as tokens (SAM, arXiv 2304.02643, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgetam.config import HIDDEN_DIM, MASK_STRIDE, STRIDE, ModelConfig
from edgetam.model.layers import LayerNorm2d, fold_norms, shallow_copy
from edgetam.model.positions import FourierPositions
from edgetam.structs import DecoderPrompt

__all__ = ["PromptEncoder"]

LABELS = 4
"""Negative click, positive click, top left and bottom right corner of a box."""


class PromptEncoder(nn.Module):
    """Prompts to sparse tokens and a dense map."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.image_size = config.image_size
        self.grid = config.image_size // STRIDE
        self.fourier = FourierPositions(HIDDEN_DIM)
        self.label_embed = nn.Parameter(torch.randn(LABELS, HIDDEN_DIM))
        self.no_point_embed = nn.Parameter(torch.randn(HIDDEN_DIM))
        self.no_mask_embed = nn.Parameter(torch.randn(HIDDEN_DIM))
        narrow = MASK_STRIDE * MASK_STRIDE
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, narrow // 4, 2, stride=2),
            LayerNorm2d(narrow // 4),
            nn.GELU(),
            nn.Conv2d(narrow // 4, narrow, 2, stride=2),
            LayerNorm2d(narrow),
            nn.GELU(),
            nn.Conv2d(narrow, HIDDEN_DIM, 1),
        )

    def folded(self) -> PromptEncoder:
        """The same with cheaper norms."""
        new = shallow_copy(self)
        new.mask_downscaling = fold_norms(self.mask_downscaling)
        return new

    def forward(self, prompt: DecoderPrompt[Tensor]) -> tuple[Tensor, Tensor]:
        """Sparse tokens ``[B, P + 1, 256]`` and a dense map, ``[B, 256, g, g]`` or ``[1, 256, 1, 1]``."""
        return self.encode_points(prompt.points, prompt.labels), self.encode_mask(prompt.mask)

    def encode_points(self, points: Tensor, labels: Tensor) -> Tensor:
        """``[B, P, 2]`` model pixels and ``[B, P]`` labels to ``[B, P + 1, 256]``; no token when P is 0."""
        if points.shape[1] == 0:
            return points.new_zeros(points.shape[0], 0, HIDDEN_DIM)
        # as published: one "not a point" always closes the list, after boxes too
        points = torch.cat([points, torch.zeros_like(points[:, :1])], dim=1)
        labels = torch.cat([labels, torch.full_like(labels[:, :1], -1)], dim=1)
        codes = self.fourier((points + 0.5) / self.image_size)
        embeds = self.label_embed[labels.clamp(min=0)]
        is_point = (labels >= 0)[..., None]
        return torch.where(is_point, codes + embeds, self.no_point_embed)

    def encode_mask(self, mask: Tensor | None) -> Tensor:
        """Logits ``[B, 1, 4g, 4g]`` to ``[B, 256, g, g]``; the learned "no mask" when there is none."""
        if mask is None:
            return self.no_mask_embed[None, :, None, None]
        return self.mask_downscaling(mask)

    def positions(self) -> Tensor:
        """Codes of the image grid: ``[1, 256, g, g]``, constant for one set of weights."""
        return self.fourier.grid(self.grid)
