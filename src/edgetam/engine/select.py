"""Load a model: which weights, on which runtime, in which precision."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgetam.config import check_whole, get_config
from edgetam.engine.base import Engine
from edgetam.engine.bundle import RUNTIMES
from edgetam.engine.requirements import missing, missing_compiler, require_torch
from edgetam.errors import EngineError

if TYPE_CHECKING:
    import torch

    from edgetam.engine.source import Source

__all__ = ["ENGINES", "PRECISIONS", "Choice", "choose_engine", "load_model"]

ENGINES = ("auto", "torch", "compiled", "openvino", "native", "onnx")
PYTORCH = ("torch", "compiled")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")

_DRIVERS = ("/proc/driver/nvidia/version", "/dev/kfd", "/dev/dxg")
"""Signs of a GPU on Linux, looked at so that machines without one need not import torch to find out."""


_log = logging.getLogger(__name__)


class Choice(NamedTuple):
    """What a model runs on."""

    engine: str
    device: str
    precision: str
    reason: str


def load_model(
    name: str = "edgetam",
    weights: str | Path | None = None,
    *,
    engine: str = "auto",
    device: str | torch.device | None = "auto",
    precision: str = "auto",
    image_size: int | None = None,
    threads: int | None = None,
    partial: str | None = None,
) -> Engine:
    """Load a model, ready for `ImageSegmenter` and `VideoTracker`.

    Args:
        name: a variant, see `edgetam.VARIANTS`.
        weights: a file (the official ``.pt``, or safetensors in our or Hugging Face's layout), a name from
            ``edgetam weights list``, or ``None`` for the weights that come with the package.
        engine: ``openvino`` or ``onnx`` (CPUs only), ``native`` (OpenVINO with kernels of our own),
            ``torch``, ``compiled`` (PyTorch with `torch.compile`, and CUDA graphs on a GPU: slow at first,
            then faster), or ``auto``: torch on a GPU and OpenVINO on a CPU, with those kernels where they
            can be used and are faster.
        device: ``auto`` or None (CUDA, then MPS, then CPU), or any torch device.
        precision: ``fp32``, ``bf16`` or ``fp16``, or ``auto``: bf16 on CUDA, else fp32. On a CPU
            that computes in it, bf16 is two to four times as fast and moves outlines a little. With native
            kernels, fp32 is good to 16 bits where numbers are multiplied. ``int8`` is for OpenVINO, after
            ``edgetam quantize``.
        image_size: side the input is resized to, a multiple of 256; the weights' own by default.
        threads: CPU threads to use; all by default. PyTorch has one number for the whole process.
        partial: ``"image"`` accepts weights that can segment images but not track.

    Raises:
        ConfigError: unknown variant, a size that is not a multiple of 256, or no whole number of threads.
        WeightsError: the weights are missing, damaged, unsafe or of another model.
        EngineError: the engine, device or precision is not available here.
    """
    get_config(name, image_size)
    if threads is not None:
        threads = check_whole("threads", threads, 1)
    choice = choose_engine(engine, device, precision)
    from edgetam.weights.registry import weights_path

    path = weights_path(name, weights)
    if choice.engine in PYTORCH:
        return _torch_engine(path, choice, name, image_size, threads, partial)
    from edgetam.engine.source import Source

    source = Source.of_weights(path, name, image_size, partial)
    if choice.engine == "onnx":
        from edgetam.engine.onnx import onnx_engine

        return onnx_engine(source, choice.precision, threads)
    if choice.engine == "native":
        return _native_engine(source, choice.precision, threads, insist=engine == "native")
    from edgetam.engine.openvino import openvino_engine

    return openvino_engine(source, choice.precision, threads)


def choose_engine(
    engine: str = "auto", device: str | torch.device | None = "auto", precision: str = "auto"
) -> Choice:
    """Settle what is left open, by what this machine has.

    Raises:
        EngineError: something asked for is unknown, not installed, or does not go together.
    """
    _check(engine, precision)
    device = _device_name(device)
    if engine == "auto":
        engine, device, reason = _best_engine(device, precision)
    else:
        reason = "asked for"
        if engine not in PYTORCH:
            _need("openvino" if engine == "native" else engine)
    if engine in PYTORCH:
        require_torch(f"The {engine} engine")
        if precision == "int8":
            raise EngineError("precision is 'int8', which PyTorch does not run here; use engine='openvino'.")
        device = _torch_device() if device == "auto" else device
        if precision == "auto":
            precision = "bf16" if _has_bf16(device) else "fp32"
        absent = missing_compiler(device) if engine == "compiled" else None
        if absent:
            raise EngineError(
                f"The compiled engine needs {absent}, which is not installed; use engine='torch'."
            )
        return Choice(engine, device, precision, reason)
    if device not in ("auto", "cpu"):
        raise EngineError(
            f"The {engine} engine runs on the CPU and device is {device!r}; use engine='torch'."
        )
    if engine == "onnx" and precision not in ("auto", "fp32"):
        raise EngineError(
            f"precision is {precision!r}; the ONNX engine computes in fp32 only, so use engine='openvino'."
        )
    return Choice(engine, "cpu", "fp32" if precision == "auto" else precision, reason)


def _device_name(device: object) -> str:
    if device is None:
        return "auto"
    if isinstance(device, str) or type(device).__module__ == "torch":  # which need not be installed
        named = str(device)
        return "cpu" if named.partition(":")[0] == "cpu" else named  # PyTorch knows a "cpu:0"
    number = isinstance(device, int) and not isinstance(device, bool)
    raise EngineError(
        f"device is {device!r}; expected 'auto' or the name of a torch device such as 'cpu'"
        + (f", so use 'cuda:{device}'." if number else ".")
    )


def _has_bf16(device: str) -> bool:
    """Whether a GPU computes in bfloat16: not before Ampere, where PyTorch would pretend to."""
    import torch

    return device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)


def _check(engine: str, precision: str) -> None:
    for what, value, known in (("engine", engine, ENGINES), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise EngineError(f"{what} is {value!r}; expected one of {', '.join(known)}.")


def _best_engine(device: str, precision: str) -> tuple[str, str, str]:
    """Engine, device and why."""
    if device == "auto":
        device = _torch_device()
    if device != "cpu":
        return "torch", device, f"device {device}"
    if not missing(["openvino"]):
        from edgetam.engine.native.library import pays

        kernels = {"auto": "fp32", "fp32": "fp32", "bf16": "bf16", "int8": "bf16"}.get(precision)
        if kernels and pays(kernels):
            return "native", device, "the fastest on a CPU with AMX"
        return "openvino", device, "the fastest on a CPU"
    return "torch", device, "OpenVINO is not installed"


def _need(engine: str) -> None:
    if missing([RUNTIMES[engine]]):
        raise EngineError(
            f"The {engine} engine is not installed; run pip install 'edgetam[{engine}]' or use engine='auto'."
        )


def _torch_device() -> str:
    """CUDA, then MPS, then the CPU; without importing torch where there is none, or can be no GPU."""
    no_gpu = sys.platform == "linux" and not any(Path(driver).exists() for driver in _DRIVERS)
    if no_gpu or missing(["torch"]):
        return "cpu"
    from edgetam.engine.torch import best_device

    return best_device()


def _native_engine(source: Source, precision: str, threads: int | None, *, insist: bool) -> Engine:
    """The engine with kernels, or OpenVINO's alone where they cannot be compiled and nobody insists."""
    from edgetam.engine.native.engine import native_engine
    from edgetam.engine.openvino import openvino_engine

    try:
        return native_engine(source, precision, threads)
    except EngineError as error:
        if insist:
            raise
        _log.warning("OpenVINO runs everything, which is slower. %s", error)
    return openvino_engine(source, precision, threads)


def _torch_engine(
    path: Path, choice: Choice, name: str, image_size: int | None, threads: int | None, partial: str | None
) -> Engine:
    import torch

    from edgetam.engine.torch import TorchEngine
    from edgetam.weights.network import load_network

    if threads is not None:
        torch.set_num_threads(threads)
    network = load_network(name, path, image_size=image_size, partial=partial)
    if choice.engine == "torch":
        return TorchEngine(network, choice.device, choice.precision)
    from edgetam.engine.torch_compiled import CompiledEngine

    return CompiledEngine(network, choice.device, choice.precision)
