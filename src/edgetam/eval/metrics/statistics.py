"""How a measure behaves over the frames of a sequence."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Statistics", "statistics"]


class Statistics(NamedTuple):
    """Of one object's measure: its mean, the share of frames above one half, and its loss over time."""

    mean: float
    recall: float
    decay: float


def statistics(values: npt.ArrayLike) -> Statistics:
    """Return mean, recall and decay of a measure ``[T]``; NaN marks frames that do not count.

    Decay is the mean of the first quarter less that of the last (Perazzi et al., CVPR 2016, section 5). An
    empty sequence gives NaN.
    """
    x = np.asarray(values, np.float64).reshape(-1)  # [T]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, as it should be
        marks = np.round(np.linspace(1, len(x), 5) + 1e-10).astype(np.int64) - 1
        # as published: places are counted in 8 bits, so from 256 frames on the quarters are no quarters.
        starts, ends = marks[:-1] % 256, (marks[1:] + 1) % 256
        first, last = (x[starts[i] : ends[i]] for i in (0, 3))
        return Statistics(
            float(np.nanmean(x)), float(np.nanmean(x > 0.5)), float(np.nanmean(first) - np.nanmean(last))
        )
