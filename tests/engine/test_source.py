"""Weights that engines convert from: what is kept under a file's hash comes from that very file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgetam import TrackerOptions, VideoTracker, load_model
from edgetam.engine.source import Source
from edgetam.engine.store import Store
from edgetam.errors import WeightsError
from edgetam.export.parity import drawn_clip
from edgetam.weights import network, save_native
from tests.model.lively import OWN, lively, shared_model

CLIP = drawn_clip()


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path / "cache"))
    return save_native(tmp_path / "last.safetensors", shared_model("edgetam", 256))


def train_on(weights: Path) -> None:
    """Write the next checkpoint, as training does."""
    state = {name: tensor * 2 for name, tensor in shared_model("edgetam", 256).state_dict().items()}
    save_native(weights, state, shared_model("edgetam", 256).config)


def cut(weights: Path) -> None:
    """Catch a file that is being copied."""
    weights.write_bytes(weights.read_bytes()[:100_000])


def delete(weights: Path) -> None:
    """Take the file away."""
    weights.unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [(train_on, "has changed since"), (cut, "has changed since"), (delete, "cannot be read")],
)
def test_weights_that_changed_since_they_were_hashed_are_refused(
    change: Callable[[Path], None], said: str, weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source.of_weights(weights, "edgetam", None, None)
    store = Store("toy-1", *source.identity)
    change(weights)
    with pytest.raises(WeightsError, match=f"last.safetensors {said}"):
        source.facts(store)
    assert not list(store.folder.iterdir()), "nothing may be kept"
    assert not caplog.text, "the cache is not to blame"


def test_weights_that_change_while_they_are_read_are_refused(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source.of_weights(weights, "edgetam", None, None)
    load = network.load_network

    def slow(*arguments: object, **options: object) -> object:
        train_on(weights)
        return load(*arguments, **options)

    monkeypatch.setattr(network, "load_network", slow)
    with pytest.raises(WeightsError, match="load it again"):
        _ = source.network


def test_weights_that_changed_are_others_when_loaded_again(weights: Path) -> None:
    first = Source.of_weights(weights, "edgetam", None, None)
    absent = first.facts(Store("toy-1", *first.identity))[1].absent_pointer
    train_on(weights)
    assert first.network.config.image_size == 256, "what is in memory may be converted"
    second = Source.of_weights(weights, "edgetam", None, None)
    again = second.facts(Store("toy-1", *second.identity))[1].absent_pointer
    assert again == pytest.approx(absent * 2)


def test_networks_of_an_own_configuration_track_as_in_pytorch(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = save_native(tmp_path / "mine.safetensors", lively(OWN))
    answers = []
    for name in ("torch", "openvino"):
        engine = load_model(weights=path, engine=name, threads=1)
        assert engine.config == OWN
        with VideoTracker(engine, TrackerOptions(store="fp32")).open(CLIP[:2]) as session:
            session.prompt(0, 1, points=[[80, 90]])
            answers.append(np.stack([frame.objects[1].logits for frame in session.propagate()]))
    assert answers[0].shape[0] == 2
    assert np.abs(answers[0] - answers[1]).max() < 1e-3


def test_weights_are_found_after_the_process_went_elsewhere(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(weights.parent)
    source = Source.of_weights(Path(weights.name), "edgetam", None, None)
    monkeypatch.chdir("/")
    assert source.network.config.image_size == 256


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone.pt cannot be read \(No such file"):
        Source.of_weights(tmp_path / "gone.pt", "edgetam", None, None)
