"""Other colours: every change is linear, so a whole chain of them is one matrix per frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.train.data.clip import Rgb

__all__ = ["Jitter", "Tint", "recolour"]

Matrix = NDArray[np.float64]  # [3, 4]: colours, then what is added
_GREY = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Jitter:
    """How far brightness, contrast and saturation change, as parts: 0.1 is 0.9 to 1.1."""

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0


@dataclass(frozen=True)
class Tint:
    """What happens to the colours of a clip.

    Attributes:
        clip: drawn once for all frames.
        frame: drawn again for every frame.
        grey: how often a clip loses its colours.
        exchange: how often red, green and blue change places.
    """

    clip: Jitter = Jitter(0.1, 0.03, 0.03)
    frame: Jitter = Jitter(0.1, 0.05, 0.05)
    grey: float = 0.05
    exchange: float = 0.0


def recolour(dice: np.random.Generator, frames: list[Rgb], tint: Tint) -> list[Rgb]:
    """Change the colours of a clip."""
    mean = float(np.mean(cv2.mean(frames[0])[:3]))
    shared = _jittered(dice, tint.clip, mean)
    if dice.random() < tint.grey:
        shared = _chain(shared, _saturated(0.0))
    if dice.random() < tint.exchange:
        shared = _chain(shared, np.eye(3, 4)[dice.permutation(3)])
    return [cv2.transform(frame, _chain(shared, _jittered(dice, tint.frame, mean))) for frame in frames]


def _jittered(dice: np.random.Generator, jitter: Jitter, mean: float) -> Matrix:
    bright, contrast, colours = 1 + dice.uniform(-1, 1, 3) * (
        jitter.brightness,
        jitter.contrast,
        jitter.saturation,
    )
    about_mean = np.eye(3, 4) * contrast
    about_mean[:, 3] = mean * (1 - contrast)
    return _chain(_chain(np.eye(3, 4) * bright, about_mean), _saturated(colours))


def _saturated(share: float) -> Matrix:
    matrix = np.zeros((3, 4))
    matrix[:, :3] = share * np.eye(3) + (1 - share) * _GREY
    return matrix


def _chain(first: Matrix, then: Matrix) -> Matrix:
    """One matrix for two steps."""
    out: Matrix = then[:, :3] @ first
    out[:, 3] += then[:, 3]
    return out
