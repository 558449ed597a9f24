"""Helpers that only training knows: short ways for gradients into parts that learn slowly from scratch.

A mask's loss reaches the image encoder and the memory through many layers that know nothing yet. Guides read
off earlier what these parts should hold, with heads of a few thousand parameters that are thrown away after
training. None of this is in the papers, which start from networks that already see.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgetam.config import HIDDEN_DIM, MEMORY_DIM, ModelConfig
from edgetam.model.image_encoder import HIGH_RES_DIMS
from edgetam.model.layers import to_tokens
from edgetam.structs import ImageFeatures
from edgetam.train import recipe
from edgetam.train.losses import balanced_loss, cover, dice_loss, known
from edgetam.train.rollout import RollOut, Task

__all__ = ["FeatureGuide", "Guides", "MemoryGuide", "make_guides"]

EMBEDDING = 64
SHARPNESS, THRESHOLD = 8.0, 1.0
"""Where the scale of likeness starts: likeness 1 / 8 is as good as even."""


def _mask_cost(logits: Tensor, target: Tensor, void: Tensor | None) -> Tensor:
    """Cost of each of B masks ``[B, h, w]``, zero where the object is not there: ``[B]``."""
    answers, target = known(logits[:, None], target, void)
    cost = balanced_loss(answers, target) + dice_loss(answers, target)
    return cost[:, 0] * (target.flatten(1).amax(1) > 0)


class FeatureGuide(nn.Module):
    """Pixels of an object look like the object on the first frame, and unlike what surrounds it there.

    All three levels of the pyramid are added up to one embedding per stride-4 cell. The mean over the object
    and the mean over everything else on the first frame then tell the two apart on every frame.
    """

    def __init__(self) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(HIDDEN_DIM, EMBEDDING, 1)
        self.middle = nn.Conv2d(HIGH_RES_DIMS[1], EMBEDDING, 1)
        self.fine = nn.Conv2d(HIGH_RES_DIMS[0], EMBEDDING, 1)
        self.scale = nn.Parameter(torch.tensor([SHARPNESS, -THRESHOLD]))

    def embed(self, features: ImageFeatures[Tensor]) -> Tensor:
        """Vectors ``[N, 4g * 4g, 64]`` of N frames, of any length.

        Channels stay last in memory: the other way round, gradients of enlarging take eight times as long.
        """
        size = features.stride4.shape[-2:]
        coarser = (self.middle(features.stride8), self.coarse(features.stride16))
        grown = [F.interpolate(x, size=size, mode="bilinear") for x in coarser]
        return to_tokens(self.fine(features.stride4) + grown[0] + grown[1]).float()

    def forward(self, done: RollOut, task: Task) -> Tensor:
        """Sum over objects of the mean cost over frames."""
        count, side = task.masks.shape[1], done.features.stride4.shape[-1]
        seen = self.embed(done.features)  # [V * T, hw, 64]
        # only directions matter; unit vectors would cost several maps of 64 channels more
        shrink = torch.linalg.vector_norm(seen, dim=-1).clamp(min=1e-12).reciprocal()  # [V * T, hw]
        seen, shrink = seen.unflatten(0, (-1, count)), shrink.unflatten(0, (-1, count))
        targets = [cover(mask) for mask in task.masks.unbind(1)]
        shown = targets[0].flatten(1)
        weights = torch.stack([shown, 1 - shown]) * shrink[task.clip, 0]  # [2, B, hw]
        counts = task.clip.bincount(minlength=len(seen)).tolist()  # objects are listed clip by clip
        parts = zip(weights.split(counts, 1), seen[:, 0], strict=True)
        inside, outside = torch.cat([part @ x for part, x in parts], 1)
        axis = F.normalize(inside, dim=1) - F.normalize(outside, dim=1)  # [B, 64]
        costs = []
        for t, target in enumerate(targets):
            alike = [own @ x.mT for own, x in zip(axis.split(counts), seen[:, t], strict=True)]
            likeness = torch.cat(alike) * shrink[task.clip, t]
            logits = self.scale[0] * likeness.unflatten(1, (side, side)) + self.scale[1]
            costs.append(_mask_cost(logits, target, task.unknown(t)))
        return torch.stack(costs).mean(0).sum()


class MemoryGuide(nn.Module):
    """A memory's placed tokens show where its mask was; a conditioned map shows where it is now."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layout = config.memory_layout
        self.remembered = nn.Linear(MEMORY_DIM, 1)
        self.conditioned = nn.Linear(HIDDEN_DIM, 1)

    def forward(self, done: RollOut, task: Task) -> Tensor:
        """Sum over objects of the mean cost over given memories and frames that read any."""
        costs = []
        for t, memory in done.adopted.items() if self.layout.grid else ():
            placed = memory.tokens[:, self.layout.latents :].float()
            costs.append(self._cost(self.remembered(placed), task, t))
        for step in done.steps:
            if step.fused is not None:
                costs.append(self._cost(self.conditioned(to_tokens(step.fused)), task, step.frame))
        return torch.stack(costs).mean(0).sum() if costs else task.images.new_zeros(())

    @staticmethod
    def _cost(logits: Tensor, task: Task, t: int) -> Tensor:
        """Cost ``[B]`` on frame ``t`` of logits on a square grid ``[B, g * g, 1]``."""
        side = int(logits.shape[1] ** 0.5)
        target = F.adaptive_avg_pool2d(task.masks[:, t, None].float(), side)[:, 0]
        return _mask_cost(logits.float().reshape(-1, side, side), target, task.unknown(t))


class Guides(nn.Module):
    """The guides a recipe asks for; often none."""

    def __init__(self, weights: recipe.Guides, config: ModelConfig) -> None:
        super().__init__()
        self.weights = {"guide_features": weights.features, "guide_memory": weights.memory}
        self.guide_features = FeatureGuide() if weights.features else None
        self.guide_memory = MemoryGuide(config) if weights.memory else None

    def forward(self, done: RollOut, task: Task) -> Iterator[tuple[str, float, Tensor]]:
        """Name, weight and cost, a sum over objects, of each guide."""
        for name, weight in self.weights.items():
            guide = getattr(self, name)
            if guide is not None:
                yield name, weight, guide(done, task)


def make_guides(weights: recipe.Guides, config: ModelConfig, seed: int) -> Guides:
    """Make the guides of a run; leaves PyTorch's random numbers as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Guides(weights, config)
