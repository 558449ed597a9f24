"""What a case found: the largest difference of each kind, against what it may be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Measure:
    """The largest difference seen so far of one kind."""

    limit: float
    worst: float = 0.0
    where: str = ""

    @property
    def ok(self) -> bool:
        """Within the limit; a NaN never is."""
        return self.worst <= self.limit


@dataclass
class Report:
    """All differences of one case."""

    name: str
    measures: dict[str, Measure] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    compared: int = 0

    def add(self, kind: str, difference: float, limit: float, where: str = "") -> None:
        """Note one difference; of each kind the worst in terms of its limit is kept."""
        self.compared += 1
        known = self.measures.get(kind)
        if known is None or math.isnan(difference) or difference / limit > known.worst / known.limit:
            self.measures[kind] = Measure(limit, difference, where)

    def exact(self, what: str, got: Any, expected: Any) -> None:
        """Note something that has to be equal."""
        self.compared += 1
        if not np.array_equal(np.asarray(got), np.asarray(expected)):
            self.faults.append(f"{what} is {_short(got)}, expected {_short(expected)}")

    @property
    def ok(self) -> bool:
        """Everything within its limit, and something was compared at all."""
        return self.compared > 0 and not self.faults and all(m.ok for m in self.measures.values())

    def line(self) -> str:
        """One line for people."""
        parts = [_measure(kind, m) for kind, m in self.measures.items()]
        verdict = "ok" if self.ok else "FAILED"
        text = f"{self.name:24s} {'  '.join(parts)}  {verdict}"
        return "\n".join([text, *(f"{'':24s}   {fault}" for fault in self.faults)])


def _measure(kind: str, measure: Measure) -> str:
    if float(measure.limit).is_integer():
        text = f"{kind} {measure.worst:g}/{measure.limit:g}"
    else:
        text = f"{kind} {measure.worst:.1e} (<= {measure.limit:.1e})"
    return text if measure.ok else f"{text} at {measure.where} !"


def _short(value: Any) -> str:
    text = str(np.asarray(value).tolist())
    return text if len(text) <= 80 else text[:77] + "..."
