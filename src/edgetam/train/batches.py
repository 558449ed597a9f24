"""Clips to the batches the network learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from edgetam.errors import InputError
from edgetam.train.data import Clip

__all__ = ["Batch", "make_batch", "normalise"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Batch:
    """V clips and B objects to follow in them.

    ``seeds`` are per object, from the numbers of clip and object: whoever prompts an object by its seed
    does the same to it in whatever batch, and on whatever machine, it is.
    """

    frames: Tensor  # [V, T, S, S, 3] uint8
    masks: Tensor  # [B, T, S, S] bool
    clip: Tensor  # [B] which of the V clips an object is in; clip by clip
    seeds: Tensor  # [B, 2] number of the clip, number of the object in it
    void: Tensor | None = None  # [V, T, S, S] bool, pixels that nothing is said about

    def to(self, device: torch.device) -> Batch:
        """Copy frames and masks to a device."""
        if device.type == "cpu":
            return self
        frames, masks, clip = (x.to(device, non_blocking=True) for x in (self.frames, self.masks, self.clip))
        void = None if self.void is None else self.void.to(device, non_blocking=True)
        return replace(self, frames=frames, masks=masks, clip=clip, void=void)

    def pin_memory(self) -> Batch:
        """Ready for fast copies to a GPU; called by the data loader."""
        return replace(self, frames=self.frames.pin_memory(), masks=self.masks.pin_memory())

    def generators(self, seed: int) -> list[np.random.Generator]:
        """One source of randomness per object."""
        # without a last word that is not 0, the first object's would be the one its clip was drawn from
        return [np.random.default_rng([seed, *row, 1]) for row in self.seeds.tolist()]


def normalise(frames: Tensor) -> Tensor:
    """RGB frames ``[..., H, W, 3]`` of 0..255 to ``[..., 3, H, W]`` as the image encoder expects them.

    The result keeps channels last in memory, as convolutions on CPUs like it.
    """
    mean, std = (torch.tensor(x, device=frames.device) * 255 for x in (MEAN, STD))
    return ((frames.float() - mean) / std).movedim(-1, -3)


def make_batch(clips: Sequence[Clip], numbers: Sequence[int], objects: int) -> Batch:
    """Stack clips and keep the objects that can be prompted on their first frame.

    Args:
        clips: of one length and size.
        numbers: of the clips; seeds of the objects come from them.
        objects: most per clip; the first ones are kept.

    Raises:
        InputError: no clip shows an object on its first frame.
    """
    masks, owners, seeds = [], [], []
    for v, (clip, number) in enumerate(zip(clips, numbers, strict=True)):
        there = clip.present & clip.masks[0].flatten(1).any(1)
        for row in there.nonzero()[:objects, 0].tolist():
            masks.append(clip.masks[:, row])
            owners.append(v)
            seeds.append((number, row))
    if not masks:
        raise InputError(
            f"Clips {numbers[0]} to {numbers[-1]} show no object on their first frames, expected at least "
            "one; check the data with --check-data."
        )
    frames = torch.stack([clip.frames for clip in clips])
    return Batch(frames, torch.stack(masks), torch.tensor(owners), torch.tensor(seeds), _void(clips))


def _void(clips: Sequence[Clip]) -> Tensor | None:
    if all(clip.void is None for clip in clips):
        return None
    return torch.stack([torch.zeros_like(c.masks[:, 0]) if c.void is None else c.void for c in clips])
