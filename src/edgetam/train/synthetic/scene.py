"""A scene: a background, things in depth order, a camera and light, drawn into a clip."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from edgetam.train.synthetic.config import SynthConfig
from edgetam.train.synthetic.dice import Dice
from edgetam.train.synthetic.motion import (
    Camera,
    Path,
    aim,
    random_camera,
    random_path,
    random_warp,
    vanish,
)
from edgetam.train.synthetic.sprites import Look, Patch, Sprite, draw, object_grid, random_look
from edgetam.train.synthetic.textures import plane, random_palette, related_palette, spectral_field, texture

__all__ = ["Scene", "random_scene", "render"]


@dataclass(frozen=True)
class Scene:
    """Everything that one clip shows; ``things`` are ordered from far to near.

    ``rank`` gives for each thing its place among those worth labelling, or -1.
    """

    backdrop: Tensor  # [3, R, R]
    backdrop_path: Path
    things: list[Sprite]
    rank: list[int]


def _regions(dice: Dice, side: int, palette: Tensor) -> Tensor:
    """A backdrop ``[3, side, side]`` of a few surfaces: ground and sky, walls, patches, litter."""
    image = texture(dice, side, palette)
    for _ in range(dice.choice((0, 1, 2, 3), (0.2, 0.35, 0.3, 0.15))):
        close = dice.chance(0.5)
        other = texture(dice, side, related_palette(dice, palette, 0.12) if close else random_palette(dice))
        x, y = plane(side, dice.device)
        bend = spectral_field(dice, side, dice.uniform(1.6, 3.0)) * dice.uniform(0.0, 0.4)
        lean = dice.gauss(0.25)
        if dice.chance(0.35):
            x, y = y, x
        image = torch.where(y + lean * x + bend > dice.uniform(-0.6, 0.6), other, image)
    return image


def _litter(dice: Dice, image: Tensor, palette: Tensor) -> None:
    """Paint still things into the backdrop, some of them repeated; they have no label."""
    side = image.shape[-1]
    for _ in range(dice.choice((0, 1, 2, 4), (0.2, 0.3, 0.3, 0.2))):
        own = related_palette(dice, palette, 0.15) if dice.chance(0.6) else random_palette(dice)
        scale = dice.log_uniform(0.02, 0.2)
        look = random_look(dice, int(2 * scale * side), own, 1, 0.0)
        for _ in range(dice.choice((1, 2, 5), (0.5, 0.3, 0.2))):
            path = Path(
                dice.rand(1, 2), dice.randn(1), scale * (0.6 + 0.6 * dice.rand(1)), 0.4 + 0.6 * dice.rand(1)
            )
            _paste(image[None], draw(Sprite(look, path), side), None, 0)


def random_backdrop(dice: Dice, size: int, palette: Tensor) -> Tensor:
    """A textured world, somewhat larger than the frame, at about the frame's resolution."""
    side = int(size * dice.choice((0.5, 0.75, 1.0), (0.25, 0.35, 0.4)) / 32) * 32
    image = _regions(dice, max(side, 32), palette)
    _litter(dice, image, palette)
    return image


def _thing(dice: Dice, config: SynthConfig, palette: Tensor, scale: float, blur: float) -> Sprite:
    hard = config.difficulty
    look = random_look(dice, int(2 * scale * config.size), palette, config.frames, hard)
    path = random_path(dice, config.frames, scale, hard)
    return Sprite(look, path, random_warp(dice, config.frames, hard), blur)


def _scale(dice: Dice) -> float:
    return dice.log_uniform(0.09, 0.48)


def _actors(dice: Dice, config: SynthConfig, palette: Tensor, blur: float) -> list[Sprite]:
    """Things worth labelling; at most one of them leaves the frame for a while."""
    close = dice.chance(0.15 + 0.2 * config.difficulty)
    actors = []
    for _ in range(config.objects + dice.integer(0, 1)):
        own = related_palette(dice, palette, 0.10) if close else random_palette(dice)
        actors.append(_thing(dice, config, own, _scale(dice), blur))
    if config.frames > 2 and dice.chance(0.12 + 0.2 * config.difficulty):
        actors[0] = replace(actors[0], path=vanish(dice, actors[0].path))
    return actors


def _twin(dice: Dice, config: SynthConfig, actor: Sprite) -> Sprite:
    """A look-alike that goes its own way: sometimes slightly recoloured, never quite the same size."""
    look = actor.look
    if dice.chance(0.4):
        shift = torch.cat((dice.randn(3) * 0.06, torch.zeros(1, device=dice.device)))
        look = Look(look.canvas + shift[:, None, None])
    path = random_path(dice, config.frames, 1.0, config.difficulty)
    size = actor.path.scale * dice.uniform(0.8, 1.2)
    return replace(actor, look=look, path=replace(path, scale=size))


def _extras(dice: Dice, config: SynthConfig, actors: list[Sprite], blur: float) -> list[Sprite]:
    """Distractors: strangers, and doubles of the actors in other places."""
    extras = []
    for _ in range(dice.integer(*config.distractors)):
        if dice.chance(0.5 * config.difficulty):
            extras.append(_twin(dice, config, dice.choice(actors)))
        else:
            extras.append(_thing(dice, config, random_palette(dice), _scale(dice) * 0.8, blur))
    return extras


def _occluders(
    dice: Dice, config: SynthConfig, palette: Tensor, actors: list[Sprite], blur: float
) -> list[Sprite]:
    """Things that pass in front of an actor."""
    out = []
    for _ in range(dice.integer(*config.occluders)):
        if not dice.chance(0.3 + 0.6 * config.difficulty):
            continue
        target = dice.choice(actors)
        scale = float(target.path.scale[0]) * dice.uniform(0.6, 1.3)
        own = related_palette(dice, palette, 0.15) if dice.chance(0.4) else random_palette(dice)
        thing = _thing(dice, config, own, min(0.6, scale), blur)
        out.append(replace(thing, path=aim(dice, thing.path, target.path)))
    return out


def _on_screen(dice: Dice, sprite: Sprite, camera: Camera) -> Sprite:
    followed = dice.chance(0.4)
    parallax = 0.0 if followed else dice.uniform(0.8, 1.6)
    return replace(sprite, path=camera.apply(sprite.path, parallax))


def random_scene(dice: Dice, config: SynthConfig) -> Scene:
    """Invent a scene."""
    palette = random_palette(dice)
    camera = random_camera(dice, config.frames, config.difficulty)
    blur = dice.uniform(0.2, 0.8) if dice.chance(0.3) else 0.0
    actors = _actors(dice, config, palette, blur)
    occluders = _occluders(dice, config, palette, actors, blur)
    crowd = actors + _extras(dice, config, actors, blur)
    rank = list(range(len(actors))) + [-1] * (len(crowd) - len(actors))
    order = dice.order(len(crowd))
    things = [_on_screen(dice, crowd[i], camera) for i in order]
    things += [replace(s, path=camera.apply(s.path, 0.0)) for s in occluders]
    margin = dice.uniform(0.55, 0.75)
    still = torch.zeros(config.frames, device=dice.device)
    world = Path(still[:, None].repeat(1, 2) + 0.5, still, still + margin, still + 1)
    return Scene(
        random_backdrop(dice, config.size, palette),
        camera.apply(world, 1.0),
        things,
        [rank[i] for i in order] + [-1] * len(occluders),
    )


def _paste(frames: Tensor, patch: Patch, labels: Tensor | None, label: int) -> None:
    """Draw a patch over frames ``[T, 3, S, S]`` and note its visible pixels in labels ``[T, S, S]``."""
    size, side = frames.shape[-1], patch.alpha.shape[-1]
    for t, (x, y) in enumerate(patch.corner):
        x0, x1, y0, y1 = max(x, 0), min(x + side, size), max(y, 0), min(y + side, size)
        if x1 <= x0 or y1 <= y0:
            continue
        rows, columns = slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)
        target = frames[t, :, y0:y1, x0:x1]
        target.lerp_(patch.colour[t, :, rows, columns], patch.alpha[t, None, rows, columns])
        if labels is not None:
            labels[t, y0:y1, x0:x1].masked_fill_(patch.solid[t, rows, columns], label)


def _backdrop(scene: Scene, size: int) -> Tensor:
    grid = object_grid(scene.backdrop_path, size, size, [(0, 0)] * len(scene.backdrop_path.angle))
    canvas = scene.backdrop.expand(len(grid), -1, -1, -1)
    return grid_sample(canvas, grid, padding_mode="reflection", align_corners=False)


def render(scene: Scene, size: int) -> tuple[Tensor, Tensor]:
    """Frames ``[T, 3, S, S]`` about 0..1 and, per pixel, 1 + the nearest thing's index (0: backdrop)."""
    frames = _backdrop(scene, size)
    labels = torch.zeros(len(frames), size, size, dtype=torch.uint8, device=frames.device)
    for index, sprite in enumerate(scene.things):
        _paste(frames, draw(sprite, size), labels, index + 1)
    return frames, labels
