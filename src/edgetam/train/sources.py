"""Sources of a recipe as clips by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from edgetam.train.data import Ask, Clip, ClipSource, Mixture, open_source
from edgetam.train.data.registry import own_weights
from edgetam.train.loader import Order
from edgetam.train.recipe import Recipe
from edgetam.train.stage import Stage

__all__ = ["Sources", "StageClips", "to_check"]


class Sources:
    """The data of a recipe, opened once for all stages, so that mistakes are found before the first.

    Raises:
        ConfigError: a description is wrong, or sources cannot be mixed.
        MediaError: a file cannot be read.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.given = recipe.data.sources
        self.seed = recipe.seed
        self.opened: dict[str, ClipSource] = {}
        for stage in recipe.stages:
            for kind in stage.kinds:
                self.weights(kind)

    def weights(self, stage: Stage) -> dict[str, float]:
        """How often a stage draws from each of its sources; those it draws from are open from then on."""
        names = [name for name, weight in stage.sources.items() if weight > 0] or list(self.given)
        for name in names:
            if name not in self.opened:
                self.opened[name] = open_source(self.given[name])
        if stage.sources:
            return {name: stage.sources[name] for name in names}
        own = own_weights([self.given[name] for name in names], [self.opened[name] for name in names])
        return dict(zip(names, own, strict=True))

    def mixed(self, stage: Stage, ask: Callable[[int], Ask]) -> Mixture:
        """The clips of a stage; ``ask`` is the shape of each by its number."""
        weights = self.weights(stage)
        return Mixture([self.opened[name] for name in weights], list(weights.values()), self.seed, ask)


def to_check(recipe: Recipe) -> tuple[dict[str, ClipSource], dict[str, Ask]]:
    """Open all sources of a recipe, and say what the longest clips are that it draws from each.

    Sources of the evaluation are named as in ``evaluation.davis``: data may have the same names.

    Raises:
        ConfigError: a description is wrong.
        MediaError: a file cannot be read.
    """
    kinds = [kind for stage in recipe.stages for kind in stage.kinds]
    described, asks = dict(recipe.data.sources), {}
    for name in described:
        drawing = [kind for kind in kinds if not kind.sources or kind.sources.get(name)] or kinds
        longest = max(drawing, key=lambda kind: (kind.frames[1], kind.image_size))
        asks[name] = Ask(longest.frames[1], longest.objects, longest.image_size)
    held_out = recipe.evaluation
    size = max(kind.image_size for kind in kinds)
    for name, given in held_out.sources.items():
        described[f"evaluation.{name}"] = given
        asks[f"evaluation.{name}"] = Ask(held_out.frames, held_out.objects, size)
    return {name: open_source(given) for name, given in described.items()}, asks


class StageClips:
    """The clips of a stage by number, as its turns and plans want them."""

    def __init__(self, sources: Sources, stage: Stage, order: Order) -> None:
        self.order = order
        self.mixtures: dict[str, Mixture] = {}
        for kind in stage.kinds:
            if _named(kind) not in self.mixtures:
                self.mixtures[_named(kind)] = sources.mixed(kind, self.ask)

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
