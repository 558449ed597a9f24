"""Whether weights are those that were asked for; their configuration is enough to tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgetam.config import VARIANTS, ModelConfig, differences, get_config
from edgetam.errors import WeightsError

__all__ = ["check_memory", "check_partial", "settle"]

_IMAGE = "image"


def check_partial(partial: str | None) -> None:
    """Refuse values that mean nothing.

    Raises:
        WeightsError: neither None nor "image".
    """
    if partial not in (None, _IMAGE):
        raise WeightsError(f"partial is {partial!r}, expected None or {_IMAGE!r}; leave it out for video.")


def check_memory(config: ModelConfig, partial: str | None, *, image_only: bool) -> None:
    """Refuse weights without memory, unless ``partial`` says that they will do.

    Raises:
        WeightsError: they cannot track.
    """
    if image_only and partial != _IMAGE:
        raise WeightsError(
            f"An image-only {config.name} file has no memory modules and cannot track; pass a video "
            'checkpoint, or partial="image" to segment images only.'
        )


def settle(own: ModelConfig, name: str, image_size: int | None, path: Path) -> ModelConfig:
    """The model to build from weights.

    Args:
        own: their configuration.
        name: a variant; weights whose configuration has a name of its own are taken as they are.
        image_size: in pixels; that of the weights by default.
        path: of the weights.

    Raises:
        ConfigError: unknown variant or size.
        WeightsError: they are of another variant.
    """
    wanted = get_config(name, image_size)
    published = own.name in VARIANTS  # native files hold what others have configured
    if published and own.name != name and differences(own, wanted):
        raise WeightsError(
            f"{path} holds weights of {own.name}, expected {name}; load it as {own.name!r}, or pass "
            f"weights of {name}."
        )
    return own if image_size is None else replace(own, image_size=image_size)
