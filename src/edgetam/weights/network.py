"""A model with its weights, in one call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgetam.config import VARIANTS, get_config
from edgetam.errors import WeightsError
from edgetam.model import EdgeTAM, build_model
from edgetam.weights.load import load_into, load_state
from edgetam.weights.registry import BUNDLED, weights_path
from edgetam.weights.variant import same_network, without_values

__all__ = ["load_network"]


def load_network(
    name: str = BUNDLED,
    weights: str | Path | None = None,
    *,
    image_size: int | None = None,
    partial: str | None = None,
) -> EdgeTAM:
    """Build the variant ``name`` with ``weights``, in evaluation mode on the CPU.

    Args:
        name: a variant; weights whose configuration has a name of its own are taken as they are.
        weights: whatever `resolve` understands; None stands for the bundled weights of EdgeTAM, and for
            the published ones of other variants.
        image_size: in pixels; that of the weights by default.
        partial: "image" accepts weights that cannot track; the model is then of no use for video.

    Raises:
        ConfigError: unknown variant or size.
        WeightsError: the weights are damaged, unsafe, of another model or not to be had.
    """
    wanted = get_config(name, image_size)
    path = weights_path(name, weights)
    loaded = load_state(path, partial)
    config = loaded.config
    published = config.name in VARIANTS  # native files hold what others have configured
    if published and config.name != name and not same_network(config, wanted):
        raise WeightsError(
            f"{path} holds weights of {config.name}, expected {name}; load it as {config.name!r}, or pass "
            f"weights of {name}."
        )
    if image_size is not None:
        config = replace(config, image_size=image_size)
    with without_values():
        model = build_model(config)
    load_into(model, loaded)
    return model
