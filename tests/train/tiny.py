"""A network and clips that are small enough to learn from within seconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edgetam.train.batches import Batch, make_batch
from edgetam.train.data import Clip
from edgetam.train.loader import Order
from edgetam.train.loop import Trainer
from edgetam.train.recipe import Recipe
from edgetam.train.recipe_file import parse_recipe
from edgetam.train.setup import starting_model
from edgetam.train.stage import Stage

SIZE = 256
RECIPE = """
model:
  image_size: 256
  encoder: { widths: [16, 24, 32, 48], depths: [1, 1, 1, 1] }
  perceiver: { global_latents: 8, window_grid: 16 }
  attention_layers: 1
data: { workers: 0 }
precision: fp32
device: cpu
every: { log_steps: 1 }
stages:
  - { name: pairs, steps: 4, frames: 2, clips: 2, objects: 2, prompts: { mask: 1, point: 0, box: 0 } }
"""


def recipe(*overrides: str) -> Recipe:
    """The recipe of a tiny run."""
    return parse_recipe(RECIPE, overrides)


def moving_shapes(number: int, frames: int, objects: int = 2, seed: int = 0) -> Clip:
    """Bright rectangles of one colour each that move over grey."""
    dice = np.random.default_rng([seed, number])
    pictures = np.full((frames, SIZE, SIZE, 3), 90, np.uint8)
    masks = np.zeros((frames, objects, SIZE, SIZE), bool)
    for i in range(objects):
        colour, side = dice.integers(120, 255, 3), dice.integers(50, 90, 2)
        # each object has its own half, so that none hides another
        x, y = dice.integers(10, SIZE - 100), i * SIZE // objects + dice.integers(5, SIZE // objects - 95)
        dx, dy = dice.integers(-8, 9), dice.integers(-2, 3)
        for t in range(frames):
            left, top = np.clip([x + t * dx, y + t * dy], 0, SIZE - 50)
            masks[t, i, top : top + side[1], left : left + side[0]] = True
            pictures[t][masks[t, i]] = colour
    return Clip(torch.from_numpy(pictures), torch.from_numpy(masks), torch.ones(objects, dtype=torch.bool))


class Shapes:
    """`moving_shapes` by number."""

    def __init__(self, stage: Stage, order: Order) -> None:
        self.stage, self.order = stage, order
        self.broken: dict[str, int] = {}

    def __getitem__(self, number: int) -> Clip:
        objects = self.order.kind(number).objects
        return moving_shapes(number, self.order.frames(number), objects, self.order.seed)


def batch(frames: int = 2, clips: int = 1, objects: int = 2, first: int = 0) -> Batch:
    """A batch of moving shapes."""
    numbers = range(first, first + clips)
    return make_batch([moving_shapes(n, frames, objects) for n in numbers], numbers, objects)


def trainer(*overrides: str, clips: Any = Shapes) -> Trainer:
    """A tiny trainer."""
    made = recipe(*overrides)
    return Trainer(made, starting_model(made.model, made.seed), clips, torch.device("cpu"))


def curve(one: Trainer) -> list[dict[str, float]]:
    """The losses of every step to the end of the run."""
    return [report.losses for report in one.run() if report is not None]
