"""A folder of drawn clips.

Drawing a clip costs about as much as learning from it once. So one process draws clips into a folder
while another learns from random windows of the clips that are there; each clip serves a few times.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgetam.errors import InputError
from edgetam.train.synthetic import Clip, SynthConfig, sample_clip

__all__ = ["Pool", "fill", "recipe", "save_clip"]

HELD_OUT_SEED = 1_000_000_000
"""Seeds from here on are for evaluation."""


def recipe(seed: int, size: int = 256) -> SynthConfig:
    """What the clip of ``seed`` looks like: 4 or 8 frames, 5 objects, any difficulty."""
    dice = random.Random(seed)
    frames = 8 if dice.random() < 0.4 else 4
    return SynthConfig(size=size, frames=frames, objects=5, difficulty=dice.uniform(0.05, 1.0))


def save_clip(clip: Clip, path: Path) -> None:
    """Write frames and labels as one array ``[T, H, W, 4]``: red, green, blue, 1 + object (0: none)."""
    numbers = torch.arange(1, clip.masks.shape[1] + 1, dtype=torch.uint8)
    labels = (clip.masks * numbers[:, None, None]).amax(1)  # masks never overlap
    array = torch.cat([clip.frames, labels[..., None]], dim=-1).numpy()
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, array)
    part.replace(path)


def fill(folder: Path, seeds: Iterator[int], most: int) -> None:
    """Draw clips until the folder holds ``most``; a clip that exists is not drawn again."""
    folder.mkdir(parents=True, exist_ok=True)
    held = len(list(folder.glob("*.npy")))
    for seed in seeds:
        path = folder / f"{seed:010d}.npy"
        if held >= most:
            return
        if not path.exists():
            save_clip(sample_clip(recipe(seed), seed), path)
            held += 1


class Pool:
    """Random windows of the clips in a folder.

    Raises:
        InputError: the folder has no clips.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.dice = random.Random(seed)
        self.paths: list[Path] = []
        self.refresh()

    def refresh(self) -> None:
        """Notice clips that were drawn since."""
        self.paths = sorted(self.folder.glob("*.npy"))
        if not self.paths:
            raise InputError(f"{self.folder} has no clips; expected at least one .npy, fill the pool first.")

    def window(self, frames: int) -> Tensor:
        """``frames`` frames ``[T, H, W, 4]`` with strides, directions and flips at random."""
        while True:
            clip: NDArray[np.uint8] = np.load(self.dice.choice(self.paths), mmap_mode="r")
            if len(clip) >= frames:
                break
        stride = self.dice.randint(1, max(1, (len(clip) - 1) // max(1, frames - 1))) if frames > 1 else 1
        start = self.dice.randrange(len(clip) - stride * (frames - 1))
        part = clip[start : start + stride * (frames - 1) + 1 : stride]
        if self.dice.random() < 0.5:
            part = part[::-1]
        if self.dice.random() < 0.5:
            part = part[:, :, ::-1]
        return torch.from_numpy(part.copy())


def main() -> None:
    """Draw clips: every ``step``-th seed from ``first``."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--most", type=int, default=6000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    fill(given.folder, iter(range(given.first, 10**8, given.step)), given.most)


if __name__ == "__main__":
    main()
