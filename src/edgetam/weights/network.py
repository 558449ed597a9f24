"""A model with its weights, in one call."""

from __future__ import annotations

from pathlib import Path

from edgetam.config import ModelConfig, get_config
from edgetam.model import EdgeTAM, build_model
from edgetam.weights.load import LoadedWeights, load_into, load_state
from edgetam.weights.registry import BUNDLED, weights_path
from edgetam.weights.variant import without_values
from edgetam.weights.wanted import settle

__all__ = ["build_network", "load_network"]


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
    get_config(name, image_size)
    path = weights_path(name, weights)
    loaded = load_state(path, partial)
    return build_network(loaded, settle(loaded.config, name, image_size, path))


def build_network(loaded: LoadedWeights, config: ModelConfig) -> EdgeTAM:
    """A model with these weights, in evaluation mode on the CPU.

    Raises:
        WeightsError: they are of another model.
    """
    with without_values():
        model = build_model(config)
    load_into(model, loaded)
    return model
