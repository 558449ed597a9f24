"""Load a bundle made by `edgetam export`: the verbs without PyTorch."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgetam.config import ModelConfig, check_whole, get_config
from edgetam.engine.fixed import FixedShapes
from edgetam.engine.manifest import Limits, Manifest, read_manifest
from edgetam.engine.requirements import missing
from edgetam.engine.verbs import Constants, GraphEngine, Runner
from edgetam.errors import BundleError, EngineError

__all__ = ["CONSTANTS", "BundleEngine", "load_bundle"]

CONSTANTS = "constants.json"
RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino", "executorch": "executorch"}
"""Target to the module that runs it; other targets have no runtime in Python."""
VERBS = {"encode", "attend", "track", "answer", "adopt", "remember"}
_log = logging.getLogger(__name__)


class BundleEngine(GraphEngine):
    """An engine with limits."""

    def __init__(self, config: ModelConfig, constants: Constants, runner: Runner, limits: Limits) -> None:
        super().__init__(config, constants, runner)
        self.limits = limits


def load_bundle(path: str | Path, *, threads: int | None = None) -> BundleEngine:
    """Load an exported model, ready for `ImageSegmenter` and `VideoTracker`; PyTorch is not needed.

    Args:
        path: the folder ``edgetam export`` wrote.
        threads: CPU threads to use; all by default. ExecuTorch uses as many as it likes.

    Raises:
        BundleError: the folder is no bundle, is of a newer format, or a file is missing or altered.
        EngineError: its runtime is not installed or cannot run here.
        ConfigError: ``threads`` is no whole number of at least 1.
    """
    if threads is not None:
        check_whole("threads", threads, 1)
    folder = Path(path)
    manifest = read_manifest(folder)
    absent = VERBS - {program.verb for program in manifest.programs}
    if absent:
        raise BundleError(f"The bundle '{folder}' has no program for {min(absent)}; export it again.")
    runner = _runner(manifest, lambda program: folder / program, threads)
    fixed = FixedShapes(manifest.programs, runner, manifest.limits)
    config = get_config(manifest.model, manifest.image_size)
    return BundleEngine(config, _constants(folder), fixed, manifest.limits)


def _runner(manifest: Manifest, folder_of: Callable[[str], Path], threads: int | None) -> Runner:
    target, precision = manifest.target, manifest.precision
    module = RUNTIMES.get(target)
    if module is None:
        raise EngineError(
            f"This is a bundle for {target}, which has no runtime here: run its programs on the device, or "
            f"export one for {', '.join(RUNTIMES)}."
        )
    if missing([module]):
        raise EngineError(
            f"This is a bundle for {target} and {module} is not installed; "
            f"run: pip install 'edgetam[{target}]'"
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


def _constants(folder: Path) -> Constants:
    try:
        vectors = json.loads((folder / CONSTANTS).read_text())
        return Constants(*(np.array(vectors[name], np.float32) for name in ("absent_pointer", "no_memory")))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"'{CONSTANTS}' in the bundle '{folder}' cannot be read ({error}); export it again."
        ) from error
