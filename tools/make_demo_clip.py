"""Draw the demo clip: a striped fish over a sea bed, seaweed in front of it, and a look-alike.

    python tools/make_demo_clip.py [FOLDER]

writes ``demo.mp4`` (640 x 360, three seconds) and ``demo.json`` (a click on the fish) to
``src/edgetam/data`` or FOLDER. Everything comes from formulas and a fixed seed; no picture or recording of
anyone else is used, so the clip has the licence of this project.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from edgetam.io.overlay_video import encode_video

WIDTH, HEIGHT, FRAMES, FPS = 640, 360, 84, 25.0
WORLD = 1000
"""Width of the sea bed, over which the camera pans."""
SEED = 20

Map = npt.NDArray[Any]  # [H, W] of float
Picture = npt.NDArray[Any]  # [H, W, 3] of float, 0..1
Rgb = npt.NDArray[np.uint8]  # [H, W, 3]


def noise(rng: np.random.Generator, height: int, width: int, coarse: float, octaves: int = 5) -> Map:
    """Fractal noise, about -1..1, whose largest features are ``coarse`` pixels wide."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cell = max(1.0, coarse / 2**octave)
        rows, columns = int(height / cell) + 3, int(width / cell) + 3
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        big = cv2.resize(grid, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
        total += 0.55**octave * big[:height, :width]
    return np.asarray(total / np.abs(total).max())


def mix(a: Picture | Map, b: Picture | Map, share: Map | float) -> Picture:
    """``a`` where ``share`` is 0, ``b`` where it is 1."""
    weight = share[..., None] if isinstance(share, np.ndarray) else share
    return (a + (b - a) * weight).astype(np.float32)


def edge(distance: Map, softness: float) -> Map:
    """1 where ``distance`` is positive, 0 where negative, smooth in between."""
    return np.clip(distance / softness + 0.5, 0, 1).astype(np.float32)


def colour(*rgb: float) -> Picture:
    """One colour, 0..255, to be mixed with pictures."""
    return (np.array(rgb, np.float32) / 255)[None, None]


def sea_bed(rng: np.random.Generator) -> Picture:
    """Water above, rippled sand below, and rocks with shaded tops between them."""
    y, x = np.mgrid[0:HEIGHT, 0:WORLD].astype(np.float32)
    water = mix(colour(96, 176, 196), colour(28, 92, 128), np.clip(y / 210, 0, 1))
    water = water + 0.03 * noise(rng, HEIGHT, WORLD, 180)[..., None]
    ripples = np.sin(np.clip(y - 190, 0, None) ** 0.9 * 0.5 + 4 * noise(rng, HEIGHT, WORLD, 140, 3))
    ripples = ripples * np.clip((y - 200) / 120, 0, 1)
    grain = noise(rng, HEIGHT, WORLD, 5, 2)
    sand = mix(colour(168, 158, 120), colour(206, 190, 146), np.clip((y - 200) / 150, 0, 1))
    sand = sand * (1 + 0.07 * ripples + 0.10 * grain + 0.10 * noise(rng, HEIGHT, WORLD, 90))[..., None]
    horizon = 205 + 14 * noise(rng, 1, WORLD, 200, 4)
    picture = mix(water, sand, edge(y - horizon, 26))
    for _ in range(16):
        picture = rock(rng, picture, x, y)
    haze = np.clip(1 - np.abs(y - 205) / 90, 0, 1) * 0.35
    return mix(picture, colour(74, 142, 160), haze)


def rock(rng: np.random.Generator, picture: Picture, x: Map, y: Map) -> Picture:
    """Add one rock, with light from above, a colour of its own and a dark foot."""
    depth = rng.uniform(0, 1)
    centre = rng.uniform(0, WORLD), 215 + 120 * depth
    radius = (14 + 46 * depth) * rng.uniform(0.6, 1.2)
    rough = noise(rng, HEIGHT, WORLD, 0.8 * radius, 4)
    dx, dy = (x - centre[0]) / (1.35 * radius), (y - centre[1]) / (0.8 * radius)
    inside = 1 + 0.35 * rough - np.sqrt(dx**2 + dy**2)
    foot = edge(1.2 - np.sqrt(dx**2 + ((dy - 0.75) / 0.35) ** 2), 0.9)
    tint = rng.choice([[92, 84, 78], [120, 70, 84], [86, 98, 70], [134, 112, 78]])
    shade = np.clip(0.75 - 0.45 * dy, 0.3, 1.25) * (1 + 0.45 * rough)
    surface = colour(*tint) * shade[..., None]
    return mix(mix(picture, picture * 0.55, foot), surface, edge(inside, 3 / radius))


@dataclass(frozen=True)
class Pose:
    """A fish on one frame: place and size in pixels, direction, tilt and swing of the tail."""

    x: float
    y: float
    size: float
    facing: int
    tilt: float
    phase: float


@dataclass(frozen=True)
class Skin:
    """What tells one fish from another."""

    base: tuple[int, int, int]
    belly: tuple[int, int, int]
    bands: tuple[float, ...]
    band_width: float
    scales: Map


Window = tuple[slice, slice]


def window(left: float, top: float, right: float, bottom: float) -> Window:
    """The part of the frame inside a box; never empty, so that nothing needs to ask."""
    x0, y0 = (int(np.clip(v, 0, end - 1)) for v, end in ((left, WIDTH), (top, HEIGHT)))
    return slice(y0, max(y0 + 1, min(HEIGHT, int(bottom)))), slice(x0, max(x0 + 1, min(WIDTH, int(right))))


def grid(part: Window) -> tuple[Map, Map]:
    """Pixel coordinates x and y in a part of the frame."""
    y, x = np.mgrid[part]
    return x.astype(np.float32), y.astype(np.float32)


def local(pose: Pose, part: Window) -> tuple[Map, Map]:
    """Coordinates of pixels along the fish (1 at the snout, -1 where the tail begins) and up from it."""
    x, y = grid(part)
    half = pose.size / 2
    dx, dy = (x - pose.x) / half * pose.facing, (pose.y - y) / half
    cos, sin = np.cos(pose.tilt), np.sin(pose.tilt)
    along, up = dx * cos + dy * sin, dy * cos - dx * sin
    swing = 0.16 * ((1 - along) / 2) ** 2 * np.sin(pose.phase - 1.8 * along)
    return along.astype(np.float32), (up - swing).astype(np.float32)


def body_of(along: Map, up: Map, phase: float) -> tuple[Map, Map]:
    """How far inside the body, and inside the fins, each pixel is."""
    inner = np.clip(1 - along**2, 0, 1)
    height = 0.42 * inner**0.6 * (1 + 0.28 * along) + 0.05
    body = np.where(np.abs(along) < 1.0, height - np.abs(up), -1)
    notch = 0.12 * np.cos(np.pi * np.clip(np.abs(up) / 0.4, 0, 1))
    tail = np.minimum(0.1 + 0.75 * (-0.88 - along) - np.abs(up) * 0.9, along + 1.52 + notch)
    top = np.minimum(0.66 - 0.5 * (along + 0.1) ** 2 - up, np.minimum(up - 0.1, 0.62 - np.abs(along + 0.12)))
    low = np.minimum(0.6 - 0.9 * (along + 0.42) ** 2 + up, np.minimum(-up - 0.1, 0.3 - np.abs(along + 0.42)))
    flap = 0.07 * np.sin(1.7 * phase)
    side = 0.16 - np.hypot((along - 0.12) * 0.75, (up + 0.16 + flap) * 1.25)
    fins = np.maximum(np.maximum(tail, top), np.maximum(low, -1))
    return np.maximum(body, -1).astype(np.float32), np.maximum(fins, side - 1).astype(np.float32)


def painted(skin: Skin, along: Map, up: Map, fins: Map, body: Map, phase: float) -> Picture:
    """Colours of the fish at every pixel."""
    light = np.clip(0.92 + 0.55 * up - 0.25 * np.clip(0.12 - body, 0, 1) * 6, 0.45, 1.3)
    picture = mix(colour(*skin.belly), colour(*skin.base), np.clip(0.75 + 2.2 * up, 0, 1))
    picture = picture * (1 + 0.16 * sampled(skin.scales, along, up))[..., None]
    for place in skin.bands:
        off = np.abs(along - place - 0.10 * np.cos(4 * up))
        picture = mix(picture, colour(24, 22, 30), edge(skin.band_width + 0.05 - off, 0.04))
        picture = mix(picture, colour(240, 240, 232), edge(skin.band_width - off, 0.04))
    rays = 0.85 + 0.15 * np.sin(46 * up + 20 * along)
    picture = mix(picture, colour(*skin.base) * rays[..., None], edge(fins - body, 0.02) * (body < 0))
    rim = edge(0.045 - np.where(body > 0, 1, fins), 0.03) * (body < 0)
    picture = mix(picture, colour(30, 26, 30), 0.8 * rim)
    eye = np.hypot(along - 0.68, up - 0.1)
    picture = mix(picture, colour(232, 226, 210), edge(0.085 - eye, 0.03))
    picture = mix(picture, colour(14, 14, 18), edge(0.058 - eye, 0.03))
    picture = mix(picture, colour(255, 255, 255), edge(0.02 - np.hypot(along - 0.70, up - 0.13), 0.02))
    gill = np.abs(np.hypot(along - 0.72, up) - 0.36) + 9 * (along > 0.5)
    picture = mix(picture, picture * 0.6, edge(0.018 - gill, 0.03))
    return picture * light[..., None]


def sampled(scales: Map, along: Map, up: Map) -> Map:
    """Skin texture, fixed to the fish."""
    side = scales.shape[0] / 4
    return cv2.remap(
        scales, (along + 2) * side, (up + 2) * side, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def add_fish(picture: Picture, pose: Pose, skin: Skin, haze: float) -> Map:
    """Draw a fish into the picture; returns how much of each pixel it covers."""
    reach = 0.85 * pose.size
    part = window(pose.x - reach, pose.y - reach, pose.x + reach, pose.y + reach)
    along, up = local(pose, part)
    body, fins = body_of(along, up, pose.phase)
    cover = edge(np.maximum(body, fins), 3 / pose.size)
    fish = mix(painted(skin, along, up, fins, body, pose.phase), colour(74, 142, 160), haze)
    picture[part] = mix(picture[part], fish, cover)
    whole = np.zeros((HEIGHT, WIDTH), np.float32)
    whole[part] = cover
    return whole


def add_shadow(picture: Picture, pose: Pose) -> None:
    """Draw the shadow of a fish on the sand below it."""
    x, y = pose.x - 14, 300 + 0.08 * pose.y
    part = window(x - pose.size, y - 40, x + pose.size, y + 40)
    columns, rows = grid(part)
    off = np.hypot((columns - x) / (0.70 * pose.size), (rows - y) / (0.15 * pose.size))
    shade = 0.5 * edge(1 - off, 0.9)
    picture[part] = mix(picture[part], picture[part] * 0.3, shade)


@dataclass(frozen=True)
class Blade:
    """One blade of seaweed near the camera."""

    x: float
    height: float
    width: float
    phase: float
    tint: tuple[int, int, int]


def add_blade(picture: Picture, blade: Blade, shift: float, t: float) -> Map:
    """Draw a swaying blade, which leans more towards its tip; returns how much of each pixel it covers."""
    place = blade.x - shift
    part = window(place - 60, 0, place + 60, HEIGHT)
    x, y = grid(part)
    up = np.clip((HEIGHT + 10 - y) / blade.height, 0, 1.2)
    sway = 20 * up**1.5 * np.sin(blade.phase + 1.6 * t - 1.3 * up) + 7 * np.sin(5 * up + blade.phase)
    off = x - place - sway
    half = blade.width * np.sqrt(np.clip(1 - up, 0, 1)) * (1 + 0.12 * np.sin(28 * up + blade.phase))
    cover = edge(half - np.abs(off), 2.0) * (up < 1)
    vein = 1 - 0.35 * np.exp(-((off / 1.6) ** 2))
    shade = (0.75 + 0.35 * up + 0.25 * off / (half + 1)) * vein
    picture[part] = mix(picture[part], colour(*blade.tint) * shade[..., None], cover)
    whole = np.zeros((HEIGHT, WIDTH), np.float32)
    whole[part] = cover
    return whole


def finish(rng: np.random.Generator, picture: Picture, caustics: Map, t: float) -> Rgb:
    """Add moving light, the falloff of a lens and sensor noise."""
    across, down = int(26 * t), int(9 * t)
    layers = (caustics[down:, across:], caustics[40 - down :, 100 - across :])
    crossing = sum(layer[:HEIGHT, :WIDTH] for layer in layers)
    strength = 0.34 * np.clip((np.arange(HEIGHT) - 190) / 120, 0, 1) + 0.02
    light = np.exp(-(crossing**2) / 0.03) * strength[:, None]
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    lens = 1.06 - 0.34 * (((x / WIDTH - 0.5) ** 2) + ((y / HEIGHT - 0.5) ** 2))
    picture = picture * ((1 + light) * lens)[..., None]
    picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.6)
    grain = rng.standard_normal((HEIGHT, WIDTH, 1)) * 0.012
    return (np.clip(picture + grain, 0, 1) * 255).round().astype(np.uint8)


def hero(t: float) -> Pose:
    """The fish to track: it comes up, slows down behind the seaweed and swims on, turning a little."""
    x = 150 + 118 * t + 26 * np.sin(1.3 * t)
    y = 205 - 34 * np.sin(0.9 * t + 0.4) + 5 * np.sin(4.1 * t)
    tilt = 0.20 * np.cos(0.9 * t + 0.4) + 0.05 * np.sin(3 * t)
    return Pose(x, y, 118 * (1 + 0.10 * np.sin(0.8 * t)), 1, tilt, 9.5 * t)


def other(t: float) -> Pose:
    """The look-alike: it comes the other way, farther off, and passes behind the first."""
    return Pose(610 - 92 * t, 132 + 24 * np.sin(0.8 * t + 1), 92, -1, 0.08 * np.sin(t), 10.5 * t + 1)


def skins(rng: np.random.Generator) -> tuple[Skin, Skin]:
    """Two fish of one kind: the same bands, other scales, a little other in colour."""
    scales = [noise(rng, 512, 512, 14, 3) for _ in range(2)]
    return (
        Skin((236, 118, 34), (250, 178, 92), (0.42, -0.20, -0.80), 0.10, scales[0]),
        Skin((214, 112, 52), (232, 170, 110), (0.42, -0.22, -0.78), 0.09, scales[1]),
    )


def draw() -> Iterator[tuple[Rgb, npt.NDArray[np.bool_]]]:
    """Yield the frames, and where the tracked fish is visible."""
    rng = np.random.default_rng(SEED)
    world = sea_bed(rng)
    caustics = noise(rng, HEIGHT + 40, WIDTH + 100, 60, 2)
    first, second = skins(rng)
    greens = ((58, 104, 52), (84, 122, 44), (46, 86, 66))
    places = (40, 92, 452, 486, 524, 560, 800, 846, 905)
    blades = [
        Blade(x, rng.uniform(170, 300), rng.uniform(7, 13), rng.uniform(0, 6), greens[i % 3])
        for i, x in enumerate(places)
    ]
    for index in range(FRAMES):
        t = index / FPS
        pan = 60 + 52 * t + 5 * np.sin(2.3 * t)
        shift = np.array([[1, 0, -pan], [0, 1, 4 * np.sin(1.7 * t)]], np.float32)
        picture = cv2.warpAffine(world, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        for pose in (other(t), hero(t)):
            add_shadow(picture, pose)
        add_fish(picture, other(t), second, 0.30)
        visible = add_fish(picture, hero(t), first, 0.04)
        for blade in blades:
            visible = visible * (1 - add_blade(picture, blade, 1.35 * pan - 60, t))
        yield finish(rng, picture, caustics, t), visible > 0.5


def main(folder: Path) -> None:
    """Write the clip and its prompts."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = list(draw())
    encode_video(
        folder / "demo.mp4", ((index / FPS, image) for index, (image, _) in enumerate(drawn)), fps=FPS
    )
    Image.fromarray(drawn[0][1]).save(folder / "demo_mask.png")
    prompt = {"frame": 0, "object": 1, "mask": "demo_mask.png"}
    (folder / "demo.json").write_text(json.dumps({"prompts": [prompt]}, indent=1) + "\n")


if __name__ == "__main__":
    default = Path(__file__).parent.parent / "src" / "edgetam" / "data"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
