"""Clips drawn from nothing, as a source."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgetam.train.data.clip import Ask, Clip
from edgetam.train.data.items import Collection
from edgetam.train.synthetic.bank import ImageBank
from edgetam.train.synthetic.clips import sample_clip
from edgetam.train.synthetic.config import SynthConfig

__all__ = ["DrawnClips"]

_SEEDS = 1_000_000_000


@dataclass(frozen=True)
class DrawnClips:
    """Synthetic clips; ``look.difficulty`` is the most, and each clip has its own.

    With a bank, real images take part.
    """

    look: SynthConfig
    bank: ImageBank | None = None
    name: str = "synthetic"

    @property
    def collections(self) -> dict[str, Collection]:
        """The images of the bank."""
        return {} if self.bank is None else {"images": self.bank.collection}

    def __len__(self) -> int:
        return 0

    def sample(self, dice: np.random.Generator, ask: Ask) -> Clip:
        """Draw a clip.

        Raises:
            ConfigError: the size is not a multiple of 32.
            MediaError: the seed gives no clip with an object, or a real image cannot be used.
        """
        seed = int(dice.integers(_SEEDS))
        difficulty = float(dice.uniform(0.05, 1.0)) * self.look.difficulty
        look = replace(
            self.look, size=ask.size, frames=ask.frames, objects=ask.objects, difficulty=difficulty
        )
        return sample_clip(look, seed, bank=self.bank)
