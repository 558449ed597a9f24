"""Weights that engines convert from: what is kept under a file's hash comes from that very file."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edgetam import TrackerOptions, VideoTracker, load_model
from edgetam.engine import source
from edgetam.engine.source import Source
from edgetam.engine.torch import TorchEngine
from edgetam.errors import WeightsError
from edgetam.export.parity import drawn_clip
from edgetam.weights import load, save_native
from edgetam.weights.digest import FORMAT_KEY
from edgetam.weights.files import write_safetensors
from edgetam.weights.variant import config_to_json, is_memory
from tests.model.lively import OWN, lively, shared_model

CLIP = drawn_clip()
BIAS = "image_encoder.neck.lateral.0.bias"


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
    change: Callable[[Path], None],
    said: str,
    weights: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = Source.of_weights(weights, "edgetam")
    change(weights)
    with pytest.raises(WeightsError, match=f"last.safetensors {said}"):
        _ = found.facts
    assert not list((tmp_path / "cache").rglob("*.json")), "nothing may be kept"
    assert not caplog.text, "the cache is not to blame"


def test_weights_that_change_while_they_are_read_are_refused(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Source.of_weights(weights, "edgetam")
    read = load.load_state

    def slow(*arguments: object, **options: object) -> object:
        train_on(weights)
        return read(*arguments, **options)

    monkeypatch.setattr(load, "load_state", slow)
    with pytest.raises(WeightsError, match="load it again"):
        _ = found.network


def test_weights_that_changed_are_others_when_loaded_again(weights: Path) -> None:
    first = Source.of_weights(weights, "edgetam")
    absent = first.facts.constants.absent_pointer
    train_on(weights)
    assert first.network.config.image_size == 256, "what is in memory may be converted"
    second = Source.of_weights(weights, "edgetam")
    again = second.facts.constants.absent_pointer
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
    found = Source.of_weights(Path(weights.name), "edgetam")
    monkeypatch.chdir("/")
    assert found.network.config.image_size == 256


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone.pt cannot be read \(No such file"):
        Source.of_weights(tmp_path / "gone.pt", "edgetam")


def test_one_network_is_converted_once_however_it_is_asked_for(weights: Path) -> None:
    asked = [(None, None), (256, None), (None, "image"), (256, "image")]
    identities = {Source.of_weights(weights, "edgetam", size, partial).identity for size, partial in asked}
    assert len(identities) == 1
    assert Source.of_weights(weights, "edgetam", 512).identity not in identities


def test_weights_saved_again_are_converted_once(weights: Path, tmp_path: Path) -> None:
    notes = {"provenance": "another run", "licence": "ours"}
    again = save_native(tmp_path / "again.safetensors", shared_model("edgetam", 256), metadata=notes)
    assert again.read_bytes() != weights.read_bytes()
    assert Source.of_weights(again, "edgetam").identity == Source.of_weights(weights, "edgetam").identity


def test_what_was_not_asked_for_is_refused_from_the_cache_too(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {k: v for k, v in shared_model("edgetam", 256).state_dict().items() if not is_memory(k)}
    image_only = tmp_path / "image.safetensors"
    config = shared_model("edgetam", 256).config
    write_safetensors(image_only, state, {FORMAT_KEY: "1", "config": config_to_json(config)})
    assert Source.of_weights(image_only, "edgetam", 256, "image").config.image_size == 256
    assert Source.of_weights(weights, "edgetam").config.image_size == 256

    def read(*arguments: object, **options: object) -> object:
        raise AssertionError("what is known is not read again")

    monkeypatch.setattr(load, "load_state", read)
    with pytest.raises(WeightsError, match=r"image\.safetensors: An image-only edgetam file"):
        _ = Source.of_weights(image_only, "edgetam").config
    with pytest.raises(WeightsError, match="holds weights of edgetam, expected sam2-t"):
        _ = Source.of_weights(weights, "sam2-t").config
    with pytest.raises(WeightsError, match="partial is 'half'"):
        Source.of_weights(weights, "edgetam", None, "half")


def test_weights_are_known_by_their_values(weights: Path, tmp_path: Path) -> None:
    model = shared_model("edgetam", 256)
    halved = save_native(tmp_path / "half.safetensors", model, dtype="float16")
    known = Source.of_weights(weights, "edgetam").facts.constants.weights_id
    assert known
    assert Source.of_weights(halved, "edgetam").facts.constants.weights_id == known
    assert TorchEngine(model).weights_id == known
    other = dict(model.state_dict())
    other[BIAS] = other[BIAS] + 1
    changed = save_native(tmp_path / "other.safetensors", other, model.config)
    assert Source.of_weights(changed, "edgetam").facts.constants.weights_id != known


def test_graphs_that_change_have_a_new_format() -> None:
    """Conversions of earlier graphs lie in people's caches, and only `GRAPH_FORMAT` tells them apart.

    Where this fails: raise it if the graphs compute anything else, and write down the new hash in any case.
    """
    package = Path(source.__file__).parents[1]
    files = [*sorted((package / "model").glob("*.py")), package / "engine" / "graphs.py"]
    digest = hashlib.sha256("".join(file.read_text() for file in files).encode()).hexdigest()[:12]
    assert (source.GRAPH_FORMAT, digest) == (12, "29ce688f1537")


def test_networks_that_differ_in_their_last_bits_are_converted_apart() -> None:
    model = shared_model("edgetam", 256)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.state_dict()[BIAS].mul_(1 + 1e-6)
    assert Source.of_network(model).identity != Source.of_network(other).identity


def test_facts_are_had_where_the_cache_cannot_be_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path / "file"))
    found = Source.of_weights(weights, "edgetam").facts
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path / "cache"))
    usual = Source.of_weights(weights, "edgetam").facts
    assert found.config == usual.config
    assert np.array_equal(found.constants.no_memory, usual.constants.no_memory)
    assert len(caplog.records) == 1
