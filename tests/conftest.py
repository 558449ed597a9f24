"""One thread for all, and a small network whose every part shows in its answers."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import pytest
import torch

from edgetam.engine.torch import TorchEngine
from edgetam.model import EdgeTAM
from tests.model.lively import shared_model

torch.set_num_threads(1)
cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def model() -> EdgeTAM:
    """EdgeTAM at 256 pixels; shared, so tests must leave it as it is."""
    return shared_model("edgetam", 256)


@pytest.fixture(scope="session")
def engine(model: EdgeTAM) -> TorchEngine:
    """The same on the torch engine."""
    return TorchEngine(model)
