"""The network a run starts with: fresh weights that learn from scratch, or given ones; and its sizes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from edgetam.config import ModelConfig, differences
from edgetam.errors import ConfigError, WeightsError
from edgetam.model import EdgeTAM, build_model
from edgetam.model.memory_attention import CrossAttention, MemoryAttention, MemoryAttentionLayer
from edgetam.model.memory_encoder import ConvNeXtBlock
from edgetam.model.two_way import Attention
from edgetam.train.checkpoint import is_checkpoint, load_checkpoint
from edgetam.train.recipe import ModelRecipe
from edgetam.train.strict import build
from edgetam.weights import load_into, load_state, resolve
from edgetam.weights.variant import without_values

__all__ = ["freeze_norms", "fresh_model", "resized", "starting_model"]

FRESH = "fresh"

LAYER_SCALE = 0.1
"""The published 1e-6 is for long schedules; here the blocks must matter within minutes."""
PRESENCE_BIAS = 2.0
"""Objects start out as present."""
PLACE_BIAS = 1.5
"""Of queries and keys to memories: with rotary positions, a constant favours the same place."""
UNPLACED_BELOW = (4.0, 3.0)
"""Latents and pointers start this much below keys at the place of a query: seen, without drowning them."""
UNPLACED_RIDGE = 0.01
FEATURE_SCALE = 0.25
"""Of the pyramid's outputs: at full strength, pictures drown what memories say about masks."""
WINDOW_LATENTS = 0.02
"""Window latents start as good as equal; otherwise they hide what their windows hold."""


def starting_model(recipe: ModelRecipe, seed: int) -> EdgeTAM:
    """The network of a recipe, in training mode.

    Raises:
        WeightsError: ``init`` names weights that are damaged, of another model or not to be had.
    """
    if recipe.init == FRESH:
        return fresh_model(recipe.config, seed)
    path = resolve(recipe.init)
    wanted = recipe.config
    if is_checkpoint(path):
        state = load_checkpoint(path)
        try:
            given = build(ModelRecipe, state["recipe"]["model"]).config
            model = build_model(_as_far_as(given, wanted))
            _check_kin(given, model.config)
            model.load_state_dict(state["average"])
        except (ConfigError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(
                f"{path} is a training state of another model than the recipe's ({reason}); "
                "make the recipe's model that of its run."
            ) from error
    else:
        loaded = load_state(path)
        model = build_model(_as_far_as(loaded.config, wanted))
        own = replace(loaded.config, skips_absent=wanted.skips_absent)
        load_into(model, replace(loaded, config=own))
    return _ready(_grown(model, wanted))


def _as_far_as(given: ModelConfig, wanted: ModelConfig) -> ModelConfig:
    """The network that is wanted, without a vector that given weights do not have yet."""
    return replace(wanted, unplaced_embed=wanted.unplaced_embed and given.unplaced_embed)


def _check_kin(given: ModelConfig, wanted: ModelConfig) -> None:
    """Make sure that weights of one network fit the other: not all that differs shows in shapes."""
    differing = differences(replace(given, skips_absent=wanted.skips_absent), wanted)
    if differing:
        raise ConfigError(f"they differ in {', '.join(differing)}")


def _grown(model: EdgeTAM, wanted: ModelConfig) -> EdgeTAM:
    """The same network with a vector for keys without a place, if that is wanted and there is none."""
    if model.config.unplaced_embed == wanted.unplaced_embed:
        return model
    grown = build_model(wanted)
    grown.load_state_dict(model.state_dict(), strict=False)
    level_unplaced(grown.memory_attention)
    return grown


@torch.no_grad()
def fresh_model(config: ModelConfig, seed: int) -> EdgeTAM:
    """Build a network to train from random weights.

    Linear layers start as Glorot proposed (2010): PyTorch's default is a third as large, and single-head
    attention over 256 channels stays uniform for long. Attention starts by looking at its own place, which
    otherwise takes most of a short run to find.
    """
    torch.manual_seed(seed)
    model = build_model(config)
    for module in model.modules():
        _start_layer(module)
    for module in model.modules():
        _look_at_own_place(module)
    level_unplaced(model.memory_attention)
    neck = model.image_encoder.neck
    for conv in (*neck.lateral[2:], *neck.high_res):
        assert isinstance(conv, nn.Conv2d)
        conv.weight.mul_(FEATURE_SCALE)
    if model.perceiver is not None:
        model.perceiver.latents_2d.mul_(WINDOW_LATENTS)
    last = model.mask_decoder.presence_head.layers[-1]
    assert isinstance(last, nn.Linear) and last.bias is not None
    last.bias.fill_(PRESENCE_BIAS)
    return _ready(model)


def resized(model: EdgeTAM, image_size: int) -> EdgeTAM:
    """The same parameters in a network for another input size; only tables of positions are new."""
    if model.config.image_size == image_size:
        return model
    with without_values():
        other = build_model(replace(model.config, image_size=image_size))
    other.load_state_dict(model.state_dict(keep_vars=True), assign=True)
    return _ready(other).train(model.training)


def _ready(model: EdgeTAM) -> EdgeTAM:
    """Channels last; no dropout, as a short run underfits."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]


def _start_layer(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.ConvTranspose2d):
        # PyTorch counts its inputs wrongly for strides equal to kernels, and starts far too small
        nn.init.normal_(module.weight, std=module.in_channels**-0.5)
    elif isinstance(module, ConvNeXtBlock):
        module.gamma.fill_(LAYER_SCALE)


def _look_at_own_place(module: nn.Module) -> None:
    """Equal codes of place must give high attention, so queries and keys start from equal projections."""
    if isinstance(module, Attention):
        module.k_proj.weight.copy_(module.q_proj.weight)
    elif isinstance(module, CrossAttention):
        nn.init.constant_(module.q_proj.bias, PLACE_BIAS)
        nn.init.constant_(module.k_proj.bias, PLACE_BIAS)


@torch.no_grad()
def level_unplaced(attention: MemoryAttention) -> None:
    """Let every place of the image see keys without a place alike: least squares over places and layers.

    Queries are rotated and these keys are not, so the biases of both alone favour the first cell, by as much
    as they favour a query's own place among the other keys.
    """
    embed = attention.unplaced_embed
    if embed is None:
        return
    looks, lacks = [], []
    for layer in attention.layers:
        assert isinstance(layer, MemoryAttentionLayer)
        cross = layer.cross_attn
        query, bias, scale = (
            cross.q_proj(layer.norm2.bias),
            cross.k_proj.bias,
            cross.q_proj.out_features**-0.5,
        )
        everywhere = cross.rotary(query.expand(1, cross.rotary.cells, -1))[0] * scale
        looks.append(everywhere @ cross.k_proj.weight)
        lacks.append(query @ bias * scale - everywhere @ bias)
    look = torch.cat(looks)
    lack = torch.cat(lacks)[:, None] - torch.tensor(UNPLACED_BELOW)
    # a little ridge: without it, vectors three times as long gain little
    ridge = UNPLACED_RIDGE * len(look) * torch.eye(look.shape[1])
    embed.copy_(torch.linalg.solve(look.T @ look + ridge, look.T @ lack).T)


def freeze_norms(model: EdgeTAM) -> None:
    """Let batch norms use their running statistics, as they will when the network is used."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
