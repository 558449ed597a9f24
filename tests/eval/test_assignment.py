"""The assignment of least cost."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgetam.eval.metrics.assignment import assign


def cheapest(costs: np.ndarray) -> float:
    """The least total, by trying everything."""
    table = costs if costs.shape[0] <= costs.shape[1] else costs.T
    rows = range(table.shape[0])
    return min(
        sum(table[row, column] for row, column in zip(rows, chosen, strict=True))
        for chosen in permutations(range(table.shape[1]), table.shape[0])
    )


shapes = st.tuples(st.integers(1, 5), st.integers(1, 5))


@settings(max_examples=200)
@given(shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=st.integers(-9, 9).map(float))))
def test_nothing_is_cheaper(costs: np.ndarray) -> None:
    pairs = assign(costs)
    rows, columns = zip(*pairs, strict=True)
    assert len(pairs) == min(costs.shape) == len(set(rows)) == len(set(columns))
    assert list(rows) == sorted(rows)
    assert sum(costs[pair] for pair in pairs) == pytest.approx(cheapest(costs))


def test_by_hand() -> None:
    assert assign([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]]) == [(0, 1), (1, 0), (2, 2)]
    assert assign([[9.0], [1.0], [5.0]]) == [(1, 0)]


def test_ties_go_as_in_scipy() -> None:
    assert assign(np.zeros((2, 3))) == [(0, 0), (1, 1)]
    assert assign(np.zeros((3, 2))) == [(0, 0), (1, 1)]
