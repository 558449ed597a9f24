"""The assignment of least cost, by shortest augmenting paths."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["assign"]

Costs = npt.NDArray[np.float64]


def assign(costs: npt.ArrayLike) -> list[tuple[int, int]]:
    """Give each row or each column of ``[R, C]``, whichever are fewer, a partner of its own at least total
    cost.

    Ties are settled as SciPy settles them, which the DAVIS evaluator relies on. Source: Crouse, "On
    implementing 2D rectangular assignment algorithms", IEEE Transactions on Aerospace and Electronic
    Systems, 2016.

    Returns:
        Pairs of row and column, by row.
    """
    table = np.asarray(costs, np.float64)
    if table.shape[0] > table.shape[1]:
        return sorted((row, column) for column, row in _assign_rows(table.T))
    return _assign_rows(table)


def _assign_rows(costs: Costs) -> list[tuple[int, int]]:
    rows, columns = costs.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    column_of, row_of = np.full(rows, -1), np.full(columns, -1)
    for start in range(rows):
        path = _shortest_path(costs - row_price[:, None] - column_price, row_of, start)
        row_price[start] += path.total
        for row in path.rows[1:]:
            row_price[row] += path.total - path.distance[column_of[row]]
        for column in path.columns:
            column_price[column] -= path.total - path.distance[column]
        end = path.columns[-1]
        while True:  # swap partners along the path
            row = path.came_from[end]
            row_of[end] = row
            column_of[row], end = end, column_of[row]
            if row == start:
                break
    return list(enumerate(column_of.tolist()))


class _Path(NamedTuple):
    """The cheapest way from a row to a free column, and what was met on the search for it."""

    total: float
    distance: Costs
    came_from: npt.NDArray[np.int_]
    rows: list[int]
    columns: list[int]


def _shortest_path(costs: Costs, row_of: npt.NDArray[np.int_], start: int) -> _Path:
    columns = costs.shape[1]
    distance, came_from = np.full(columns, np.inf), np.full(columns, -1)
    waiting = list(range(columns - 1, -1, -1))
    path = _Path(0.0, distance, came_from, [], [])
    row, total = start, 0.0
    while True:
        path.rows.append(row)
        best, best_place = np.inf, -1
        for place, column in enumerate(waiting):
            through = total + costs[row, column]
            if through < distance[column]:
                distance[column], came_from[column] = through, row
            if distance[column] < best or (distance[column] == best and row_of[column] == -1):
                best, best_place = distance[column], place
        total, column = float(best), waiting[best_place]
        path.columns.append(column)
        waiting[best_place] = waiting[-1]
        waiting.pop()
        if row_of[column] == -1:
            return path._replace(total=total)
        row = int(row_of[column])
