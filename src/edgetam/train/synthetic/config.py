"""What to draw, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from edgetam.errors import ConfigError
from edgetam.train.data.clip import Clip

__all__ = ["Batch", "Clip", "SynthConfig"]


@dataclass(frozen=True)
class SynthConfig:
    """How a synthetic clip looks.

    Attributes:
        size: side of the square frames in pixels, a multiple of 32.
        frames: frames per clip; 1 gives images.
        objects: rows of masks per clip; a clip with fewer usable objects pads them.
        distractors: fewest and most unlabelled moving things.
        occluders: fewest and most unlabelled things that cross in front.
        difficulty: 0..1, scales speed, deformation, occlusion, look-alikes and degradation.

    Raises:
        ConfigError: a value is out of its range.
    """

    size: int = 256
    frames: int = 4
    objects: int = 2
    distractors: tuple[int, int] = (0, 4)
    occluders: tuple[int, int] = (0, 2)
    difficulty: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 32 or self.size % 32:
            raise ConfigError(f"size is {self.size}, expected a positive multiple of 32: change it.")
        if self.frames < 1 or self.objects < 1:
            raise ConfigError(
                f"frames={self.frames}, objects={self.objects} were given, expected at least 1: raise them."
            )
        for name, (low, high) in (("distractors", self.distractors), ("occluders", self.occluders)):
            if not 0 <= low <= high:
                raise ConfigError(f"{name} is ({low}, {high}), expected 0 <= fewest <= most: reorder it.")
        if not 0.0 <= self.difficulty <= 1.0:
            raise ConfigError(f"difficulty is {self.difficulty}, expected a number from 0 to 1: change it.")


@dataclass(frozen=True)
class Batch:
    """Clips stacked along a first axis."""

    frames: Tensor  # [B, T, H, W, 3] uint8
    masks: Tensor  # [B, T, O, H, W] bool
    present: Tensor  # [B, O] bool
