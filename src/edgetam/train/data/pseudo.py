"""Pseudo-videos of single annotated images, after STM (arXiv 1904.00607) and its successors.

The image becomes a world that a camera moves through and that bends; its labelled objects often move on
their own in front of what lies behind them, and cut-outs of other images stand around or pass in front.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from itertools import compress
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.errors import ConfigError, MediaError
from edgetam.train.data.augment import Augment, draw_gap, draw_geometry
from edgetam.train.data.cast import THINGS, Layer, Stage, paced, paint, placed, resident, stranger, twin
from edgetam.train.data.clip import Ask, Clip, Mask, Rgb, stack_clip
from edgetam.train.data.colour import recolour
from edgetam.train.data.footage import OTHERS, TRIES, draw_footage
from edgetam.train.data.holes import emptied
from edgetam.train.data.items import Collection, own_and_cutouts
from edgetam.train.data.paths import Maps, Pace, bends, centre_on, leave, motion, zoom
from edgetam.train.data.sampling import Sampling
from edgetam.train.data.sprites import Cutout, backdrop, cut_out
from edgetam.train.data.wear import worn

__all__ = ["Motion", "PseudoClips"]

_SEEN = 0.002
"""Part of the first frame that an object covers at least."""

_VOID = 254
"""Label of pixels that nothing is said about; 255 is that of unlabelled things."""

_FOR_GOOD = 0.3
"""How often objects may be gone from the second frame on."""

_TURNED_FROM = 0.3
"""Reach, in parts of the side, of the largest object that the camera turns away from."""

_CAMERA = Pace(shift=0.02, turn=0.02, grow=0.015, slant=0.01, squash=0.005)


@dataclass(frozen=True)
class Motion:
    """What happens in a pseudo-video.

    Attributes:
        pace: how fast everything moves; 1 is like hand-held video of people and animals.
        bend: how often things deform.
        alone: how often an object moves on its own, not with its surroundings.
        strangers: how many cut-outs of other images join in, on average.
        labelled: how often one of these is an object to follow, where the clip has room for one.
        leaves: how often an object that moves on its own leaves the frame, for a while or for good; as often
            the camera turns away from one.

    Raises:
        ConfigError: a value is out of its range.
    """

    pace: float = 1.0
    bend: float = 0.6
    alone: float = 0.6
    strangers: float = 0.8
    labelled: float = 0.5
    leaves: float = 0.12

    def __post_init__(self) -> None:
        for name in ("pace", "bend", "alone", "strangers", "labelled", "leaves"):
            most = 10 if name in ("pace", "strangers") else 1
            if not 0 <= getattr(self, name) <= most:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 to {most}: change it.")


class _World(NamedTuple):
    """A picture, its objects, and how the camera sees it."""

    item: str
    canvas: Rgb  # [C, C, 3]
    masks: list[Mask]  # each [C, C]
    void: NDArray[np.bool_]  # [C, C]
    view: Maps  # [T, 3, 3]


@dataclass(frozen=True)
class PseudoClips:
    """Clips invented from annotated images (or from single frames of annotated videos)."""

    collection: Collection
    augment: Augment
    rules: Sampling
    motion: Motion
    cutouts: Collection

    @property
    def name(self) -> str:
        """The name of the collection."""
        return f"pseudo {self.collection.name}"

    @property
    def collections(self) -> dict[str, Collection]:
        """Its images, and those that strangers are cut out of."""
        return own_and_cutouts(self.collection, self.cutouts)

    def __len__(self) -> int:
        return len(self.collection)

    def sample(self, dice: np.random.Generator, ask: Ask) -> Clip:
        """Draw a clip.

        Raises:
            MediaError: a file cannot be used, or no object was found.
        """
        for _ in range(TRIES):
            world = self._world(dice, ask)
            if not world.masks:
                continue
            frames, owners, count = self._played(dice, ask, world)
            again = ask.frames < 3 or dice.random() >= _FOR_GOOD
            chosen = _visible(owners, count, again=again)[: ask.objects]
            if not chosen:
                continue
            if cut := draw_gap(dice, self.augment.cut, ask.frames):
                other = self._another(dice, replace(ask, frames=len(cut)), world.item)
                for t, frame in zip(cut, other, strict=False):  # none where there is one picture only
                    frames[t], owners[t] = frame, np.zeros_like(owners[t])
            frames = worn(dice, recolour(dice, frames, self.augment.tint))
            masks = [[owner == k for k in chosen] for owner in owners]
            return stack_clip(frames, masks, ask.objects, [owner == _VOID for owner in owners])
        raise MediaError(
            f"{self.name} showed no object in {TRIES} clips of {ask.size} pixels, expected some: ask for "
            "larger frames."
        )

    def _another(self, dice: np.random.Generator, ask: Ask, item: str) -> list[Rgb]:
        """Frames of a pseudo-video of any picture but ``item``; none where it seems to be the only one."""
        for _ in range(OTHERS):
            world = self._world(dice, ask)
            if world.masks and world.item != item:
                return self._played(dice, ask, world)[0]
        return []

    def _world(self, dice: np.random.Generator, ask: Ask) -> _World:
        footage = draw_footage(dice, self.collection, Ask(1, ask.objects, ask.size), self.rules)
        margin = float(dice.uniform(1.0, 1.25))
        pixels = footage.pictures[0].pixels
        side = round(ask.size * margin)
        geometry = draw_geometry(dice, self.augment, side, pixels.shape[:2]).still()
        masks = _disjoint([geometry.mask(mask, pixels.shape[:2]) for mask in footage.masks[0]])
        unknown = (geometry.mask(mask, pixels.shape[:2]) for mask in footage.void[0])
        void = next(unknown, np.zeros((geometry.size, geometry.size), bool))
        middle = np.array([0.5, 0.5])
        view = motion(dice, ask.frames, paced(dice, _CAMERA, self.motion.pace), middle) @ zoom(margin)
        if masks and ask.frames > 2 and dice.random() < self.motion.leaves:
            centre, reach = _place(masks[int(dice.integers(len(masks)))])
            if reach <= _TURNED_FROM:
                view = leave(dice, view, centre, reach * margin)
        return _World(footage.item, geometry.image(pixels), masks, void, view)

    def _played(
        self, dice: np.random.Generator, ask: Ask, world: _World
    ) -> tuple[list[Rgb], list[NDArray[np.uint8]], int]:
        """Frames, the number of the object that each pixel shows, and how many objects there are."""
        side = world.canvas.shape[0]
        bent = self.motion.bend > dice.random()
        pace = paced(dice, THINGS, self.motion.pace)
        stage = Stage(dice, ask.frames, ask.size, pace, float(dice.uniform(0.003, 0.02)) if bent else 0.0)
        cuts = [cut_out(world.canvas, mask) for mask in world.masks]
        # still, an object that was cut out would only lie in a frame of paint
        moves = [ask.frames > 1 and dice.random() < self.motion.alone for _ in world.masks]
        free = [move and not _touches_edge(mask) for move, mask in zip(moves, world.masks, strict=True)]
        rooted = list(compress(world.masks, map(operator.not_, free)))
        leaves = self.motion.leaves
        layers = [Layer(resident(stage, cut, side, world.view, leaves), True) for cut in compress(cuts, free)]
        layers += self._strangers(stage, world, cuts, ask.objects - len(cuts))
        layers = [layers[i] for i in dice.permutation(len(layers))]
        layers.sort(key=lambda layer: layer.nearest)
        labels = np.multiply(world.void, _VOID, dtype=np.uint8)
        for number, mask in enumerate(rooted, 1):
            labels[mask > 0] = number
        canvas = emptied(dice, world.canvas, list(compress(world.masks, free)), rooted)
        frames, owners = _drawn(stage, world._replace(canvas=canvas), labels, layers, len(rooted) + 1)
        return frames, owners, len(rooted) + sum(layer.labelled for layer in layers)

    def _strangers(self, stage: Stage, world: _World, cuts: list[Cutout], room: int) -> list[Layer]:
        dice, found = stage.dice, []
        for _ in range(min(4, int(dice.poisson(self.motion.strangers)))):
            star = cuts[int(dice.integers(len(cuts)))]
            double = dice.random() < 0.3
            cut = twin(dice, star) if double else stranger(stage, self.cutouts)
            crossing = dice.random() < 0.4
            target = centre_on(world.view, star.centre / world.canvas.shape[0]) if crossing else None
            labelled = room > 0 and bool(dice.random() < self.motion.labelled)
            room -= labelled
            reach = max(star.canvas.shape[:2]) / world.canvas.shape[0] if crossing else None
            found.append(Layer(placed(stage, cut, target, reach), labelled, nearest=crossing))
        return found


def _drawn(
    stage: Stage, world: _World, labels: NDArray[np.uint8], layers: list[Layer], first: int
) -> tuple[list[Rgb], list[NDArray[np.uint8]]]:
    """Draw the world and the layers over it, labelled ones with numbers from ``first``."""
    side = world.canvas.shape[0]
    to_pixels, to_unit = np.diag([stage.size, stage.size, 1.0]), np.diag([1 / side, 1 / side, 1.0])
    bent = bends(stage.dice, stage.frames, stage.bend * side / 2) if stage.bend else None
    frames, owners = [], []
    for t, view in enumerate(world.view):
        bend = None if bent is None else bent[t]
        frame, owner = backdrop(world.canvas, labels, to_pixels @ view @ to_unit, bend, stage.size)
        paint(layers, t, frame, owner, first)
        frames.append(frame)
        owners.append(owner)
    return frames, owners


def _disjoint(masks: list[NDArray[np.bool_]]) -> list[Mask]:
    """Objects that hardly overlap, without what they share: parts and wholes cannot both move."""
    taken = np.zeros(masks[0].shape, bool)
    out = []
    for mask in masks:
        own = mask & ~taken
        if own.sum() >= max(0.8 * mask.sum(), _SEEN * mask.size):
            out.append(np.multiply(own, 255, dtype=np.uint8))
            taken |= own
    return out


def _place(mask: Mask) -> tuple[NDArray[np.float64], float]:
    """The middle of a mask's box and half its longer side, in parts of the picture's."""
    x, y, width, height = cv2.boundingRect(mask)
    return np.array([x + width / 2, y + height / 2]) / mask.shape[0], max(width, height) / (2 * mask.shape[0])


def _touches_edge(mask: Mask) -> bool:
    edge = max(mask[0].sum(), mask[-1].sum(), mask[:, 0].sum(), mask[:, -1].sum())
    return bool(edge > 255 * 0.02 * mask.shape[0])


def _visible(owners: list[NDArray[np.uint8]], count: int, *, again: bool) -> list[int]:
    """Numbers of the objects that are seen on the first frame, and ``again`` later if so wished."""
    seen = np.stack([cv2.calcHist([owner], [0], None, [256], [0, 256]).ravel() for owner in owners])
    least = _SEEN * owners[0].size
    return [
        k
        for k in range(1, count + 1)
        if seen[0, k] >= least and (len(seen) == 1 or not again or seen[1:, k].max() >= least / 4)
    ]
