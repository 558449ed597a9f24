"""Windows of clips to tasks: choose objects, vary colours, normalise."""

from __future__ import annotations

import torch
from torch import Tensor

from edgetam.train.pool import Pool
from edgetam.train.rollout import Task

__all__ = ["draw_task", "make_task", "normalise"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LEAST_AREA = 0.002
"""Share of the first frame an object must cover to be prompted there."""


def normalise(frames: Tensor) -> Tensor:
    """RGB frames ``[..., H, W, 3]`` of 0..255 to ``[..., 3, H, W]`` as the image encoder expects them."""
    x = frames.float() / 255
    return ((x - torch.tensor(MEAN)) / torch.tensor(STD)).movedim(-1, -3)


def vary_colours(frames: Tensor) -> Tensor:
    """Other colours for the clip and a slight flicker per frame: ``[T, H, W, 3]``, 0..255."""
    x = frames.float()
    if torch.rand(()) < 0.3:
        x = x[..., torch.randperm(3)]
    if torch.rand(()) < 0.07:
        x = x.mean(-1, keepdim=True).expand(-1, -1, -1, 3)
    contrast = 0.75 + 0.5 * torch.rand(1, 1, 1, 3)
    flicker = 1 + 0.04 * torch.randn(len(x), 1, 1, 1)
    offset = 20 * torch.randn(1, 1, 1, 3)
    return ((x - 128) * contrast * flicker + 128 + offset).clamp(0, 255)


def draw_task(pool: Pool, clips: int, frames: int, objects: int) -> Task:
    """At most ``objects`` objects in ``clips`` random windows of ``frames`` frames."""
    windows = [pool.window(frames) for _ in range(clips)]
    images = torch.stack([vary_colours(w[..., :3]) for w in windows])
    labels = torch.stack([w[..., 3] for w in windows])
    return make_task(images, labels, objects)


def make_task(frames: Tensor, labels: Tensor, objects: int) -> Task:
    """Choose objects that are visible on the first frame.

    Args:
        frames: ``[V, T, H, W, 3]``, 0..255.
        labels: ``[V, T, H, W]``, 0 for background and 1.. for objects.
        objects: how many to keep at most, at random; every clip has one before any has two.
    """
    least = LEAST_AREA * labels[0, 0].numel()
    found = []
    for clip, first in enumerate(labels[:, 0]):
        areas = torch.bincount(first.flatten().long())
        usable = [i for i in range(1, len(areas)) if areas[i] >= least]
        order = torch.randperm(len(usable)).tolist()
        found += [(turn, float(torch.rand(())), clip, usable[i]) for turn, i in enumerate(order)]
    chosen = sorted(found)[:objects]
    masks = torch.stack([labels[clip] == label for _, _, clip, label in chosen])
    return Task(normalise(frames), masks, torch.tensor([clip for _, _, clip, _ in chosen]))
