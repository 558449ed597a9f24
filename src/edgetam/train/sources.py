"""Sources of a recipe as clips by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from edgetam.train.data import Ask, Clip, ClipSource, Mixture, open_mixture, open_source
from edgetam.train.loader import Order
from edgetam.train.recipe import Recipe
from edgetam.train.stage import Stage

__all__ = ["StageClips", "mix", "open_sources"]


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


class StageClips:
    """The clips of a stage by number, as its turns and plans want them.

    Raises:
        ConfigError: a description is wrong.
        MediaError: a file cannot be read.
    """

    def __init__(self, recipe: Recipe, stage: Stage, order: Order) -> None:
        self.order = order
        self.mixtures: dict[str, Mixture] = {}
        for kind in stage.kinds:
            if _named(kind) not in self.mixtures:
                self.mixtures[_named(kind)] = mix(recipe.data.sources, kind.sources, recipe.seed, self.ask)

    def ask(self, number: int) -> Ask:
        """Shape of clip ``number``."""
        kind = self.order.kind(number)
        return Ask(self.order.frames(number), kind.objects, kind.image_size)

    def __getitem__(self, number: int) -> Clip:
        """Draw clip ``number``."""
        return self.mixtures[_named(self.order.kind(number))][number]

    @property
    def broken(self) -> dict[str, int]:
        """How many samples of each source could not be used."""
        counts: Counter[str] = Counter()
        for mixture in self.mixtures.values():
            counts.update(mixture.broken)
        return dict(counts)


def _named(kind: Stage) -> str:
    """Stages that draw from the same sources share one mixture."""
    return repr(sorted(kind.sources.items()))
