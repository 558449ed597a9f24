"""Names and options people pass to the builders."""

from __future__ import annotations

import logging
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetam.compat.names import variant_of_config, variant_of_repository
from edgetam.compat.settings import Settings, read_overrides
from edgetam.config import VARIANTS
from edgetam.errors import ConfigError


@pytest.mark.parametrize(
    ("given_name", "variant"),
    [
        ("configs/edgetam.yaml", "edgetam"),
        ("edgetam.yaml", "edgetam"),
        ("configs/sam2.1/sam2.1_hiera_b+.yaml", "sam2.1-b+"),
        ("sam2.1_hiera_t", "sam2.1-t"),
        ("sam2_hiera_l.yaml", "sam2-l"),
        ("configs\\sam2\\sam2_hiera_s.yaml", "sam2-s"),
        ("//configs/sam2.1/sam2.1_hiera_l.yaml", "sam2.1-l"),
    ],
)
def test_published_configurations_are_understood(given_name: str, variant: str) -> None:
    assert variant_of_config(given_name) == variant


@pytest.mark.parametrize("variant", VARIANTS)
def test_so_are_our_own_names(variant: str) -> None:
    assert variant_of_config(variant) == variant


@pytest.mark.parametrize("name", ["", "sam3.yaml", "configs/", "sam2.1_hiera_xl", "sam2.1_training.yaml"])
def test_other_configurations_are_an_error_that_lists_ours(name: str) -> None:
    with pytest.raises(ConfigError, match=r"edgetam, sam2-t"):
        variant_of_config(name)


@pytest.mark.parametrize(
    ("repository", "variant"),
    [
        ("facebook/EdgeTAM", "edgetam"),
        ("yonigozlan/EdgeTAM-hf", "edgetam"),
        ("facebook/sam2-hiera-tiny", "sam2-t"),
        ("facebook/sam2.1-hiera-base-plus", "sam2.1-b+"),
        ("facebook/sam2.1-hiera-large", "sam2.1-l"),
        ("someone/sam2-hiera-small", "sam2-s"),
    ],
)
def test_repositories_say_which_model_they_hold(repository: str, variant: str) -> None:
    assert variant_of_repository(repository) == variant


def test_a_repository_that_does_not_say_so_is_an_error() -> None:
    with pytest.raises(ConfigError, match="someone/model"):
        variant_of_repository("someone/model")


def test_overrides_change_settings_with_and_without_plus_signs() -> None:
    settings = read_overrides(
        [
            "++model.fill_hole_area=3",
            "+model.non_overlap_masks=true",
            "model.max_cond_frames_in_attn=4",
            "++model.sam_mask_decoder_extra_args.dynamic_multimask_via_stability=True",
            "++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_delta=0.05",
            "++model.image_size=512",
        ],
        Settings(),
    )
    assert settings == Settings(
        fill_hole_area=3,
        non_overlap_masks=True,
        max_cond_frames_in_attn=4,
        dynamic_multimask_via_stability=True,
        image_size=512,
    )


def test_overrides_without_effect_are_ignored_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    ignored = [
        "++model.compile_image_encoder=true",
        "++model.memory_attention.layer.cross_attention.q_sizes=[32,32]",
        "+model.memory_attention.layer.cross_attention.k_sizes=[16, 16]",
        "model.memory_attention.layer.self_attention.feat_sizes=[32,32]",
    ]
    with caplog.at_level(logging.WARNING, "edgetam"):
        settings = read_overrides([*ignored, "++model.image_size=512"], Settings())
    assert settings == Settings(image_size=512)
    (record,) = caplog.records
    message = record.getMessage()
    assert all(part in message for part in ("compile_image_encoder", "q_sizes", "k_sizes", "feat_sizes"))
    assert "image_size" not in message


@pytest.mark.parametrize(
    "override",
    [
        "++model.compile_image_encoder",
        "++model.memory_attention.layer.q_sizes=[32,32]",
        "++model.fill_hole_area=yes",
        "++model.fill_hole_area=-1",
        "++model.non_overlap_masks=2",
        "++model.memory_temporal_stride_for_eval=0",
        "++model.max_cond_frames_in_attn=0",
        "++model.image_size=",
        "++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh=0.9",
        "++model.num_maskmem=3",
        "++trainer.epochs=1",
        "++model.fill_hole_area",
        "",
    ],
)
def test_wrong_overrides_are_errors(override: str) -> None:
    with pytest.raises(ConfigError):
        read_overrides([override], Settings())


@given(st.text())
def test_any_text_is_understood_or_refused(text: str) -> None:
    with suppress(ConfigError):
        read_overrides([text], Settings())
    with suppress(ConfigError):
        assert variant_of_config(text) in VARIANTS


def test_postprocessing_of_images_and_videos() -> None:
    assert Settings().with_postprocessing(video=False) == Settings(dynamic_multimask_via_stability=True)
    assert Settings().with_postprocessing(video=True) == Settings(
        dynamic_multimask_via_stability=True, binarize_mask_from_pts_for_mem_enc=True, fill_hole_area=8
    )


@pytest.mark.parametrize(
    ("legacy", "objects", "for_many", "clears"),
    [
        (True, 1, False, True),
        (True, 2, False, False),
        (True, 2, True, True),
        (False, 2, False, True),
    ],
)
def test_shared_memory_is_not_cleared_around_one_of_many_objects(
    legacy: bool, objects: int, for_many: bool, clears: bool
) -> None:
    settings = Settings(clear_non_cond_mem_around_input=True, clear_non_cond_mem_for_multi_obj=for_many)
    options = settings.tracker_options(legacy=legacy, objects=objects, store="bf16")
    assert options.clear_around_prompts is clears
