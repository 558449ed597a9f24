"""What a tracker takes for a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetam.engine.torch import TorchEngine
from edgetam.errors import InputError
from edgetam.model import EdgeTAM
from edgetam.tracking import ImageSegmenter, Stream, TrackingSession, VideoTracker
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


def test_what_is_no_engine_is_named() -> None:
    with pytest.raises(InputError, match=r"model is a str; pass what edgetam\.load_model\(\) gives"):
        VideoTracker("edgetam")  # type: ignore[arg-type]
