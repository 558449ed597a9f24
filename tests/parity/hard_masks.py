"""Deciding the undecided: prompted masks are cut at zero before they are remembered.

A few pixels of every clicked mask have logits within rounding of zero. On which side they fall differs
between any two builds of the same network, and one such pixel moves tracked logits by 1e-2 and more:
folding the convolutions of our own encoder, which changes the first mask by 6e-5, changes later ones by
3e-2. Goldens with exact memory store samples of the memory; from these one can tell which side the
reference took. What is compared after that is free of this noise, and much tighter than it could be
otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgetam.engine.torch import TorchEngine
from edgetam.model.layers import upsample
from edgetam.structs import ImageFeatures
from edgetam.tracking import TrackingSession
from edgetam.tracking.records import FrameRecord, ObjectTrack
from tests.parity.golden import largest

UNDECIDED = 2e-4
"""Logits this close to zero may fall on either side: a few times the noise of a single frame."""
CANDIDATES = 48
BATCH = 8
ALIKE = 1.5e-4
"""Memories this close were made from the same hard mask."""


def sampled(tokens: Any) -> Any:
    """The part of a memory that is stored."""
    return tokens[..., ::64, ::8]


@torch.inference_mode()
def settle(
    session: TrackingSession, engine: TorchEngine, track: ObjectTrack, frame: int, expected: NDArray[Any]
) -> int:
    """Remember a prompted frame with the reference's hard mask; returns how many pixels changed sides."""
    held = track.prompted if frame in track.prompted else track.tracked
    record = held[frame]
    error = largest(sampled(record.tokens) - expected)
    if error <= ALIKE:
        return 0
    mask, undecided = hard_mask(record, engine)
    features = session.moment(frame).features
    changed = 0
    while error > ALIKE and len(undecided):
        tokens = torch.cat(
            [encode(engine, features, flip(mask, some)) for some in undecided[:CANDIDATES].split(BATCH)]
        )
        errors = np.abs(sampled(tokens.numpy()) - expected).max(axis=(1, 2))
        best = int(errors.argmin())
        if errors[best] >= error:
            break
        error, changed = float(errors[best]), changed + 1
        mask = flip(mask, undecided[best : best + 1])
        undecided = torch.cat([undecided[:best], undecided[best + 1 :]])
        held[frame] = replace(record, memory=FrameRecord.pack(tokens[best].numpy(), "fp32"))
    return changed


def hard_mask(record: FrameRecord, engine: TorchEngine) -> tuple[Tensor, Tensor]:
    """The mask ``[1, 1, S, S]`` cut at zero, and flat indices of undecided pixels, closest to zero first."""
    fine = upsample(torch.from_numpy(record.logits)[None, None], engine.config.image_size)
    closeness = fine.abs().flatten()
    order = closeness.argsort()[: int((closeness < UNDECIDED).sum())]
    return (fine > 0).float(), order


def flip(mask: Tensor, pixels: Tensor) -> Tensor:
    """One copy of the mask for each pixel, with that pixel on the other side: ``[B, 1, S, S]``."""
    copies = mask.flatten().repeat(len(pixels), 1)
    rows = torch.arange(len(pixels))
    copies[rows, pixels] = 1 - copies[rows, pixels]
    return copies.unflatten(1, mask.shape[1:])


def encode(engine: TorchEngine, features: ImageFeatures[Any], masks: Tensor) -> Tensor:
    """Memories ``[B, N, 64]`` of hard masks."""
    network = engine.model
    assert network.perceiver is not None
    memory = network.memory_encoder(features.stride16, masks * 20 - 10, torch.ones(len(masks), 1))
    return network.perceiver(memory)
