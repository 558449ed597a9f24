"""Checkpoints with the published names and shapes, and random content."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from edgetam.weights.files import write_safetensors

LAYOUTS = json.loads(gzip.decompress((Path(__file__).parent / "data" / "layouts.json.gz").read_bytes()))
"""Layout to [[name, shape], ...] in the order of the published state dict."""

HF_IMAGE_PARTS = {
    "vision_encoder",
    "prompt_encoder",
    "mask_decoder",
    "shared_image_embedding",
    "no_memory_embedding",
}


def random_state(layout: str) -> dict[str, torch.Tensor]:
    """A state dict with the names and shapes of ``layout``; the same one every time."""
    generator = torch.Generator().manual_seed(7)
    state = {}
    for name, shape in LAYOUTS[layout]:
        if name.endswith("num_batches_tracked"):
            state[name] = torch.randint(1, 99_999, shape, generator=generator)
        else:
            state[name] = torch.rand(shape, generator=generator) * 0.2 - 0.1
    if layout == "hf_video":
        copy = "shared_image_embedding.positional_embedding"
        state[copy] = state["prompt_encoder.shared_embedding.positional_embedding"].clone()
    return state


def assert_same(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Same names, types and bits."""
    assert set(got) == set(expected)
    for name, tensor in expected.items():
        assert got[name].dtype == tensor.dtype, name
        assert torch.equal(got[name], tensor), name


@pytest.fixture(scope="session")
def official() -> dict[str, torch.Tensor]:
    return random_state("official_edgetam")


@pytest.fixture(scope="session")
def hf_video() -> dict[str, torch.Tensor]:
    return random_state("hf_video")


@pytest.fixture(scope="session")
def hf_image(hf_video: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in hf_video.items() if name.split(".")[0] in HF_IMAGE_PARTS}


@pytest.fixture(scope="session")
def official_file(official: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "edgetam.pt"
    torch.save({"model": official}, path)
    return path


@pytest.fixture(scope="session")
def hf_file(hf_video: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hf") / "model.safetensors"
    write_safetensors(path, hf_video, {"format": "pt"})
    return path


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Thousands of small tensors: on a busy machine threads would mostly wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees or fills the user's cache, nor is told to stay offline from outside."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("EDGETAM_CACHE", str(cache))
    monkeypatch.delenv("EDGETAM_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return cache
