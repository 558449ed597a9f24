"""Labelled clips from seeds."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from edgetam.errors import ConfigError, MediaError
from edgetam.train.synthetic.bank import ImageBank
from edgetam.train.synthetic.config import Batch, Clip, SynthConfig
from edgetam.train.synthetic.dice import Dice
from edgetam.train.synthetic.photometry import expose
from edgetam.train.synthetic.scene import Scene, random_scene, render

__all__ = ["sample_batch", "sample_clip"]

_LEAST, _MOST = 0.002, 0.6
"""Visible part of frame 0 that a labelled object covers."""

_ATTEMPTS = 50


def _usable(scene: Scene, labels: Tensor) -> list[int]:
    """Indices of the things that can be labelled, in order of their rank."""
    pixels = labels.shape[-1] ** 2
    ranked = sorted((rank, index) for index, rank in enumerate(scene.rank) if rank >= 0)
    counts = torch.stack([torch.bincount(f.flatten().int(), minlength=256) for f in labels])  # [T, 256]
    found = []
    for _, index in ranked:
        seen = counts[:, index + 1]
        later = len(seen) == 1 or bool((seen[1:] >= max(8, 0.0005 * pixels)).any())
        if later and _LEAST * pixels <= int(seen[0]) <= _MOST * pixels:
            found.append(index)
    return found


def _masks(labels: Tensor, chosen: list[int], rows: int) -> Tensor:
    masks = torch.zeros(len(labels), rows, *labels.shape[1:], dtype=torch.bool, device=labels.device)
    for row, index in enumerate(chosen):
        masks[:, row] = labels == index + 1
    return masks


def sample_clip(
    config: SynthConfig, seed: int, device: torch.device | str = "cpu", bank: ImageBank | None = None
) -> Clip:
    """Draw the clip of a seed: the same seed and configuration give the same clip.

    Every clip has at least one labelled object, which covers 0.2 % to 60 % of frame 0 and is seen again
    later. Objects that fail this stay in the picture without a label. With a bank of real images, half of the
    scenes are such an image brought to life, and half of the other things are cut out of one.

    Drawing is thousands of small operations: with more than one thread they mostly wait for one another.

    Raises:
        MediaError: the seed gives no such clip, or a real image cannot be used.
    """
    dice = Dice(seed, device)
    for _ in range(_ATTEMPTS):
        scene = random_scene(dice, config, bank)
        frames, labels = render(scene, config.size)
        chosen = _usable(scene, labels)[: config.objects]
        if chosen:
            present = torch.arange(config.objects, device=labels.device) < len(chosen)
            return Clip(
                expose(dice, frames, config.difficulty), _masks(labels, chosen, config.objects), present
            )
    raise MediaError(
        f"seed {seed} gave no usable clip in {_ATTEMPTS} attempts: lower occluders or distractors."
    )


def sample_batch(
    config: SynthConfig,
    seeds: Iterable[int],
    device: torch.device | str = "cpu",
    bank: ImageBank | None = None,
) -> Batch:
    """Draw one clip per seed and stack them.

    Raises:
        ConfigError: no seeds were given.
    """
    clips = [sample_clip(config, seed, device, bank) for seed in seeds]
    if not clips:
        raise ConfigError("no seeds were given, expected at least one: pass one per clip.")
    return Batch(
        torch.stack([c.frames for c in clips]),
        torch.stack([c.masks for c in clips]),
        torch.stack([c.present for c in clips]),
    )
