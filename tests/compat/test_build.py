"""The builders, and what they hand out."""

from __future__ import annotations

import inspect
import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from edgetam.compat import build as builders
from edgetam.compat import sam2
from edgetam.compat.sam2 import (
    SAM2AutomaticMaskGenerator,
    SAM2ImagePredictor,
    SAM2VideoPredictor,
    build_sam2,
)
from edgetam.compat.settings import Settings
from edgetam.errors import ConfigError, EngineError, WeightsError
from tests.compat.conftest import SMALL

PUBLISHED = {
    "build_sam2": "config_file ckpt_path device mode hydra_overrides_extra apply_postprocessing",
    "build_sam2_video_predictor": (
        "config_file ckpt_path device mode hydra_overrides_extra apply_postprocessing vos_optimized"
    ),
    "build_sam2_hf": "model_id",
    "build_sam2_video_predictor_hf": "model_id",
    "SAM2ImagePredictor.predict": (
        "point_coords point_labels box mask_input multimask_output return_logits normalize_coords"
    ),
    "SAM2ImagePredictor.predict_batch": (
        "point_coords_batch point_labels_batch box_batch mask_input_batch multimask_output return_logits "
        "normalize_coords"
    ),
    "SAM2ImagePredictor.set_image": "image",
    "SAM2ImagePredictor.set_image_batch": "image_list",
    "SAM2ImagePredictor.get_image_embedding": "",
    "SAM2ImagePredictor.reset_predictor": "",
    "SAM2VideoPredictor.init_state": (
        "video_path offload_video_to_cpu offload_state_to_cpu async_loading_frames"
    ),
    "SAM2VideoPredictor.add_new_points_or_box": (
        "inference_state frame_idx obj_id points labels clear_old_points normalize_coords box"
    ),
    "SAM2VideoPredictor.add_new_mask": "inference_state frame_idx obj_id mask",
    "SAM2VideoPredictor.propagate_in_video": (
        "inference_state start_frame_idx max_frame_num_to_track reverse"
    ),
    "SAM2VideoPredictor.propagate_in_video_preflight": "inference_state",
    "SAM2VideoPredictor.clear_all_prompts_in_frame": "inference_state frame_idx obj_id need_output",
    "SAM2VideoPredictor.reset_state": "inference_state",
    "SAM2VideoPredictor.remove_object": "inference_state obj_id strict need_output",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_positional_parameters_are_the_published_ones(name: str) -> None:
    target: Any = sam2
    for part in name.split("."):
        target = getattr(target, part)
    found = [
        parameter.name
        for parameter in inspect.signature(target).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self"
    ]
    assert found == PUBLISHED[name].split()


def test_everything_exported_exists() -> None:
    assert all(hasattr(sam2, name) for name in sam2.__all__)


def test_unknown_arguments_are_ignored_with_a_word(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "edgetam"):
        model = build_sam2(
            "edgetam.yaml", str(checkpoint), "cpu", hydra_overrides_extra=[SMALL], use_safetensors=True
        )
    assert "use_safetensors" in caplog.text
    assert model.image_size == 256
    assert model.device == torch.device("cpu")
    assert model.eval() is model
    assert model.to("cpu") is model
    with pytest.raises(EngineError):
        model.to("cuda:99" if torch.cuda.is_available() else "cuda")


def test_cuda_falls_back_to_the_cpu_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(builders, "load_model", lambda *_, device, **__: device)
    builders._warn_no_cuda.cache_clear()
    with pytest.warns(UserWarning, match="CUDA") as caught:
        assert builders.build_sam2("edgetam", device="cuda").engine == "cpu"  # type: ignore[comparison-overlap]
    assert caught[0].filename == __file__, "it points at the script"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert builders.usable_device(torch.device("cuda:0")) == "cpu"
        assert builders.usable_device(None) == "cpu"
        assert builders.usable_device("mps") == "mps"


def test_cuda_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert builders.usable_device("cuda:1") == "cuda:1"


def test_models_for_training_are_not_built_here(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match="train"):
        build_sam2("edgetam", checkpoint, "cpu", mode="train")


def test_weights_of_another_model_are_an_error(checkpoint: Path) -> None:
    with pytest.raises(WeightsError):
        build_sam2("sam2.1_hiera_t", checkpoint, "cpu")


@pytest.mark.parametrize("made", [SAM2ImagePredictor, SAM2VideoPredictor])
def test_repositories_are_loaded_by_their_name(
    made: Any, predictor: SAM2VideoPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def load(name: str, weights: Any, **options: Any) -> Any:
        asked.update(name=name, weights=weights, **options)
        return predictor.engine

    monkeypatch.setattr(builders, "load_model", load)
    loaded = made.from_pretrained("facebook/sam2.1-hiera-base-plus", device="cpu")
    assert (asked["name"], asked["weights"]) == ("sam2.1-b+", "facebook/sam2.1-hiera-base-plus")
    assert isinstance(loaded, made)
    assert loaded.device == torch.device("cpu")


@pytest.mark.parametrize(
    ("made", "own"),
    [
        (SAM2ImagePredictor, {"mask_threshold": 0.5}),
        (SAM2AutomaticMaskGenerator, {"output_mode": "coco_rle", "points_per_side": 4}),
    ],
)
def test_arguments_of_the_class_are_not_called_unknown(
    made: Any,
    own: dict[str, Any],
    predictor: SAM2VideoPredictor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(builders, "load_model", lambda *_, **__: predictor.engine)
    with caplog.at_level(logging.WARNING, "edgetam"):
        loaded = made.from_pretrained("facebook/EdgeTAM", device="cpu", use_safetensors=True, **own)
    assert [record.getMessage() for record in caplog.records] == [
        "Arguments without effect: use_safetensors."
    ]
    name, value = next(iter(own.items()))
    assert getattr(loaded, name) == value


def test_postprocessing_is_on_unless_refused(
    predictor: SAM2VideoPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builders, "load_model", lambda *_, **__: predictor.engine)
    plain = sam2.build_sam2_video_predictor("edgetam", device="cpu", apply_postprocessing=False)
    assert plain.settings == Settings()
    both = sam2.build_sam2_video_predictor(
        "edgetam", device="cpu", hydra_overrides_extra=["++model.fill_hole_area=3"]
    )
    assert both.settings == replace(Settings().with_postprocessing(video=True), fill_hole_area=3)
    image = build_sam2("edgetam", device="cpu")
    assert image.settings == Settings().with_postprocessing(video=False)
