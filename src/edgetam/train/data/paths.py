"""Smooth motion of layers, as maps of the unit square: the frame's corners are (0, 0) and (1, 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pace", "about", "bends", "centre_on", "draw_span", "leave", "motion", "pass_by", "zoom"]

Maps = NDArray[np.float64]  # [T, 3, 3], from where things are drawn to where they are seen
GRID = 5
"""Control points of a bend along each side."""


@dataclass(frozen=True)
class Pace:
    """Typical change per frame: parts of the side, radians, parts of the size, slant, and width alone."""

    shift: float
    turn: float
    grow: float
    slant: float
    squash: float

    def times(self, factor: float) -> Pace:
        """The same, faster or slower."""
        return replace(self, **{name: value * factor for name, value in vars(self).items()})


@lru_cache(maxsize=32)
def _habit(frames: int) -> NDArray[np.float64]:
    """Turns independent numbers per frame into a walk whose steps are alike: ``[T, T]``."""
    gap = np.arange(frames)[:, None] - np.arange(frames)
    steps = np.where(gap >= 0, 0.7 * 0.7 ** np.maximum(gap, 0), 0.0)
    return steps.cumsum(0)


def _walk(dice: np.random.Generator, frames: int, width: int, anchor: int) -> NDArray[np.float64]:
    """A drift with smooth detours ``[T, width]``, at 0 on the frame ``anchor``."""
    time = np.arange(frames)[:, None]
    drift = dice.standard_normal((1, width)) * time
    out = 0.8 * drift + 0.6 * (_habit(frames) @ dice.standard_normal((frames, width)))
    return out - out[anchor]


def motion(dice: np.random.Generator, frames: int, pace: Pace, pivot: NDArray[np.float64]) -> Maps:
    """Draw a motion about a point ``pivot`` (x, y); on one frame, at random, nothing has moved yet.

    One time in eight the frames are out of order: large steps without a history.
    """
    anchor = int(dice.integers(frames))
    sizes = (pace.shift, pace.shift, pace.turn, pace.grow, pace.slant, pace.squash)
    path = _walk(dice, frames, 6, anchor) * sizes
    if dice.random() < 0.125:
        path = path[dice.permutation(frames)]
    # Long clips must not carry everything off: what has gone far goes slower.
    path = np.tanh(path / _FAR) * _FAR
    return np.stack([about(pivot, *row) for row in path])


_FAR = np.array([0.7, 0.7, 1.2, 0.5, 0.35, 0.6])


def about(
    pivot: NDArray[np.float64],
    x: float = 0.0,
    y: float = 0.0,
    turn: float = 0.0,
    grow: float = 0.0,
    slant: float = 0.0,
    squash: float = 0.0,
) -> NDArray[np.float64]:
    """A map ``[3, 3]`` about a point that grows by ``exp(grow)`` and in width by ``exp(squash)`` more.

    It also slants, turns by ``turn`` radians, and shifts by ``x`` and ``y``.
    """
    c, s = math.cos(turn), math.sin(turn)
    high = math.exp(grow)
    wide = high * math.exp(squash)
    linear = np.array([[wide * c, high * (c * slant - s)], [wide * s, high * (s * slant + c)]])
    out = np.eye(3)
    out[:2, :2] = linear
    out[:2, 2] = np.add(pivot, (x, y)) - linear @ pivot
    return out


def zoom(factor: float) -> NDArray[np.float64]:
    """A map ``[3, 3]`` that magnifies about the middle of the frame."""
    return about(np.array([0.5, 0.5]), grow=math.log(factor))


def centre_on(maps: Maps, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where a point is seen: ``[T, 2]``."""
    return maps[:, :2, :2] @ point + maps[:, :2, 2]


def pass_by(
    dice: np.random.Generator,
    maps: Maps,
    pivot: NDArray[np.float64],
    target: NDArray[np.float64],
    reach: float,
) -> Maps:
    """Make a layer cross a ``target`` ``[T, 2]`` after the first frame, coming from ``reach`` away."""
    frames = len(maps)
    meeting = float(dice.uniform(1.0, max(1.0, frames - 1.0)))
    angle = float(dice.uniform(0, 2 * math.pi))
    away = np.array([math.cos(angle), math.sin(angle)]) * (reach * dice.uniform(0.6, 1.2) / meeting)
    wished = target[min(frames - 1, round(meeting))] + away * (np.arange(frames) - meeting)[:, None]
    out = maps.copy()
    out[:, :2, 2] += wished - centre_on(maps, pivot)
    return out


def draw_span(dice: np.random.Generator, frames: int) -> tuple[int, int]:
    """First and last of some frames in a row, never the clip's first, and half of the time not its last.

    Otherwise what has gone would hardly ever come back in short clips.
    """
    returns = frames > 2 and dice.random() < 0.5
    end = frames - 1 if returns else frames
    first = int(dice.integers(1, end))
    return first, int(dice.integers(first, end))


def leave(dice: np.random.Generator, maps: Maps, pivot: NDArray[np.float64], reach: float) -> Maps:
    """Push a layer of radius ``reach`` just out of the frame for some frames, or all, after the first."""
    frames = len(maps)
    first, last = draw_span(dice, frames)
    share = np.zeros(frames)
    share[first : last + 1] = 1.0
    for t in {first - 1, last + 1} & set(range(1, frames)):
        share[t] = dice.uniform(0.1, 0.5)
    centre = centre_on(maps, pivot)[first]
    axis = int(dice.integers(2))
    gap = np.zeros(2)
    off = centre[axis] - 0.5
    gap[axis] = np.copysign(max(0.0, 0.5 - abs(off)) + 1.2 * reach, off)
    out = maps.copy()
    out[:, :2, 2] += share[:, None] * gap
    return out


def bends(dice: np.random.Generator, frames: int, size: float) -> NDArray[np.float32]:
    """Displacements ``[T, GRID, GRID, 2]`` of control points, smooth over time, in parts of the side."""
    path = _walk(dice, frames, GRID * GRID * 2, int(dice.integers(frames))) * size
    far = 4 * size
    return (np.tanh(path / far) * far).reshape(frames, GRID, GRID, 2).astype(np.float32)
