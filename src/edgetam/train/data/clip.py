"""What training asks of data, and what it gets: a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgetam.errors import ConfigError

if TYPE_CHECKING:
    from edgetam.train.data.items import Collection

__all__ = ["Ask", "Clip", "ClipSource", "Mask", "Rgb", "stack_clip"]

Rgb = NDArray[np.uint8]  # [H, W, 3]
Mask = NDArray[np.uint8]  # [H, W], 0 or 255


@dataclass(frozen=True)
class Clip:
    """One labelled clip.

    Masks hold visible pixels only; those of drawn objects never overlap, those of annotated ones may.
    ``present`` tells real rows from padding: a real object is visible on frame 0; later it may be
    hidden, and then its mask is empty. ``void`` are pixels that may belong to anything: nothing is learnt
    there.
    """

    frames: Tensor  # [T, H, W, 3] uint8
    masks: Tensor  # [T, O, H, W] bool
    present: Tensor  # [O] bool
    void: Tensor | None = None  # [T, H, W] bool


@dataclass(frozen=True)
class Ask:
    """The shape of a clip: frames, rows of masks (padded) and the side of the square frames in pixels.

    Raises:
        ConfigError: a number is too small.
    """

    frames: int
    objects: int
    size: int

    def __post_init__(self) -> None:
        if self.frames < 1 or self.objects < 1 or self.size < 16:
            raise ConfigError(
                f"a clip of {self.frames} frames, {self.objects} objects and {self.size} pixels was asked "
                "for, expected at least 1, 1 and 16: raise them."
            )


class ClipSource(Protocol):
    """Anything that clips can be drawn from."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        ...

    @property
    def collections(self) -> Mapping[str, Collection]:
        """The files that clips are made of, by their part: "" are the videos or images themselves."""
        ...

    def __len__(self) -> int:
        """How many videos or images there are; 0 where clips are drawn from nothing."""
        ...

    def sample(self, dice: np.random.Generator, ask: Ask) -> Clip:
        """Draw a clip; the same numbers give the same clip.

        Raises:
            MediaError: the videos or images that the dice chose cannot be used; names the file.
            ConfigError: this source can never give such a clip.
        """
        ...


def stack_clip(
    frames: Sequence[Rgb],
    masks: Sequence[Sequence[NDArray[np.bool_]]],
    rows: int,
    void: Sequence[NDArray[np.bool_]] | None = None,
) -> Clip:
    """Put a clip together.

    Args:
        frames: T pictures of one size.
        masks: for each frame, the masks of all its objects.
        rows: of masks in the clip; missing ones are padding.
        void: for each frame, pixels that nothing is said about.
    """
    count = len(masks[0])
    height, width = frames[0].shape[:2]
    out = np.zeros((len(frames), rows, height, width), dtype=bool)
    for t, row in enumerate(masks):
        for o, mask in enumerate(row):
            out[t, o] = mask
    unknown = None if void is None or not any(v.any() for v in void) else torch.from_numpy(np.stack(void))
    return Clip(
        torch.from_numpy(np.stack(frames)), torch.from_numpy(out), torch.arange(rows) < count, unknown
    )
