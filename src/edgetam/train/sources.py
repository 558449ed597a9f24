"""Sources of a recipe as clips by number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgetam.train.data import Ask, ClipSource, Mixture, open_mixture, open_source
from edgetam.train.loader import Order
from edgetam.train.recipe import Recipe, Stage

__all__ = ["mix", "open_sources", "stage_clips"]


def open_sources(given: Mapping[str, Any]) -> dict[str, ClipSource]:
    """Open the sources of a recipe by name.

    Raises:
        ConfigError: a description is wrong.
        MediaError: a file cannot be read.
    """
    return {name: open_source(description) for name, description in given.items()}


def mix(
    given: Mapping[str, Any], weights: Mapping[str, float], seed: int, ask: Ask | Callable[[int], Ask]
) -> Mixture:
    """Mix sources.

    Args:
        given: descriptions by name.
        weights: of those to use; without any, all are used by the ``weight`` or ``repeat`` they have.
        seed: decides every clip.
        ask: shape of the clips, or number of a clip to its shape.

    Raises:
        ConfigError: a description is wrong.
        MediaError: a file cannot be read.
    """
    if not weights:
        return open_mixture(list(given.values()), seed, ask)
    used = {name: weight for name, weight in weights.items() if weight > 0}
    sources = open_sources({name: given[name] for name in used})
    return Mixture(list(sources.values()), list(used.values()), seed, ask)


def stage_clips(recipe: Recipe, stage: Stage, order: Order) -> Mixture:
    """The clips of a stage, as long as its plans want them."""

    def ask(number: int) -> Ask:
        return Ask(order.frames(number), stage.objects, stage.image_size)

    return mix(recipe.data.sources, stage.sources, recipe.seed, ask)
