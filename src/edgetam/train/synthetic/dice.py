"""All randomness of one clip, from one seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["Dice"]

T = TypeVar("T")


class Dice:
    """Draws from one seeded generator.

    Numbers are drawn on the CPU and then moved, so that a seed gives the same clip on every device.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._generator = torch.Generator().manual_seed(seed)
        self._ready: list[float] = []

    def uniform(self, low: float, high: float) -> float:
        """Draw a number between low and high."""
        if not self._ready:  # one tensor per number would cost a tenth of the clip's time
            self._ready = torch.rand(256, generator=self._generator).tolist()
        return low + (high - low) * self._ready.pop()

    def log_uniform(self, low: float, high: float) -> float:
        """Draw a number whose logarithm is uniform; both ends are positive."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def gauss(self, sigma: float) -> float:
        """Draw a number from a normal distribution around 0."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.uniform(0.0, 1.0)))
        return sigma * radius * math.cos(self.uniform(0.0, 2 * math.pi))

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self.uniform(0.0, 1.0) < probability

    def integer(self, low: int, high: int) -> int:
        """Draw an integer, both ends included."""
        return low + min(high - low, int(self.uniform(0.0, high - low + 1.0)))

    def choice(self, items: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """Draw one item, with equal weights unless told."""
        if weights is None:
            return items[self.integer(0, len(items) - 1)]
        left = self.uniform(0.0, sum(weights))
        for item, weight in zip(items, weights, strict=True):
            left -= weight
            if left < 0:
                return item
        return items[-1]

    def order(self, count: int) -> list[int]:
        """Draw a permutation of 0..count-1."""
        return [int(i) for i in torch.randperm(count, generator=self._generator)]

    def direction(self) -> tuple[float, float]:
        """Draw a unit vector."""
        angle = self.uniform(0.0, 2 * math.pi)
        return math.cos(angle), math.sin(angle)

    def rand(self, *shape: int) -> Tensor:
        """Uniform numbers in 0..1."""
        return torch.rand(shape, generator=self._generator).to(self.device)

    def randn(self, *shape: int) -> Tensor:
        """Normal numbers."""
        return torch.randn(shape, generator=self._generator).to(self.device)
