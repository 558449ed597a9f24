"""A scene: a background, things in depth order, a camera and light, drawn into a clip."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from edgetam.train.synthetic.bank import ImageBank, Picture
from edgetam.train.synthetic.cast import REAL_SHARE, Studio, actors, extras, occluders
from edgetam.train.synthetic.config import SynthConfig
from edgetam.train.synthetic.cutouts import cut_out, object_masks, without
from edgetam.train.synthetic.dice import Dice
from edgetam.train.synthetic.motion import Camera, Path, random_camera, random_path, random_warp
from edgetam.train.synthetic.sprites import Patch, Sprite, draw, object_grid, random_look
from edgetam.train.synthetic.textures import plane, random_palette, related_palette, spectral_field, texture

__all__ = ["Scene", "random_scene", "render"]


HIDDEN = 255
"""The label of the rest of a thing of which only a part is labelled."""


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


def _on_screen(dice: Dice, sprite: Sprite, camera: Camera) -> Sprite:
    followed = dice.chance(0.4)
    parallax = 0.0 if followed else dice.uniform(0.8, 1.6)
    return replace(sprite, path=camera.apply(sprite.path, parallax))


def _world(studio: Studio, margin: float) -> Path:
    """The path of a backdrop that reaches ``margin`` from the middle of the frame."""
    still = torch.zeros(studio.config.frames, device=studio.dice.device)
    return Path(still[:, None].repeat(1, 2) + 0.5, still, still + margin, still + 1)


def _residents(studio: Studio, picture: Picture, margin: float) -> tuple[list[Sprite], Tensor]:
    """The picture's own objects, free to move, and the picture without them ``[3, R, R]``."""
    dice, config = studio.dice, studio.config
    found, colour = [], picture.colour
    for mask in object_masks(dice, picture, config.objects):
        cut = cut_out(picture, mask, max(32, min(224, int(margin * mask.shape[0]))))
        colour = without(colour, mask)
        scale = margin * cut.radius
        path = random_path(dice, config.frames, scale, config.difficulty * 0.7)
        home = torch.tensor(cut.centre, device=dice.device) * margin + 0.5
        path = replace(
            path,
            centre=path.centre - path.centre[:1] + home,
            angle=path.angle - path.angle[:1],
            squash=(path.squash / path.squash[:1]).clamp(0.4, 1.5),
        )
        warp = random_warp(dice, config.frames, config.difficulty * 0.5)
        found.append(Sprite(cut.look, path, None if warp is None else warp - warp[:1], studio.blur))
    return found, colour


def _revived(studio: Studio, bank: ImageBank, camera: Camera) -> tuple[Tensor, Path, list[Sprite]]:
    """A real image brought to life: its backdrop, the backdrop's path, and its objects on screen."""
    dice = studio.dice
    margin = dice.uniform(0.5, 0.62)
    picture = bank.picture(dice, studio.config.size)
    sprites, colour = _residents(studio, picture, margin)
    near = dice.uniform(0.9, 1.3)
    return colour, _world(studio, margin), [replace(s, path=camera.apply(s.path, near)) for s in sprites]


def random_scene(dice: Dice, config: SynthConfig, bank: ImageBank | None = None) -> Scene:
    """Invent a scene; with a bank, half of them grow from a real image."""
    camera = random_camera(dice, config.frames, config.difficulty)
    blur = dice.uniform(0.2, 0.8) if dice.chance(0.3) else 0.0
    studio = Studio(dice, config, random_palette(dice), blur, bank)
    residents: list[Sprite] = []
    if bank is not None and dice.chance(REAL_SHARE):
        backdrop, world, residents = _revived(studio, bank, camera)
    else:
        backdrop = random_backdrop(dice, config.size, studio.palette)
        world = _world(studio, dice.uniform(0.55, 0.75))
    visitors = actors(studio)[len(residents) :]
    stars = residents + visitors
    passing = occluders(studio, stars)
    rank = list(range(len(stars)))
    crowd = residents + [_on_screen(dice, s, camera) for s in visitors]
    crowd += [_on_screen(dice, s, camera) for s in extras(studio, stars)]
    order = dice.order(len(crowd))
    rank += [-1] * (len(crowd) - len(stars))
    things = [crowd[i] for i in order] + [replace(s, path=camera.apply(s.path, 0.0)) for s in passing]
    return Scene(backdrop, camera.apply(world, 1.0), things, [rank[i] for i in order] + [-1] * len(passing))


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
            here = labels[t, y0:y1, x0:x1].masked_fill_(patch.solid[t, rows, columns], HIDDEN)
            here.masked_fill_(patch.named[t, rows, columns], label)


def _backdrop(scene: Scene, size: int) -> Tensor:
    grid = object_grid(scene.backdrop_path, size, size, [(0, 0)] * len(scene.backdrop_path.angle))
    canvas = scene.backdrop.expand(len(grid), -1, -1, -1)
    return grid_sample(canvas, grid, padding_mode="reflection", align_corners=False)


def render(scene: Scene, size: int) -> tuple[Tensor, Tensor]:
    """Frames ``[T, 3, S, S]`` about 0..1 and, per pixel, what is nearest.

    That is 1 + a thing's index, 255 for what of a thing is not its labelled part, 0 for the backdrop.
    """
    frames = _backdrop(scene, size)
    labels = torch.zeros(len(frames), size, size, dtype=torch.uint8, device=frames.device)
    for index, sprite in enumerate(scene.things):
        _paste(frames, draw(sprite, size), labels, index + 1)
    return frames, labels
