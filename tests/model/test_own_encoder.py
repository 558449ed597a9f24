"""An encoder of one's own is a module and an entry in VARIANTS; everything else takes it as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgetam import VideoTracker, load_model
from edgetam.config import VARIANTS, config_from_fields, config_to_fields, get_config
from edgetam.model import build_model
from edgetam.train.recipe import ModelRecipe
from edgetam.weights import save_native
from edgetam.weights.variant import detect_variant, skeleton
from tests.model.lively import lively


@dataclass(frozen=True)
class StridedConfig:
    """Convolutions with strides."""

    kind: ClassVar[str] = "strided"
    trunk: ClassVar[str] = "tests.model.test_own_encoder:Strided"
    width: int = 8

    @property
    def widths(self) -> tuple[int, int, int, int]:
        return self.width, 2 * self.width, 3 * self.width, 4 * self.width


class Strided(nn.Module):
    def __init__(self, config: StridedConfig) -> None:
        super().__init__()
        widths = (3, *config.widths)
        strides = (4, 2, 2, 2)
        self.steps = nn.ModuleList(
            nn.Conv2d(a, b, s, s) for a, b, s in zip(widths, widths[1:], strides, strict=False)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = []
        for step in self.steps:
            image = step(image).relu()
            maps.append(image)
        return maps


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(get_config("edgetam", 256), name="strided", encoder=StridedConfig())
    monkeypatch.setitem(VARIANTS, "strided", config)


def test_its_configuration_is_written_and_read() -> None:
    config = replace(get_config("strided"), encoder=StridedConfig(12))
    assert config_from_fields(config_to_fields(config)) == config


@pytest.mark.parametrize("name", ["edgetam", "sam2.1-t"])
def test_published_files_are_still_told_apart(name: str) -> None:
    shapes = {key: tuple(value.shape) for key, value in skeleton(get_config(name)).items()}
    assert detect_variant(shapes).name == name


def test_recipes_train_it() -> None:
    network = build_model(ModelRecipe(variant="strided", image_size=512).config)
    features = network.encode(torch.zeros(1, 3, 512, 512))
    assert features.stride16.shape == (1, 256, 32, 32)
    features.stride16.sum().backward()
    assert isinstance(network.image_encoder.trunk, Strided)
    assert all(p.grad is not None for p in network.image_encoder.trunk.parameters())


def test_it_tracks_from_a_file_in_every_engine(tmp_path: Path) -> None:
    path = save_native(tmp_path / "own.safetensors", lively(get_config("strided")))
    frames = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), np.uint8)
    found = []
    for engine in ("torch", "openvino"):
        with VideoTracker(load_model("strided", path, engine=engine, threads=1)).open(frames) as session:
            session.prompt(frame=0, object_id=1, points=[[30, 20]], labels=[1])
            found.append([result.objects[1].logits for result in session.propagate()])
    assert len(found[0]) == 3
    for mine, wanted in zip(*found, strict=True):
        assert np.abs(mine - wanted).max() < 1e-2 * np.abs(wanted).max()
