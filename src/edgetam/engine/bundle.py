"""Load a bundle made by `edgetam export`: the verbs without PyTorch."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgetam.config import HIDDEN_DIM, MEMORY_DIM, ModelConfig, check_whole, config_from_fields, get_config
from edgetam.engine.base import Floats
from edgetam.engine.fixed import FixedShapes
from edgetam.engine.manifest import CONSTANTS, Limits, Manifest, TensorSpec, check_program, read_manifest
from edgetam.engine.requirements import missing
from edgetam.engine.verbs import Constants, GraphEngine, Runner
from edgetam.errors import BundleError, ConfigError, EngineError, NewerError

__all__ = ["BundleEngine", "load_bundle"]

RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino", "executorch": "executorch"}
"""Target to the module that runs it; other targets have no runtime in Python."""
BESIDE = {"executorch": ("torch",)}
"""Target to what its module does not run without."""
VERBS = {"encode", "attend", "track", "answer", "adopt", "remember"}
COUNTED = ("objects", "memories", "pointers", "points")
"""Limits that are also lengths of axes."""
Lengths = tuple[int | None, ...]
"""Of the axes of an input; None where limits decide."""
_log = logging.getLogger(__name__)


class BundleEngine(GraphEngine):
    """An engine with limits."""

    runner: FixedShapes

    def __init__(
        self, config: ModelConfig, constants: Constants, runner: FixedShapes, limits: Limits
    ) -> None:
        super().__init__(config, constants, runner)
        self.limits = limits


def load_bundle(path: str | Path, *, threads: int | None = None) -> BundleEngine:
    """Load an exported model, ready for `ImageSegmenter` and `VideoTracker`; PyTorch is not needed.

    Args:
        path: the folder ``edgetam export`` wrote.
        threads: CPU threads to use; all by default. ExecuTorch uses as many as it likes.

    Raises:
        BundleError: the folder is no bundle, is of a newer format, a file is missing, altered or not listed,
            or the manifest contradicts itself. Engines raise it where a program turns out not to run, or was
            replaced before it was opened.
        EngineError: its runtime is not installed or cannot run here.
        ConfigError: ``threads`` is no whole number of at least 1.
    """
    if threads is not None:
        threads = check_whole("threads", threads, 1)
    folder = _folder(path).absolute()  # programs are opened later, perhaps from elsewhere
    manifest = read_manifest(folder)
    absent = VERBS - {program.verb for program in manifest.programs}
    if absent:
        raise BundleError(f"The bundle '{folder}' has no program for {min(absent)}; export it again.")
    config = _config(folder, manifest)
    _check_limits(folder, manifest)
    constants = _constants(folder)
    runner = _runner(manifest, lambda program: check_program(folder, manifest, program), threads)
    fixed = FixedShapes(manifest.programs, runner, manifest.limits)
    return BundleEngine(config, constants, fixed, manifest.limits)


def _folder(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except (RuntimeError, TypeError) as error:  # no home; None
        raise BundleError(
            f"The path of the bundle is {path!r} ({error}); give the folder that 'edgetam export' wrote."
        ) from error


def _runner(manifest: Manifest, folder_of: Callable[[str], Path], threads: int | None) -> Runner:
    target, precision = manifest.target, manifest.precision
    module = RUNTIMES.get(target)
    if module is None:
        raise EngineError(
            f"This is a bundle for {target}, which has no runtime here: run its programs on the device, or "
            f"export one for {', '.join(RUNTIMES)}."
        )
    absent = missing([module, *BESIDE.get(target, ())])
    if absent:
        what = f"'edgetam[{target}]'" if module in absent else " ".join(absent)
        raise EngineError(
            f"This is a bundle for {target} and {absent[0]} is not installed; run: pip install {what}"
        )
    if target == "openvino":
        from edgetam.engine.openvino import OpenVINORunner, capabilities

        if precision != "fp32" and precision.upper() not in capabilities():
            _log.warning("This CPU does not compute in %s; the bundle runs in fp32.", precision)
            precision = "fp32"
        return OpenVINORunner(folder_of, precision, threads)
    if target == "onnx":
        from edgetam.engine.onnx import ONNXRunner

        return ONNXRunner(folder_of, precision, threads)
    from edgetam.engine.executorch import ExecuTorchRunner

    return ExecuTorchRunner(folder_of, precision)


def _config(folder: Path, manifest: Manifest) -> ModelConfig:
    """The model of a bundle, which its programs must fit."""
    try:
        config = _described(manifest)
    except NewerError as error:
        raise BundleError(f"The bundle '{folder}' cannot be used here. {error}") from error
    except ConfigError as error:
        said = str(error).rstrip(".")
        raise BundleError(f"The bundle '{folder}' is of no known model ({said}); export it again.") from error
    expected = _inputs(config)
    for program in manifest.programs:
        found = {tensor.name: _settled(tensor) for tensor in program.inputs}
        if program.verb in expected and list(found.items()) != list(expected[program.verb].items()):
            raise BundleError(
                f"The bundle '{folder}' says that it is {config.name} at {config.image_size} pixels, and its "
                f"program '{program.name}' has inputs of another model or size; export it again."
            )
    return config


def _described(manifest: Manifest) -> ModelConfig:
    if manifest.network is None:
        return get_config(manifest.model, manifest.image_size)
    named = {"name": manifest.model, "image_size": manifest.image_size}
    return config_from_fields({**manifest.network, **named})


def _check_limits(folder: Path, manifest: Manifest) -> None:
    axes = [
        pair
        for program in manifest.programs
        for tensor in program.inputs
        for pair in zip(tensor.axes, tensor.shape, strict=True)
    ]
    for name in COUNTED:
        told = getattr(manifest.limits, name)
        longest = max((length for axis, length in axes if axis == name), default=1)
        if told != longest:
            raise BundleError(
                f"The bundle '{folder}' says that its limit of {name} is {told}, and its programs are made "
                f"for {longest}; export it again."
            )


def _settled(tensor: TensorSpec) -> Lengths:
    """The lengths of an input that are the model's own."""
    return tuple(
        length if name is None else None for length, name in zip(tensor.shape, tensor.axes, strict=True)
    )


def _inputs(config: ModelConfig) -> dict[str, dict[str, Lengths]]:
    """What the programs of each verb take, in order: see `edgetam.engine.graphs`, which needs PyTorch."""
    size, side, grid = config.image_size, config.mask_size, config.grid
    stride16: Lengths = (1, grid, grid, HIDDEN_DIM)
    fine: dict[str, Lengths] = {
        "stride4": (1, 4 * grid, 4 * grid, HIDDEN_DIM // 8),
        "stride8": (1, 2 * grid, 2 * grid, HIDDEN_DIM // 4),
    }
    decode: dict[str, Lengths] = {"fused": (None, *stride16[1:]), **fine}
    attend: dict[str, Lengths] = {
        "stride16": stride16,
        "tokens": (None, None, config.memory_layout.tokens, MEMORY_DIM),
        "ages": (None, None),
        "tokens_valid": (None, None),
        "pointers": (None, None, HIDDEN_DIM),
        "pointers_valid": (None, None),
    }
    remember: dict[str, Lengths] = {
        "stride16": stride16,
        "masks": (None, 1, side, side),
        "presence": (None, 1),
        "binarize": (1,),
    }
    return {
        "encode": {"image": (1, size, size, 3)},
        "attend": attend | ({"distances": (None, None)} if config.pointer_time else {}),
        "track": decode,
        "answer": {
            **decode,
            "points": (None, None, 2),
            "labels": (None, None),
            "mask": (None, 1, side, side),
            "has_mask": (None, 1),
        },
        "adopt": {**fine, "stride16": stride16, "given": (None, 1, size, size)},
        "remember": remember,
        "remember_exclusive": remember,
    }


def _constants(folder: Path) -> Constants:
    try:
        vectors = json.loads((folder / CONSTANTS).read_text(encoding="utf-8"))
        absent, none = (_vector(vectors, name) for name in ("absent_pointer", "no_memory"))
        return Constants(absent, none, str(vectors.get("weights_id", "")))  # older bundles have none
    except (AttributeError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise BundleError(
            f"'{CONSTANTS}' in the bundle '{folder}' cannot be read ({error}); export it again."
        ) from error


def _vector(vectors: Mapping[str, Any], name: str) -> Floats:
    vector = np.array(vectors[name], np.float32)
    if vector.shape != (HIDDEN_DIM,) or not np.isfinite(vector).all():  # shorter ones might be broadcast
        raise ValueError(f"'{name}' should be {HIDDEN_DIM} finite numbers")
    return vector
