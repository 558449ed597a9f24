"""The table of names, against the published names and shapes."""

from __future__ import annotations

import pytest
import torch

from edgetam.config import VARIANTS
from edgetam.errors import WeightsError
from edgetam.weights.keymap import Row, Table, copies, rows
from edgetam.weights.table import HF, OFFICIAL, TABLE
from edgetam.weights.variant import skeleton

from .conftest import LAYOUTS, assert_same, random_state


def shapes(state):
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("key", "layout", "variant"),
    [
        ("official_edgetam", OFFICIAL, "edgetam"),
        ("official_sam2.1-t", OFFICIAL, "sam2.1-t"),
        ("hf_video", HF, "edgetam"),
    ],
)
def test_published_names_go_to_the_model_and_back_bit_for_bit(key, layout, variant):
    state = random_state(key)
    native = TABLE.to_ours(state, layout)
    assert shapes(native) == shapes(skeleton(VARIANTS[variant]))
    back = TABLE.from_ours(native, layout)
    assert_same(back, state)
    if layout == OFFICIAL:
        assert list(back) == [name for name, _ in LAYOUTS[key]]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_tensor_of_every_variant_has_an_official_name(variant):
    native = skeleton(VARIANTS[variant])
    back = TABLE.to_ours(TABLE.from_ours(native, OFFICIAL), OFFICIAL)
    assert shapes(back) == shapes(native)


def test_official_and_hugging_face_meet_in_the_same_names(official):
    # By hand, so that a slip in the table cannot hide behind its own inverse.
    hf = TABLE.from_ours(TABLE.to_ours(official, OFFICIAL), HF)
    same = {
        "image_encoder.trunk.body.stages_2.blocks.3.token_mixer.conv1.bn.running_mean": (
            "vision_encoder.backbone.timm_model.stages_2.blocks.3.token_mixer.conv1.bn.running_mean"
        ),
        "image_encoder.neck.convs.0.conv.bias": "vision_encoder.neck.convs.0.bias",
        "no_mem_pos_enc": "no_memory_positional_encoding",
        "memory_attention.layers.1.linear2.weight": "memory_attention.layers.1.mlp.down_proj.weight",
        "memory_attention.layers.0.self_attn.out_proj.bias": (
            "memory_attention.layers.0.self_attn.o_proj.bias"
        ),
        "memory_encoder.mask_downsampler.encoder.10.weight": (
            "memory_encoder.mask_downsampler.layers.3.layer_norm.weight"
        ),
        "memory_encoder.fuser.layers.1.gamma": "memory_encoder.memory_fuser.layers.1.scale",
        "memory_encoder.out_proj.weight": "memory_encoder.projection.weight",
        "sam_mask_decoder.transformer.layers.0.mlp.layers.1.weight": (
            "mask_decoder.transformer.layers.0.mlp.proj_out.weight"
        ),
        "sam_mask_decoder.output_hypernetworks_mlps.2.layers.1.weight": (
            "mask_decoder.output_hypernetworks_mlps.2.layers.0.weight"
        ),
        "sam_mask_decoder.iou_prediction_head.layers.0.bias": "mask_decoder.iou_prediction_head.proj_in.bias",
        "sam_mask_decoder.obj_score_token.weight": "mask_decoder.obj_score_token.weight",
        "obj_ptr_proj.layers.2.weight": "object_pointer_proj.proj_out.weight",
        "spatial_perceiver.layers.1.self_ff.3.weight": "spatial_perceiver.layers.1.self_mlp.down_proj.weight",
        "spatial_perceiver.layers.0.self_attn.norm.bias": "spatial_perceiver.layers.0.layer_norm_self.bias",
    }
    for theirs, ours in same.items():
        assert torch.equal(official[theirs], hf[ours]), theirs
    to_kv = official["spatial_perceiver.layers.1.attn.to_kv.weight"]
    assert torch.equal(to_kv[:64], hf["spatial_perceiver.layers.1.cross_attention.k_proj.weight"])
    assert torch.equal(to_kv[64:], hf["spatial_perceiver.layers.1.cross_attention.v_proj.weight"])
    third = official["sam_prompt_encoder.point_embeddings.2.weight"]
    assert torch.equal(third[0], hf["prompt_encoder.point_embed.weight"][2])
    assert [list(hf[name].shape) for name, _ in LAYOUTS["hf_video"]] == [s for _, s in LAYOUTS["hf_video"]]


def test_the_finest_lateral_comes_first(official):
    native = TABLE.to_ours(official, OFFICIAL)
    assert torch.equal(
        native["image_encoder.neck.lateral.0.weight"], official["image_encoder.neck.convs.3.conv.weight"]
    )


@pytest.mark.parametrize(
    "name",
    [
        "",
        "image_encoder.trunk.stages.0.x",
        "image_encoder.trunk.body.stem.conv1.conv.weight",
        "perceiver.latents",
    ],
)
def test_our_own_names_and_nonsense_are_not_official(name):
    assert TABLE.find(name, OFFICIAL) is None


def test_sam2_has_no_name_in_the_hugging_face_layout_of_edgetam():
    with pytest.raises(WeightsError, match="choose another layout"):
        TABLE.from_ours(skeleton(VARIANTS["sam2.1-t"]), HF)


def test_pieces_must_be_complete_and_copies_equal():
    table = Table([Row("kv", {"x": rows("k", "v")}), Row("pe", {"x": copies("a", "b")})])
    with pytest.raises(WeightsError, match="missing parts"):
        table.to_ours({"k": torch.zeros(2)}, "x")
    with pytest.raises(WeightsError, match="differ"):
        table.to_ours({"a": torch.zeros(2), "b": torch.ones(2)}, "x")
    assert list(table.to_ours({"b": torch.ones(2)}, "x")) == ["pe"]
    with pytest.raises(WeightsError, match="divide"):
        table.from_ours({"kv": torch.zeros(3)}, "x")
