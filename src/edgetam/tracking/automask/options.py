"""Choices made when everything in an image is masked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from edgetam.config import check_whole
from edgetam.errors import ConfigError

__all__ = ["AutoMaskOptions"]


@dataclass(frozen=True)
class AutoMaskOptions:
    """Where to click, and which answers to keep. The defaults are SAM 2's.

    Attributes:
        points_per_side: clicks along each side of a regular grid.
        batch: clicks that are answered at once.
        min_score: the model's own estimate of a mask's IoU has to be above it.
        min_stability: IoU of the masks cut ``stability_offset`` above and below the threshold, at least.
        stability_offset: in logits.
        threshold: logits above it are inside.
        max_overlap: of two masks whose boxes have a higher IoU, the one with the lower score goes.
        crop_layers: also look at enlarged parts of the image: 4 parts in the first layer, 16 in the second.
        crop_overlap: of neighbouring parts, relative to the shorter side of the image.
        crop_max_overlap: as ``max_overlap``, between parts; smaller parts win.
        crop_points_divisor: each layer has so many times fewer points per side than the one before.
        min_region: holes and islands of fewer pixels are removed, and what has become a duplicate too.
        refine: ask again with every answer as a mask prompt.
        several: three answers per click (part, whole and more) instead of one.
        stable_single: where one answer is asked for, take the best of three if its outline is uncertain.

    Raises:
        ConfigError: a number is out of its range.
    """

    points_per_side: int = 32
    batch: int = 64
    min_score: float = 0.8
    min_stability: float = 0.95
    stability_offset: float = 1.0
    threshold: float = 0.0
    max_overlap: float = 0.7
    crop_layers: int = 0
    crop_overlap: float = 512 / 1500
    crop_max_overlap: float = 0.7
    crop_points_divisor: int = 1
    min_region: int = 0
    refine: bool = False
    several: bool = True
    stable_single: bool = True

    def __post_init__(self) -> None:
        least = {
            "points_per_side": 1,
            "batch": 1,
            "crop_layers": 0,
            "crop_points_divisor": 1,
            "min_region": 0,
        }
        for name, lowest in least.items():
            check_whole(name, getattr(self, name), lowest)
        for name in ("min_score", "min_stability", "max_overlap", "crop_overlap", "crop_max_overlap"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value!r}; expected a number from 0 to 1.")
        numbers = _is_number(self.threshold) and _is_number(self.stability_offset)
        if not (numbers and math.isfinite(self.threshold) and self.stability_offset >= 0):
            raise ConfigError(
                f"threshold is {self.threshold!r} and stability_offset {self.stability_offset!r}; "
                "expected a logit and a distance of at least 0."
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real)
