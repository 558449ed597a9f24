"""What a case found: the largest difference of each kind, against what it may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Measure(NamedTuple):
    """One difference."""

    kind: str
    difference: float
    limit: float
    where: str

    @property
    def ok(self) -> bool:
        """Within the limit; a NaN never is."""
        return self.difference <= self.limit

    def __str__(self) -> str:
        if float(self.limit).is_integer():
            text = f"{self.kind} {self.difference:g}/{self.limit:g}"
        else:
            text = f"{self.kind} {self.difference:.1e} (<= {self.limit:.1e})"
        return text if self.ok else f"{text} at {self.where} !"


@dataclass
class Report:
    """All differences of one case; ``note`` helps to read a failure and decides nothing."""

    name: str
    measures: list[Measure] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    compared: int = 0
    note: str = ""

    def add(self, kind: str, difference: float, limit: float, where: str = "") -> None:
        """Note one difference."""
        self.compared += 1
        self.measures.append(Measure(kind, difference, limit, where))

    def exact(self, what: str, got: Any, expected: Any) -> None:
        """Note something that has to be equal."""
        self.compared += 1
        if not np.array_equal(np.asarray(got), np.asarray(expected)):
            self.faults.append(f"{what} is {_short(got)}, expected {_short(expected)}")

    @property
    def worst(self) -> dict[str, Measure]:
        """Of each kind the difference that is the largest part of its limit; any NaN comes first."""
        found: dict[str, Measure] = {}
        for measure in self.measures:
            known = found.get(measure.kind)
            if known is None or _severity(measure) > _severity(known):
                found[measure.kind] = measure
        return found

    @property
    def ok(self) -> bool:
        """Everything within its limit, and something was compared at all."""
        return self.compared > 0 and not self.faults and all(m.ok for m in self.worst.values())

    def line(self) -> str:
        """One line for people, and one more for everything that should have been equal."""
        parts = "  ".join(str(measure) for measure in self.worst.values())
        verdict = ("ok" if self.ok else "FAILED") + (f" ({self.note})" if self.note else "")
        return "\n".join(
            [
                f"{self.name:24s} {parts}  n {self.compared}  {verdict}",
                *(f"    {fault}" for fault in self.faults),
            ]
        )


def _severity(measure: Measure) -> float:
    return float("inf") if np.isnan(measure.difference) else measure.difference / measure.limit


def _short(value: Any) -> str:
    text = str(np.asarray(value).tolist())
    return text if len(text) <= 80 else text[:77] + "..."
