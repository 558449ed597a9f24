"""Verbs on programs whose shapes are fixed: choose one that is large enough, pad, go object by object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.engine.manifest import Limits, Program, TensorSpec
from edgetam.engine.verbs import PADDING_LABEL, Runner, one_by_one
from edgetam.errors import BundleError, EdgeTAMError, PromptError

__all__ = ["FixedShapes"]

PADDING: dict[str, float] = {"labels": PADDING_LABEL, "masks": -1024.0}
"""What marks an entry as unused; 0 for all other inputs. Masks: no pixel belongs to an object that is not."""


class FixedShapes:
    """A `Runner` on top of one that runs programs.

    Programs for one object are run once for each. That costs no more than a batch whose unused places are
    computed too, and only then may their number be anything.

    Args:
        programs: smaller ones of a verb before larger ones.
        runner: runs a program by its name.
        limits: named in errors.
    """

    def __init__(self, programs: Sequence[Program], runner: Runner, limits: Limits) -> None:
        self.programs = programs
        self.runner = runner
        self.limits = limits

    @property
    def name(self) -> str:
        """What the runtime is called."""
        return self.runner.name

    @property
    def precision(self) -> str:
        """What programs compute in."""
        return self.runner.precision

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
        """See `Runner.run`.

        Raises:
            PromptError: more memories, pointers, points or objects than the bundle was made for.
            BundleError: the runtime cannot open or run a program.
        """
        program = self._program(graph, inputs)
        count = max(len(inputs[s.name]) for s in program.inputs)
        if _places(program) > 1:
            fitted = {s.name: _fit(inputs[s.name], s) for s in program.inputs}
            return [out[:count] for out in self.run_program(program.name, fitted)]
        return one_by_one(partial(self._run_one, program), {s.name: inputs[s.name] for s in program.inputs})

    def _run_one(self, program: Program, inputs: Mapping[str, Any]) -> Sequence[Any]:
        return self.run_program(program.name, {s.name: _fit(inputs[s.name], s) for s in program.inputs})

    def run_program(self, name: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
        """Run one program on inputs of just its shapes.

        Raises:
            BundleError: the runtime cannot open or run it.
        """
        try:
            return self.runner.run(name, inputs)
        except (EdgeTAMError, MemoryError):
            raise
        except Exception as error:  # runtimes have errors of many kinds
            said = (str(error).strip() or type(error).__name__).splitlines()[-1].rstrip(". ")
            raise BundleError(
                f"The program '{name}' of this bundle does not run in {self.name} ({said}); export it again, "
                "with the version that is installed here."
            ) from error

    def _program(self, verb: str, inputs: Mapping[str, Any]) -> Program:
        """The smallest that takes the inputs."""
        known = [p for p in self.programs if p.verb == verb]
        short: set[str] = {"objects"}
        for program in known:
            short = _too_small(program, inputs)
            if not short:
                return program
        raise PromptError(self._complaint(short))

    def _complaint(self, short: set[str]) -> str:
        limits = self.limits
        if "points" in short:
            return limits.too_many_points
        if "objects" in short:
            return (
                f"This bundle was exported for at most {limits.objects} objects; "
                "export it with more --objects."
            )
        return (
            f"This bundle reads at most {limits.prompted} prompted frames of an object; export it with more "
            f"--prompted, or set TrackerOptions(max_prompted={limits.prompted})."
        )


def _places(program: Program) -> int:
    """How many objects a program takes at once."""
    return max((s.shape[0] for s in program.inputs if s.axes[0] == "objects"), default=1)


def _too_small(program: Program, inputs: Mapping[str, Any]) -> set[str]:
    """Axes along which a program is too short; those for one object take any number of them."""
    single = _places(program) == 1
    return {
        name
        for tensor in program.inputs
        for axis, name in enumerate(tensor.axes)
        if name is not None
        and not (single and name == "objects")
        and inputs[tensor.name].shape[axis] > tensor.shape[axis]
    }


def _fit(array: NDArray[Any], tensor: TensorSpec) -> NDArray[Any]:
    """Pad to the shape of an input."""
    missing = [
        0 if name is None else full - have
        for have, full, name in zip(array.shape, tensor.shape, tensor.axes, strict=True)
    ]
    if not any(missing):
        return array
    return np.pad(array, [(0, more) for more in missing], constant_values=PADDING.get(tensor.name, 0))
