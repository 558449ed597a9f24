"""Predictions of the same videos side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgetam.errors import InputError
from edgetam.eval.metrics import ObjectScores, Scores, SequenceScores

__all__ = ["Comparison", "Row", "compare"]


@dataclass(frozen=True)
class Row:
    """One sequence or object: its scores in each prediction, None where a prediction lacks it."""

    sequence: str
    object: str
    scores: tuple[Mapping[str, float] | None, ...]

    def values(self, measure: str) -> list[float]:
        """Return one measure of all predictions; NaN where there is none."""
        return [math.nan if each is None else each.get(measure, math.nan) for each in self.scores]

    def worst(self, measure: str) -> float:
        """Return the lowest value over all predictions; infinity where there is none."""
        return min((value for value in self.values(measure) if not math.isnan(value)), default=math.inf)


@dataclass(frozen=True)
class Comparison:
    """The scores of several predictions by one protocol, each with a name."""

    scores: Mapping[str, Scores]

    @property
    def names(self) -> list[str]:
        """Return the names of the predictions, the first being what others are compared with."""
        return list(self.scores)

    @property
    def protocol(self) -> str:
        """Return the name of the protocol."""
        return next(iter(self.scores.values())).protocol

    def summary(self) -> Row:
        """Return what the benchmark reports."""
        return Row("", "", tuple(each.summary for each in self.scores.values()))

    def sequences(self) -> list[Row]:
        """Return all sequences, the worst J&F first."""
        tables = [{part.sequence: part.scores for part in each.sequences} for each in self.scores.values()]
        names = dict.fromkeys(name for table in tables for name in table)
        rows = [Row(name, "", tuple(table.get(name) for table in tables)) for name in names]
        return sorted(rows, key=lambda row: (row.worst("J&F"), row.sequence))

    def parts(self, sequence: str) -> Iterator[SequenceScores | None]:
        """Yield the sequence in each prediction."""
        for each in self.scores.values():
            yield next((part for part in each.sequences if part.sequence == sequence), None)

    def objects(self, sequence: str) -> dict[str, list[ObjectScores | None]]:
        """Return the objects of a sequence, each in all predictions, in the order of the benchmark."""
        tables = [
            {} if part is None else {entry.object: entry for entry in part.objects}
            for part in self.parts(sequence)
        ]
        names = dict.fromkeys(name for table in tables for name in table)
        return {name: [table.get(name) for table in tables] for name in names}


def compare(scores: Mapping[str, Scores]) -> Comparison:
    """Put predictions side by side.

    Raises:
        InputError: there is none, or they were scored by different protocols.
    """
    protocols = sorted({each.protocol for each in scores.values()})
    if len(protocols) != 1:
        raise InputError(
            f"Cannot compare scores by {' and '.join(protocols) or 'no protocol'}; expected one and the same."
        )
    return Comparison(dict(scores))
