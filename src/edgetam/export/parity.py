"""Does a bundle answer as PyTorch does? The same prompts on the same frames through both, frame by frame.

A short clip does not reach every program: one with many memories is for long videos. So each program is also
run once by itself, on random inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgetam.config import MEMORY_FRAMES
from edgetam.engine.base import Engine
from edgetam.engine.fixed_graph import FixedGraph
from edgetam.engine.manifest import Limits, TensorSpec
from edgetam.engine.verbs import PADDING_LABEL
from edgetam.errors import EngineError, WeightsError
from edgetam.model.inference import in_full_precision
from edgetam.model.prompt_encoder import LABELS
from edgetam.structs import FrameResult
from edgetam.tracking import TrackerOptions, VideoTracker

__all__ = ["Agreement", "ProgramAgreement", "compare", "compare_programs", "drawn_clip", "rehearse"]

FRAMES, WIDTH, HEIGHT = 6, 320, 240
CORRECTED = 3
"""The frame that is corrected after it was tracked."""
PIXELS = 256
"""Drawn points lie in the corner that images of all sizes have."""
EMPTY = {"tokens_valid": 0, "pointers_valid": 0, "labels": PADDING_LABEL}
"""What marks padding."""
TINY = 1e-3
"""Outputs are taken to be at least of this size."""


@dataclass(frozen=True)
class Agreement:
    """One object on one frame, in a bundle and in PyTorch.

    Attributes:
        frame: index.
        object_id: of the object.
        logits: the largest difference of mask logits.
        iou: of the masks; 1 where both are empty.
        presence: the difference of probabilities.
    """

    frame: int
    object_id: int
    logits: float
    iou: float
    presence: float


@dataclass(frozen=True)
class ProgramAgreement:
    """One program in a bundle and its graph in PyTorch, on the same random inputs.

    Attributes:
        program: its name.
        largest: difference of any value of any output.
        relative: root mean square of the differences over that of the values, of the output where it is
            largest.
    """

    program: str
    largest: float
    relative: float


def drawn_clip() -> NDArray[np.uint8]:
    """Three shapes that move over a background: uint8 ``[T, H, W, 3]``."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ground = np.stack([x % 61 + y % 47 + 40, (x + y) % 83 + 30, y % 71 + 60], axis=-1)
    frames = np.repeat(ground[None].astype(np.uint8), FRAMES, axis=0)
    for t, frame in enumerate(frames):
        frame[(x - 80 - 6 * t) ** 2 + (y - 90) ** 2 < 45**2] = (210, 60, 50)
        frame[120 - 3 * t : 200 - 3 * t, 190:270] = (40, 180, 90)
        frame[(abs(x - 160) + abs(y - 50 - 4 * t)) < 28] = (60, 80, 230)
    return frames


def rehearse(engine: Engine, limits: Limits) -> list[FrameResult]:
    """Track up to three objects (a click, a box, a mask) and correct the first one on the way."""
    objects = limits.objects
    # nothing goes to the temporary folder, whose disk may be full: the clip is too short for a history
    options = TrackerOptions(store="fp32", max_prompted=limits.prompted, history=False)
    clip = drawn_clip()
    with VideoTracker(engine, options).open(clip) as session:
        session.prompt(0, 1, points=[[80, 90]])
        if objects > 1:
            session.prompt(1, 2, box=[188, 115, 272, 200])
        if objects > 2:
            mask = (clip[1] == (60, 80, 230)).all(axis=-1)
            session.prompt(1, 3, mask=mask)
        results = list(session.propagate(frames=CORRECTED + 1))
        results.append(session.prompt(CORRECTED, 1, points=[[100, 90], [20, 20]], labels=[1, 0]))
        return results + list(session.propagate(start=CORRECTED + 1))


def compare_programs(
    graphs: Sequence[FixedGraph], run: Callable[[str, Mapping[str, Any]], Sequence[Any]]
) -> list[ProgramAgreement]:
    """Run each program once, with places left empty where it has several.

    Args:
        graphs: what the programs were made of, ``encode`` before those that read what it gives.
        run: runs a program by its name.

    Raises:
        EngineError: a program gives values that are not finite, or outputs of other shapes.
        WeightsError: PyTorch itself gives values that are not finite.
    """
    generator = np.random.default_rng(0)
    seen: dict[str, NDArray[Any]] = {}
    agreements = []
    for graph in graphs:
        drawn = {tensor.name: _drawn(tensor, generator) for tensor in graph.program.inputs}
        inputs = {name: seen.get(name, array) for name, array in drawn.items()}
        expected = _in_pytorch(graph, inputs)
        if graph.name == "encode":  # drawn maps would not be of the size that others are used to
            seen = dict(zip((tensor.name for tensor in graph.program.outputs), expected, strict=True))
            seen["fused"] = seen["stride16"]
        agreements.append(_program_agreement(graph.name, run(graph.name, inputs), expected))
    return agreements


def _in_pytorch(graph: FixedGraph, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    with torch.inference_mode(), in_full_precision():
        outputs = graph.graph.module.eval()(*(torch.from_numpy(array) for array in inputs.values()))
    arrays = [x.numpy() for x in (outputs if isinstance(outputs, tuple) else (outputs,))]
    if not all(np.isfinite(x).all() for x in arrays):
        raise WeightsError(
            f"With these weights '{graph.name}' gives values that are not finite in PyTorch, so nothing was "
            "written; export other weights."
        )
    return arrays


def _drawn(tensor: TensorSpec, generator: np.random.Generator) -> NDArray[Any]:
    """A random input; of memories, pointers and points, the last eighth is padding."""
    name, shape = tensor.name, tensor.shape
    values: NDArray[Any]
    if name in ("tokens_valid", "pointers_valid", "has_mask"):
        values = np.ones(shape)
    elif name == "binarize":  # with 1, rounding beside the threshold would turn into another answer
        values = np.zeros(shape)
    elif name == "ages":
        values = generator.integers(0, MEMORY_FRAMES, shape)
    elif name == "labels":
        values = generator.integers(-1, LABELS, shape)
    elif name == "points":
        values = generator.uniform(0, PIXELS, shape)
    elif name == "distances":
        values = generator.uniform(0, 1, shape)
    elif name == "given":
        values = generator.integers(0, 2, shape)
    else:
        values = generator.normal(size=shape)
    if name in EMPTY:
        values[:, -max(shape[1] // 8, 1) :] = EMPTY[name]
    return values.astype(tensor.dtype)


def _program_agreement(
    program: str, got: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]
) -> ProgramAgreement:
    shapes, wanted = ([x.shape for x in side] for side in (got, expected))
    if shapes != wanted:
        raise EngineError(
            f"The exported program '{program}' gives outputs of shapes {shapes}, expected {wanted}, so "
            "nothing was written; try another target or another version of its libraries."
        )
    if not all(np.isfinite(x).all() for x in got):
        raise EngineError(
            f"The exported program '{program}' gives values that are not finite, so nothing was written; "
            "export in fp32, or to another target."
        )
    apart = [x - y for x, y in zip(got, expected, strict=True)]
    return ProgramAgreement(
        program,
        max(float(np.abs(x).max()) for x in apart),
        max(_size(x) / max(_size(y), TINY) for x, y in zip(apart, expected, strict=True)),
    )


def _size(x: NDArray[Any]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def compare(got: Sequence[FrameResult], expected: Sequence[FrameResult]) -> list[Agreement]:
    """Every object on every frame; both sides must have seen the same ones."""
    return [
        _agreement(mine.frame, object_id, mine.objects[object_id], theirs)
        for mine, wanted in zip(got, expected, strict=True)
        for object_id, theirs in wanted.objects.items()
    ]


def _agreement(frame: int, object_id: int, got: Any, expected: Any) -> Agreement:
    union = np.count_nonzero(got.mask | expected.mask)
    shared = np.count_nonzero(got.mask & expected.mask)
    return Agreement(
        frame,
        object_id,
        float(np.abs(got.logits - expected.logits).max()),
        float(shared / union) if union else 1.0,
        float(abs(got.presence - expected.presence)),
    )
