"""What cameras and codecs do to pictures: motion blur, noise, softness, uneven light."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.train.data.clip import Rgb

__all__ = ["worn"]

_SHEET = 64
"""Extra pixels of the sheet that every frame reads its noise from, elsewhere."""


def worn(dice: np.random.Generator, frames: list[Rgb]) -> list[Rgb]:
    """Degrade a clip, or not: each way has its own odds."""
    for odds, way in ((0.15, _shaded), (0.15, _softened), (0.2, _blurred), (0.35, _noisy)):
        if dice.random() < odds:
            frames = way(dice, frames)
    return frames


def _shaded(dice: np.random.Generator, frames: list[Rgb]) -> list[Rgb]:
    """Light that falls unevenly and moves."""
    depth = dice.uniform(0.1, 0.4)
    field, drift = dice.standard_normal((4, 4)), dice.standard_normal((4, 4)) * 0.25
    out = []
    for t, frame in enumerate(frames):
        light = 1 + depth * np.tanh(field + t * drift)
        gain = cv2.resize(light.astype(np.float32), frame.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        out.append(cv2.multiply(frame, cv2.merge([gain] * 3), dtype=cv2.CV_8U))
    return out


def _softened(dice: np.random.Generator, frames: list[Rgb]) -> list[Rgb]:
    """Fewer pixels than there seem to be."""
    part = dice.uniform(0.35, 0.8)
    small = tuple(max(8, round(side * part)) for side in frames[0].shape[1::-1])
    out = (cv2.resize(frame, small, interpolation=cv2.INTER_AREA) for frame in frames)
    return [cv2.resize(frame, frames[0].shape[1::-1], interpolation=cv2.INTER_LINEAR) for frame in out]


def _streak(length: float, angle: float) -> NDArray[np.float32]:
    reach = max(1, math.ceil(length / 2))
    kernel = np.zeros((2 * reach + 1,) * 2, np.float32)
    for part in np.linspace(-0.5, 0.5, 4 * reach + 1):
        x, y = part * length * math.cos(angle), part * length * math.sin(angle)
        kernel[reach + round(y), reach + round(x)] += 1
    return kernel / kernel.sum()


def _blurred(dice: np.random.Generator, frames: list[Rgb]) -> list[Rgb]:
    """A camera that shakes, more or less on each frame."""
    longest = dice.uniform(0.01, 0.05) * frames[0].shape[0]
    angle = dice.uniform(0, math.pi)
    streaks = (_streak(longest * dice.random(), angle + 0.3 * dice.standard_normal()) for _ in frames)
    return [cv2.filter2D(frame, -1, streak) for frame, streak in zip(frames, streaks, strict=True)]


def _noisy(dice: np.random.Generator, frames: list[Rgb]) -> list[Rgb]:
    """Sensor noise: one sheet, read elsewhere for every frame, since fresh noise is slow."""
    height, width = frames[0].shape[:2]
    sigma = math.exp(dice.uniform(math.log(1.5), math.log(14)))
    grain = cv2.multiply(
        dice.standard_normal((height + _SHEET, (width + _SHEET) * 3), dtype=np.float32), sigma
    )
    sheet = grain.astype(np.int16).reshape(height + _SHEET, width + _SHEET, 3)
    out = []
    for frame in frames:
        x, y = dice.integers(0, _SHEET + 1, 2)
        out.append(
            cv2.add(frame, np.ascontiguousarray(sheet[y : y + height, x : x + width]), dtype=cv2.CV_8U)
        )
    return out
