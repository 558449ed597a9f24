"""The table of names: ours, the official checkpoints' and Hugging Face's.

Sources: the state dicts of the published EdgeTAM and SAM 2 models, and of `EdgeTamVideoModel`
and `EdgeTamModel` in transformers. Rows are in the order of the official state dict, which
conversions to that layout keep. Rows without an "hf" column belong to models that the
Hugging Face layout handled here does not hold.
"""

from __future__ import annotations

from edgetam.weights.keymap import Names, Rewrites, Row, Table, copies, reshape, rows

__all__ = ["HF", "LAYOUTS", "NATIVE", "OFFICIAL", "TABLE"]

NATIVE = "native"
OFFICIAL = "official"
HF = "hf"
LAYOUTS = (NATIVE, OFFICIAL, HF)


def _row(ours: str, official: str | Names, hf: str | Names | None = None) -> Row:
    theirs = {OFFICIAL: official, HF: hf}
    return Row(
        ours, {key: Names((x,)) if isinstance(x, str) else x for key, x in theirs.items() if x is not None}
    )


def _under(prefix: str, *rewrites: tuple[str, str]) -> Names:
    return Names((prefix + ".{rest}",), rewrites)


_REPVIT: Rewrites = (
    ("token_mixer.conv", "token_mixer.conv3"),
    ("c.weight", "conv.weight"),
    ("bn", "norm"),
)
_HF_ATTENTION: Rewrites = (("o_proj", "out_proj"), ("layer_norm{i}", "norm{i}"))
_HF_MLP: Rewrites = (("layers.0", "layers.1"), ("proj_in", "layers.0"), ("proj_out", "layers.2"))
_TWO_WAY: Rewrites = (
    ("cross_attn_token_to_image", "token_to_image"),
    ("cross_attn_image_to_token", "image_to_token"),
    ("final_attn_token_to_image", "final_token_to_image"),
)
_HF_TWO_WAY: Rewrites = (
    *_TWO_WAY,
    *_HF_ATTENTION,
    ("mlp.proj_in", "mlp.layers.0"),
    ("mlp.proj_out", "mlp.layers.1"),
    ("layer_norm_final_attn", "norm_final_attn"),
)
_HF_MEMORY_ENCODER: Rewrites = (
    *(
        (f"mask_downsampler.layers.{i}.{theirs}", f"mask_downsampler.encoder.{3 * i + step}")
        for i in range(4)
        for step, theirs in enumerate(("conv", "layer_norm"))
    ),
    ("mask_downsampler.final_conv", "mask_downsampler.encoder.12"),
    ("feature_projection", "pix_feat_proj"),
    ("projection", "out_proj"),
    ("memory_fuser", "fuser"),
    ("scale", "gamma"),
    ("depthwise_conv", "dwconv"),
    ("pointwise_conv{i}", "pwconv{i}"),
    ("layer_norm", "norm"),
)
_HF_PERCEIVER: Rewrites = (
    ("mlp.layer_norm", "ff.0"),
    ("mlp.up_proj", "ff.1"),
    ("mlp.down_proj", "ff.3"),
    ("self_mlp.layer_norm", "self_ff.0"),
    ("self_mlp.up_proj", "self_ff.1"),
    ("self_mlp.down_proj", "self_ff.3"),
    ("layer_norm_input", "attn.norm_x"),
    ("layer_norm_latents", "attn.norm_latents"),
    ("layer_norm_self", "self_attn.norm"),
    ("cross_attention.q_proj", "attn.to_q"),
    ("cross_attention.o_proj", "attn.to_out"),
    ("self_attention.q_proj", "self_attn.to_q"),
    ("self_attention.o_proj", "self_attn.to_out"),
)

_TOP = (
    _row(
        "memory_attention.age_embed",
        reshape("maskmem_tpos_enc", 7, 1, 1, 64),
        reshape("memory_temporal_positional_encoding", 7, 1, 1, 64),
    ),
    _row(
        "memory_attention.no_memory_embed",
        reshape("no_mem_embed", 1, 1, 256),
        reshape("no_memory_embedding", 1, 1, 256),
    ),
    _row(
        "memory_attention.unused_no_memory_position",
        reshape("no_mem_pos_enc", 1, 1, 256),
        reshape("no_memory_positional_encoding", 1, 1, 256),
    ),
    _row("object_pointer.absent", reshape("no_obj_ptr", 1, 256), reshape("no_object_pointer", 1, 256)),
    _row("memory_encoder.absent_embed", reshape("no_obj_embed_spatial", 1, 64)),
)

_IMAGE_ENCODER = (
    *(
        _row(
            f"image_encoder.trunk.{ours}.{{rest}}",
            _under(f"image_encoder.trunk.body.{theirs}", *_REPVIT),
            _under(f"vision_encoder.backbone.timm_model.{theirs}", *_REPVIT),
        )
        for ours, theirs in (("stem", "stem"), ("stages.{i}", "stages_{i}"))
    ),
    *(
        _row(f"image_encoder.trunk.{hiera}", f"image_encoder.trunk.{hiera}")
        for hiera in ("pos_embed", "pos_embed_window", "patch_embed.{rest}", "blocks.{rest}")
    ),
    # The published lists run from the coarsest map to the finest, ours the other way round.
    *(
        _row(
            f"image_encoder.neck.lateral.{3 - i}.{{rest}}",
            f"image_encoder.neck.convs.{i}.conv.{{rest}}",
            f"vision_encoder.neck.convs.{i}.{{rest}}",
        )
        for i in range(4)
    ),
)

_MEMORY = (
    _row("object_pointer.mask_downsample.{rest}", "mask_downsample.{rest}", "mask_downsample.{rest}"),
    _row(
        "memory_attention.layers.{rest}",
        _under("memory_attention.layers", ("cross_attn_image", "cross_attn")),
        _under(
            "memory_attention.layers",
            ("cross_attn_image", "cross_attn"),
            *_HF_ATTENTION,
            ("mlp.up_proj", "linear1"),
            ("mlp.down_proj", "linear2"),
        ),
    ),
    _row(
        "memory_attention.norm.{rest}", "memory_attention.norm.{rest}", "memory_attention.layer_norm.{rest}"
    ),
    _row("memory_encoder.{rest}", "memory_encoder.{rest}", _under("memory_encoder", *_HF_MEMORY_ENCODER)),
)

_PROMPT = (
    _row(
        "prompt_encoder.fourier.frequencies",
        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        copies(
            "prompt_encoder.shared_embedding.positional_embedding",
            "shared_image_embedding.positional_embedding",
        ),
    ),
    _row(
        "prompt_encoder.label_embed",
        rows(*(f"sam_prompt_encoder.point_embeddings.{i}.weight" for i in range(4))),
        "prompt_encoder.point_embed.weight",
    ),
    _row(
        "prompt_encoder.no_point_embed",
        reshape("sam_prompt_encoder.not_a_point_embed.weight", 1, 256),
        reshape("prompt_encoder.not_a_point_embed.weight", 1, 256),
    ),
    _row(
        "prompt_encoder.mask_downscaling.{rest}",
        "sam_prompt_encoder.mask_downscaling.{rest}",
        _under(
            "prompt_encoder.mask_embed",
            ("conv1", "0"),
            ("layer_norm1", "1"),
            ("conv2", "3"),
            ("layer_norm2", "4"),
            ("conv3", "6"),
        ),
    ),
    _row(
        "prompt_encoder.no_mask_embed",
        reshape("sam_prompt_encoder.no_mask_embed.weight", 1, 256),
        reshape("prompt_encoder.no_mask_embed.weight", 1, 256),
    ),
)

_DECODER = (
    _row(
        "mask_decoder.transformer.{rest}",
        _under("sam_mask_decoder.transformer", *_TWO_WAY),
        _under("mask_decoder.transformer", *_HF_TWO_WAY),
    ),
    _row("mask_decoder.score_token", "sam_mask_decoder.iou_token.weight", "mask_decoder.iou_token.weight"),
    _row(
        "mask_decoder.mask_tokens", "sam_mask_decoder.mask_tokens.weight", "mask_decoder.mask_tokens.weight"
    ),
    _row(
        "mask_decoder.presence_token",
        "sam_mask_decoder.obj_score_token.weight",
        "mask_decoder.obj_score_token.weight",
    ),
    *(
        _row(
            f"mask_decoder.upscaling.{i}.{{rest}}",
            f"sam_mask_decoder.output_upscaling.{i}.{{rest}}",
            f"mask_decoder.{hf}.{{rest}}",
        )
        for i, hf in ((0, "upscale_conv1"), (1, "upscale_layer_norm"), (3, "upscale_conv2"))
    ),
    *(
        _row(
            f"image_encoder.neck.high_res.{i}.{{rest}}",
            f"sam_mask_decoder.conv_s{i}.{{rest}}",
            f"mask_decoder.conv_s{i}.{{rest}}",
        )
        for i in range(2)
    ),
    *(
        _row(
            f"mask_decoder.{ours}.{{rest}}",
            f"sam_mask_decoder.{theirs}.{{rest}}",
            _under(f"mask_decoder.{theirs}", *_HF_MLP),
        )
        for ours, theirs in (
            ("hypernetworks", "output_hypernetworks_mlps"),
            ("score_head", "iou_prediction_head"),
            ("presence_head", "pred_obj_score_head"),
        )
    ),
)

_POINTER = (
    _row("object_pointer.project.{rest}", "obj_ptr_proj.{rest}", _under("object_pointer_proj", *_HF_MLP)),
    _row("memory_attention.pointer_time.{rest}", "obj_ptr_tpos_proj.{rest}"),
)

_PERCEIVER = (
    _row("perceiver.latents", "spatial_perceiver.latents", "spatial_perceiver.latents_1d"),
    _row("perceiver.latents_2d", "spatial_perceiver.latents_2d", "spatial_perceiver.latents_2d"),
    # Hugging Face keeps keys and values apart; the row that follows has them for the official layout.
    *(
        Row(
            f"perceiver.layers.{{i}}.{ours}.to_kv.weight",
            {HF: rows(*(f"spatial_perceiver.layers.{{i}}.{theirs}.{part}_proj.weight" for part in "kv"))},
        )
        for ours, theirs in (("attn", "cross_attention"), ("self_attn", "self_attention"))
    ),
    _row(
        "perceiver.layers.{rest}",
        "spatial_perceiver.layers.{rest}",
        _under("spatial_perceiver.layers", *_HF_PERCEIVER),
    ),
    _row("perceiver.norm.{rest}", "spatial_perceiver.norm.{rest}", "spatial_perceiver.layer_norm.{rest}"),
)

TABLE = Table((*_TOP, *_IMAGE_ENCODER, *_MEMORY, *_PROMPT, *_DECODER, *_POINTER, *_PERCEIVER))
