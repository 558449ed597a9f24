"""Reading a folder of golden numbers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.parity.report import Report


class Golden:
    """One file of numbers.

    Large tensors are stored as samples: key ``K`` with ``K__idx`` (flat indices), ``K__shape`` and
    ``K__stats`` (mean, standard deviation, least and largest value of the whole).
    """

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        with np.load(path, allow_pickle=False) as file:
            self.data: dict[str, NDArray[Any]] = {key: file[key] for key in file.files}

    def __contains__(self, key: object) -> bool:
        return key in self.data

    def __getitem__(self, key: str) -> NDArray[Any]:
        return self.data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def has(self, prefix: str) -> bool:
        """Whether any key starts like this."""
        return any(key.startswith(prefix) for key in self)

    def integers(self, key: str) -> list[int]:
        """A few whole numbers."""
        return [int(x) for x in self.data[key].ravel()]

    def compare(self, report: Report, kind: str, key: str, got: Any, limit: float) -> None:
        """Compare a whole tensor with what is stored of it, if anything."""
        if key not in self:
            return
        array = as_array(got)
        expected = self.data[key]
        if f"{key}__idx" in self.data:
            report.exact(f"shape of {key}", array.shape, self.data[f"{key}__shape"])
            array = np.ascontiguousarray(array)
            self._compare_stats(report, kind, key, array, limit)
            array = array.ravel()[self.data[f"{key}__idx"]]
        if array.size != expected.size:
            report.exact(f"shape of {key}", array.shape, expected.shape)
            return
        report.add(kind, largest(array.reshape(expected.shape) - expected), limit, key)

    def _compare_stats(self, report: Report, kind: str, key: str, array: NDArray[Any], limit: float) -> None:
        whole = array.astype(np.float64)
        stats = np.array([whole.mean(), whole.std(), whole.min(), whole.max()])
        report.add(kind, largest(stats - self.data[f"{key}__stats"]), limit, f"{key} (statistics)")

    def compare_bits(self, report: Report, key: str, got: Any, limit: int) -> None:
        """Count the pixels whose sign differs."""
        array = as_array(got) > 0
        expected = np.unpackbits(self.data[key])[: array.size].astype(bool)
        report.add("px", int((array.ravel() != expected).sum()), limit, key)


def as_array(value: Any) -> NDArray[Any]:
    """A tensor or an array, as an array."""
    if hasattr(value, "detach"):
        value = value.detach().float().cpu().numpy()
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def largest(difference: Any) -> float:
    """The largest absolute value; NaN if there is any."""
    return float(np.abs(np.asarray(difference, np.float64)).max(initial=0.0))


@dataclass(frozen=True)
class Rule:
    """How the weights of a folder were made."""

    seed: int
    presence_bias: float


def read_rule(folder: Path, seed: int | None = None, presence_bias: float | None = None) -> Rule:
    """Find the seed of a folder's weights and its offset of the presence score, unless they are given.

    The seed is in the README ("weight seed N"), the offset in a table of ``det_weights.py`` (read, not run)
    or in the README's description of that bias.
    """
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    if seed is None:
        found = re.search(r"weight seed\D{0,3}(\d+)", text)
        if found is None:
            raise SystemExit(f"{readme} does not say 'weight seed N'; pass --seed.")
        seed = int(found[1])
    if presence_bias is None:
        presence_bias = _bias_in_code(folder / "det_weights.py", seed)
    if presence_bias is None:
        described = re.search(r"pred_obj_score_head\.layers\.2\.bias`? *= *(-?\d+(?:\.\d+)?) *\+", text)
        presence_bias = float(described[1]) if described else 0.0
    return Rule(seed, presence_bias)


def _bias_in_code(path: Path, seed: int) -> float | None:
    """The entry of the table OBJ_BIAS; 0 for seeds that are not in it, None without a table."""
    if not path.is_file():
        return None
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "OBJ_BIAS" for target in node.targets
        ):
            table = ast.literal_eval(node.value)
            return float(table.get(seed, 0.0))
    return None
