"""Arrays to ExecuTorch and back, with a stand-in for its runtime, which few have installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch


class Doubler:
    """A runtime, a program and its method in one; answers lie in memory that the next run overwrites."""

    def __init__(self) -> None:
        self.memory = torch.zeros(2, 3)

    @classmethod
    def get(cls) -> Doubler:
        return cls()

    def load_program(self, path: Path) -> Doubler:
        return self

    def load_method(self, name: str) -> Doubler:
        return self

    def execute(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [torch.mul(inputs[0], 2, out=self.memory)]


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    package, runtime = ModuleType("executorch"), ModuleType("executorch.runtime")
    vars(runtime).update(Method=Doubler, Program=Doubler, Runtime=Doubler)
    monkeypatch.setitem(sys.modules, "executorch", package)
    monkeypatch.setitem(sys.modules, "executorch.runtime", runtime)
    monkeypatch.delitem(sys.modules, "edgetam.engine.executorch", raising=False)
    from edgetam.engine.executorch import ExecuTorchRunner

    yield ExecuTorchRunner(lambda name: Path(name), "fp32")
    sys.modules.pop("edgetam.engine.executorch", None)  # it knows the stand-in


def test_answers_are_arrays_that_later_runs_leave_alone(runner: Any) -> None:
    values = np.arange(6, dtype=np.float32).reshape(3, 2).T  # not contiguous
    (first,) = runner.run("any", {"x": values})
    runner.run("any", {"x": values + 1})
    assert isinstance(first, np.ndarray)
    assert np.array_equal(first, values * 2)
