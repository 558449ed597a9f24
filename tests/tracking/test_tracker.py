"""What a tracker takes for a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetam.engine.torch import TorchEngine
from edgetam.errors import ConfigError, InputError, OutputError, PromptError
from edgetam.model import EdgeTAM
from edgetam.structs import Prompt
from edgetam.tracking import (
    AutoMasker,
    AutoMaskOptions,
    ImageSegmenter,
    Stream,
    TrackerOptions,
    TrackingSession,
    VideoTracker,
)
from edgetam.weights.load import LoadedWeights
from edgetam.weights.network import build_network
from edgetam.weights.variant import is_memory
from tests.tracking.fake_engine import Clip, FakeEngine


class WithoutMemory(FakeEngine):
    """As weights for images only are loaded: what they lack is NaN."""

    @property
    def absent_pointer(self) -> NDArray[np.float32]:
        return np.full(256, np.nan, np.float32)


@pytest.mark.parametrize("make", [VideoTracker, Stream, lambda engine: TrackingSession(engine, Clip(3))])
def test_weights_without_memory_do_not_track(make: Any) -> None:
    with pytest.raises(InputError, match=r"no memory and cannot track; load the whole file, or use Image"):
        make(WithoutMemory())
    make(FakeEngine())


def test_weights_for_images_only_do_not_track(model: EdgeTAM) -> None:
    state = {name: value for name, value in model.state_dict().items() if not is_memory(name)}
    network = build_network(LoadedWeights(model.config, state, "native", image_only=True), model.config)
    with pytest.raises(InputError, match="no memory"):
        VideoTracker(TorchEngine(network, fold=False))


def test_weights_without_memory_segment_images() -> None:
    answers = []
    for engine in (WithoutMemory(), FakeEngine()):
        segmenter = ImageSegmenter(engine)
        segmenter.set_image(Clip(1).image(0))
        answers.append(segmenter.predict(points=[[3, 4]]).logits)
    assert np.array_equal(*answers)


@pytest.mark.parametrize("make", [VideoTracker, Stream, lambda engine: TrackingSession(engine, Clip(3))])
def test_what_is_no_engine_is_named(make: Any) -> None:
    with pytest.raises(InputError, match=r"model is a str; pass what edgetam\.load_model\(\) gives"):
        make("edgetam")


def test_what_are_no_options_are_named() -> None:
    for make in (VideoTracker, Stream):
        with pytest.raises(ConfigError, match=r"options is a dict; expected TrackerOptions\(...\)"):
            make(FakeEngine(), {"history": False})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"options is a TrackerOptions; expected AutoMaskOptions\(...\)"):
        AutoMasker(FakeEngine(), TrackerOptions())  # type: ignore[arg-type]
    assert TrackerOptions(batch=np.int64(4)).batch == 4  # type: ignore[arg-type]
    for value in (None, "high", [0.5]):
        for name in ("min_score", "threshold", "stability_offset"):
            with pytest.raises(ConfigError, match=name):
                AutoMaskOptions(**{name: value})


@pytest.mark.parametrize("which", [[1], np.array(1), Prompt(points=[[1, 1]]), None, "1", 1.0, True])
def test_an_object_is_a_number(which: Any) -> None:
    session, stream = TrackingSession(FakeEngine(), Clip(3)), Stream(FakeEngine())
    session.prompt(0, 1, points=[[3, 4]])
    stream.step(Clip(1).image(0), {1: Prompt(points=[[3, 4]])})
    for call in (
        lambda: session.remove_object(which),
        lambda: session.remove_prompts(0, which),
        lambda: stream.remove_object(which),
    ):
        with pytest.raises(PromptError, match="There is no object"):
            call()
    session.remove_object(np.int64(1))  # type: ignore[arg-type]
    assert session.objects == []


def test_folders_of_sessions_are_paths() -> None:
    with pytest.raises(OutputError, match="The folder to save to is a NoneType; expected a path"):
        TrackingSession(FakeEngine(), Clip(3)).save(None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="The folder of the session is a NoneType; expected a path"):
        VideoTracker(FakeEngine()).resume(None, Clip(3))  # type: ignore[arg-type]
