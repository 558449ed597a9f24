"""Sources of a recipe as clips by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from edgetam.train.data import Ask, Clip, ClipSource, Mixture, open_mixture, open_source
from edgetam.train.loader import Clips, Order
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


class _InTurn:
    """Clips, or images where the plan of a step wants them."""

    def __init__(self, clips: Clips, images: Clips, order: Order) -> None:
        self.clips, self.images, self.order = clips, images, order

    @property
    def broken(self) -> dict[str, int]:
        """How many samples of each source could not be used."""
        return dict(Counter(self.clips.broken) + Counter(self.images.broken))

    def __getitem__(self, index: int, /) -> Clip:
        return (self.images if self.order.plan(index).images else self.clips)[index]


def stage_clips(recipe: Recipe, stage: Stage, order: Order) -> Clips:
    """The clips of a stage, as long as its plans want them."""

    def ask(number: int) -> Ask:
        return Ask(order.plan(number).length, order.objects(number), stage.image_size)

    clips = mix(recipe.data.sources, stage.sources, recipe.seed, ask)
    if stage.images is None:
        return clips
    return _InTurn(clips, mix(recipe.data.sources, stage.images.sources, recipe.seed, ask), order)
