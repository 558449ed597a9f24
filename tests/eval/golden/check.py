"""Comparing many numbers and keeping the worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

PER_FRAME = 1e-12
OVERALL = 1e-9


@dataclass
class Check:
    """One line of the report: what was compared, and how far apart it was at most."""

    name: str
    count: int = 0
    worst: float = 0.0
    failures: list[str] = field(default_factory=list)

    def close(self, what: str, got: npt.ArrayLike, wanted: npt.ArrayLike, tolerance: float) -> None:
        """Compare numbers or arrays; NaN equals NaN."""
        a, b = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
        if a.shape != b.shape:
            self.fail(f"{what}: {a.shape} numbers instead of {b.shape}")
            return
        self.count += a.size
        if not np.array_equal(np.isnan(a), np.isnan(b)):
            self.fail(f"{what}: {a} instead of {b}")
            return
        gap = float(np.max(np.nan_to_num(np.abs(a - b)), initial=0.0))
        self.worst = max(self.worst, gap)
        if gap > tolerance:
            self.fail(f"{what}: {a} instead of {b}")

    def equal(self, what: str, got: Any, wanted: Any) -> None:
        """Compare things that must be the same."""
        self.count += 1
        if got != wanted:
            self.fail(f"{what}: {got} instead of {wanted}")

    def fail(self, sentence: str) -> None:
        """Note what is wrong."""
        self.failures.append(" ".join(sentence.split())[:300])

    @property
    def ok(self) -> bool:
        """Whether something was compared and all of it agreed."""
        return self.count > 0 and not self.failures

    def lines(self) -> list[str]:
        """What to print: the verdict, and the first failures."""
        verdict = "ok  " if self.ok else "FAIL"
        head = f"{verdict} {self.name:<46} {self.count:>7} numbers, worst {self.worst:.1e}"
        more = [f"       ... and {len(self.failures) - 5} more"] if len(self.failures) > 5 else []
        return [head, *(f"       {line}" for line in self.failures[:5]), *more]


def same_keys(check: Check, what: str, got: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Compare the names in two tables and return those in both."""
    check.equal(f"{what}, names", sorted(got), sorted(wanted))
    return [name for name in wanted if name in got]
