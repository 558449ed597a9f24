"""Video frames for the network in C (`frames.c`): the bytes that Pillow's bicubic resizing gives, sooner."""

from __future__ import annotations

import math
from ctypes import CDLL, Structure, c_int, c_int32, c_void_p
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgetam.engine.base import Floats
from edgetam.engine.native.kernel import Pool

__all__ = ["Frames"]

POINT = 22
"""Bits of a weight behind the point, as in Pillow."""
SUPPORT = 2.0
SHARPNESS = -0.5
"""Of the bicubic filter."""
LANES = 16
NARROWEST = 6
BYTES = np.arange(256, dtype=np.float32)[None].repeat(3, 0)
"""A table that changes nothing."""


class _Axis(Structure):
    _fields_ = (
        ("inputs", c_int32),
        ("outputs", c_int32),
        ("most", c_int32),
        ("first", c_void_p),
        ("count", c_void_p),
        ("weights", c_void_p),
    )


class _Weights:
    """Which inputs each output sees, and how much they count: bicubic, over as much as one output covers."""

    def __init__(self, inputs: int, outputs: int) -> None:
        scale = inputs / outputs
        stretch = max(scale, 1.0)
        reach = SUPPORT * stretch
        centre = (np.arange(outputs) + 0.5) * scale
        first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
        last = np.minimum((centre + reach + 0.5).astype(np.int64), inputs)
        most = math.ceil(reach) * 2 + 1
        taps = np.arange(most)
        weights = _bicubic((taps + first[:, None] - centre[:, None] + 0.5) * (1 / stretch))
        weights[taps >= (last - first)[:, None]] = 0
        weights /= weights.cumsum(1)[:, -1:]  # one by one, as C adds them up
        if inputs == outputs:  # then Pillow does nothing
            first, last = np.arange(inputs), np.arange(inputs) + 1
            weights = np.eye(1, most).repeat(outputs, 0)
        self.first, self.count = first.astype(np.int32), (last - first).astype(np.int32)
        self.weights = np.trunc(weights * (1 << POINT) + np.where(weights < 0, -0.5, 0.5)).astype(np.int32)
        arrays = (self.first, self.count, self.weights)
        self.axis = _Axis(inputs, outputs, most, *(array.ctypes.data for array in arrays))


def _bicubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    a, x = SHARPNESS, np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


_weights = lru_cache(8)(_Weights)


class Frames:
    """Prepares frames; one kernel of a pool at a time.

    Pillow resizes across first or down first, as it sees fit, and rounds in between. Which it is for a size
    is found out once; if it is neither, it is left to Pillow.

    Args:
        kernels: see `edgetam.engine.native.library`.
        pool: the threads to use.
        size: of the result, a multiple of 16.
        table: what bytes become, ``[3, 256]``.
    """

    def __init__(self, kernels: CDLL, pool: Pool, size: int, table: Floats) -> None:
        self._kernels, self._pool, self._size = kernels, pool, size
        self._table = np.ascontiguousarray(table, np.float32)
        assert self._table.shape == (3, 256)
        self._orders: dict[tuple[int, int], bool | None] = {}
        kernels.frames_prepare.restype = None
        kernels.frames_prepare.argtypes = [c_void_p, c_void_p, _Axis, _Axis, c_int, *[c_void_p] * 4]

    def prepare(self, rgb: NDArray[np.uint8]) -> Floats | None:
        """Bytes ``[H, W, 3]`` to floats ``[1, 3, size, size]``; None where Pillow must do it."""
        shape = rgb.shape[0], rgb.shape[1]
        if shape not in self._orders:
            self._orders[shape] = self._order(*shape)
        down_first = self._orders[shape]
        return None if down_first is None else self._resized(rgb, down_first, self._table)

    def _order(self, height: int, width: int) -> bool | None:
        """Whether Pillow goes down first; None if that is not all there is to it."""
        if width < NARROWEST:
            return None
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        square = (self._size, self._size)
        wanted = np.asarray(Image.fromarray(noise).resize(square, Image.Resampling.BICUBIC)).transpose(
            2, 0, 1
        )
        for down_first in (False, True):
            if np.array_equal(self._resized(noise, down_first, BYTES)[0], wanted):
                return down_first
        return None

    def _resized(self, rgb: NDArray[np.uint8], down_first: bool, table: Floats) -> Floats:
        rgb = np.ascontiguousarray(rgb)
        height, width, _ = rgb.shape
        size = self._size
        across, down = _weights(width, size), _weights(height, size)
        between = np.empty((size * width if down_first else height * size) * 3, np.uint8)
        strips = np.empty(self._pool.threads * max(width, size) * 3 * LANES, np.uint8)
        out = np.empty((1, size, size, 3), np.float32)
        addresses = (x.ctypes.data for x in (table, between, strips, out))
        self._kernels.frames_prepare(
            self._pool.address, rgb.ctypes.data, across.axis, down.axis, down_first, *addresses
        )
        return out.transpose(0, 3, 1, 2)
