"""A small network with lively weights in the official format, and short clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgetam.compat.sam2 import SAM2VideoPredictor, build_sam2_video_predictor
from edgetam.compat.settings import read_overrides
from tests.parity.golden import Rule
from tests.parity.models import Models
from tests.parity.rules import frame

HEIGHT, WIDTH, FRAMES = 90, 120, 6
SMALL = "++model.image_size=256"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Official weights; presence is shifted so that objects are there."""
    torch.set_num_threads(1)
    return Models(Rule(0, -10.5), tmp_path_factory.mktemp("weights")).checkpoint(shift=4.0)


@pytest.fixture(scope="session")
def video() -> NDArray[np.uint8]:
    """A clip ``[T, H, W, 3]``."""
    return np.stack([frame(11, t, HEIGHT, WIDTH) for t in range(FRAMES)])


Build = Callable[..., SAM2VideoPredictor]


@pytest.fixture(scope="session")
def predictor(checkpoint: Path) -> SAM2VideoPredictor:
    """With default options, at 256 pixels."""
    return build_sam2_video_predictor(
        "configs/edgetam.yaml", checkpoint, device="cpu", hydra_overrides_extra=[SMALL]
    )


@pytest.fixture(scope="session")
def build(predictor: SAM2VideoPredictor) -> Build:
    """The same network with other options."""

    def get(*overrides: str, **arguments: Any) -> SAM2VideoPredictor:
        settings = read_overrides(overrides, predictor.settings)
        return SAM2VideoPredictor(predictor.engine, settings, **arguments)

    return get
