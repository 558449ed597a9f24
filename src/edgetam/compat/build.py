"""The published builders."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import torch

from edgetam.compat.base import SAM2Base
from edgetam.compat.names import variant_of_config, variant_of_repository
from edgetam.compat.settings import Settings, read_overrides
from edgetam.compat.video_predictor import SAM2VideoPredictor
from edgetam.engine import Engine, load_model
from edgetam.errors import ConfigError

__all__ = ["build_sam2", "build_sam2_hf", "build_sam2_video_predictor", "build_sam2_video_predictor_hf"]

_log = logging.getLogger("edgetam")


def build_sam2(
    config_file: str,
    ckpt_path: Any = None,
    device: Any = "cuda",
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    *,
    engine: str = "torch",
    precision: str = "fp32",
    **kwargs: Any,
) -> SAM2Base:
    """Build a model for ``SAM2ImagePredictor``.

    Args:
        config_file: a published configuration such as ``configs/edgetam.yaml``, or a variant's name.
        ckpt_path: the official ``.pt``, safetensors, or a name; the variant's own weights by default.
        device: as in torch; without CUDA, "cuda" means the CPU, with a warning.
        mode: ``"eval"``; models for training are built by `edgetam.train`.
        hydra_overrides_extra: ``++model.NAME=VALUE``; these win over ``apply_postprocessing``.
        apply_postprocessing: use the best of three masks where a single one is unstable.
        engine: see `edgetam.load_model`.
        precision: see `edgetam.load_model`; published code is ``fp32`` unless run under autocast.
        kwargs: ignored, as published.

    Raises:
        ConfigError: unknown configuration, override or mode.
        WeightsError: the weights cannot be used.
    """
    settings = _settings(hydra_overrides_extra, apply_postprocessing, video=False)
    loaded = _load(config_file, ckpt_path, device, mode, settings, engine, precision, kwargs)
    return SAM2Base(loaded, settings)


def build_sam2_video_predictor(
    config_file: str,
    ckpt_path: Any = None,
    device: Any = "cuda",
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    vos_optimized: bool = False,
    *,
    legacy: bool = False,
    store: Literal["bf16", "fp32"] = "bf16",
    engine: str = "torch",
    precision: str = "fp32",
    **kwargs: Any,
) -> SAM2VideoPredictor:
    """Build a video predictor.

    Args:
        config_file: see `build_sam2`.
        ckpt_path: see `build_sam2`.
        device: see `build_sam2`.
        mode: see `build_sam2`.
        hydra_overrides_extra: see `build_sam2`.
        apply_postprocessing: also remember prompted masks as hard masks, and fill holes of up to 8 cells of
            the mask logits (published code only fills them with its CUDA extension).
        vos_optimized: changes speed only in published code, and nothing here.
        legacy: see `SAM2VideoPredictor`.
        store: see `SAM2VideoPredictor`.
        engine: see `build_sam2`.
        precision: see `build_sam2`.
        kwargs: ignored, as published.

    Raises:
        ConfigError: unknown configuration, override or mode.
        WeightsError: the weights cannot be used.
    """
    settings = _settings(hydra_overrides_extra, apply_postprocessing, video=True)
    loaded = _load(config_file, ckpt_path, device, mode, settings, engine, precision, kwargs)
    return SAM2VideoPredictor(loaded, settings, legacy=legacy, store=store)


def build_sam2_hf(model_id: str, **kwargs: Any) -> SAM2Base:
    """`build_sam2` from a repository of the Hugging Face hub, such as ``facebook/sam2.1-hiera-tiny``.

    Raises:
        ConfigError: the name does not say which model it is.
        DownloadError: the weights cannot be fetched.
    """
    return build_sam2(variant_of_repository(model_id), model_id, **kwargs)


def build_sam2_video_predictor_hf(model_id: str, **kwargs: Any) -> SAM2VideoPredictor:
    """`build_sam2_video_predictor` from a repository of the Hugging Face hub; see `build_sam2_hf`."""
    return build_sam2_video_predictor(variant_of_repository(model_id), model_id, **kwargs)


def left_for_builder(made: type, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``from_pretrained`` that the class itself does not take."""
    taken = inspect.signature(made).parameters
    return {name: value for name, value in given.items() if name not in taken}


def _settings(overrides: Sequence[str], apply_postprocessing: bool, *, video: bool) -> Settings:
    settings = Settings()
    if apply_postprocessing:
        settings = settings.with_postprocessing(video)
    return read_overrides(overrides, settings)


def _load(
    config_file: str,
    ckpt_path: Any,
    device: Any,
    mode: str,
    settings: Settings,
    engine: str,
    precision: str,
    ignored: dict[str, Any],
) -> Engine:
    variant = variant_of_config(config_file)
    if mode != "eval":
        raise ConfigError(f"mode is {mode!r}; expected 'eval' (models are trained with edgetam train).")
    if ignored:
        _log.warning("Arguments without effect: %s.", ", ".join(ignored))
    return load_model(
        variant,
        ckpt_path,
        engine=engine,
        device=usable_device(device),
        precision=precision,
        image_size=settings.image_size,
    )


def usable_device(device: Any) -> str:
    """The device asked for, or the CPU where that is CUDA and there is none."""
    wanted = "cpu" if device is None else str(device)
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        _warn_no_cuda()
        return "cpu"
    return wanted


@cache
def _warn_no_cuda() -> None:
    """Once per process: it is the default device, and most machines do not have it."""
    warnings.warn("CUDA is not available here, using the CPU; pass device='cpu' to say so.", stacklevel=5)
