"""Load a model: which weights, on which runtime, in which precision."""

from __future__ import annotations

from pathlib import Path

from edgetam.config import get_config
from edgetam.engine.base import Engine
from edgetam.errors import EngineError

__all__ = ["ENGINES", "PRECISIONS", "load_model"]

ENGINES = ("auto", "torch")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def load_model(
    name: str = "edgetam",
    weights: str | Path | None = None,
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    image_size: int | None = None,
    partial: str | None = None,
) -> Engine:
    """Load a model, ready for `ImageSegmenter` and `VideoTracker`.

    Args:
        name: a variant, see `edgetam.VARIANTS`.
        weights: a file (the official ``.pt``, or safetensors in our or Hugging Face's layout), a name from
            ``edgetam weights list``, or ``None`` for the weights that come with the package.
        engine: ``auto`` or ``torch``.
        device: ``auto`` (CUDA, then MPS, then CPU) or any torch device.
        precision: ``auto`` (fp32 on a CPU, bf16 on CUDA), ``fp32``, ``bf16`` or ``fp16``.
        image_size: side the input is resized to, a multiple of 256; the weights' own by default.
        partial: ``"image"`` accepts weights that can segment images but not track.

    Raises:
        ConfigError: unknown variant, or a size that is not a multiple of 256.
        WeightsError: the weights are missing, damaged, unsafe or of another model.
        EngineError: the engine, device or precision is not available here.
    """
    get_config(name, image_size)
    if engine not in ENGINES:
        raise EngineError(f"engine is {engine!r}; expected one of {', '.join(ENGINES)}.")
    if precision not in PRECISIONS:
        raise EngineError(f"precision is {precision!r}; expected one of {', '.join(PRECISIONS)}.")
    from edgetam.engine.torch import TorchEngine, best_device
    from edgetam.weights import load_network

    network = load_network(name, weights, image_size=image_size, partial=partial)
    device = best_device() if device == "auto" else device
    if precision == "auto":
        precision = "bf16" if device.startswith("cuda") else "fp32"
    return TorchEngine(network, device, precision)
