"""Networks with random weights that hide no mistake.

Freshly made networks do: batch norms that change nothing, layer scales near zero, embeddings of zero,
attention that looks everywhere alike, and a presence near zero, which turns masks into a constant.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from edgetam.config import ModelConfig, PerceiverConfig, RepViTConfig, get_config
from edgetam.model import EdgeTAM, build_model
from edgetam.structs import ImageFeatures, MemoryContext

PRESENT = 10.0


def lively_model(name: str, size: int, presence: float = PRESENT) -> EdgeTAM:
    """A variant with random weights, the same ones every time, whose objects are present."""
    return lively(get_config(name, size), presence)


def lively(config: ModelConfig, presence: float = PRESENT) -> EdgeTAM:
    """The same for any configuration."""
    with torch.random.fork_rng():
        torch.manual_seed(2501)
        model = build_model(config)
        enliven(model)
    nn.init.constant_(model.mask_decoder.presence_head.layers[-1].bias, presence)
    return model


OWN = ModelConfig(
    "mine",
    RepViTConfig((16, 32, 48, 64), (1, 1, 2, 1)),
    attention_layers=1,
    perceiver=PerceiverConfig(32, 8),
    aligned_places=True,
    unplaced_embed=True,
    image_size=256,
)
"""A small network that nobody has published."""


shared_model = cache(lively_model)
"""The same model every time; tests must leave it as it is."""


@torch.no_grad()
def enliven(model: nn.Module) -> None:
    """Give every norm, scale and zero-initialised parameter values that matter."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.6, 1.6)
            module.weight.uniform_(0.6, 1.2)
            module.bias.normal_(0, 0.1)
        elif isinstance(module, nn.LayerNorm) or type(module).__name__ == "LayerNorm2d":
            module.weight.uniform_(0.7, 1.3)
            module.bias.normal_(0, 0.1)
    for name, parameter in model.named_parameters():
        if name.endswith("gamma"):
            parameter.uniform_(0.3, 0.7)
        elif name.endswith("age_embed"):
            parameter.normal_(0, 0.7)
        elif name.endswith(("q_proj.weight", "k_proj.weight")):
            parameter.mul_(4)
        elif not parameter.any():
            parameter.normal_(0, 0.1)


def features_of(model: EdgeTAM, batch: int = 1, seed: int = 0) -> ImageFeatures[Tensor]:
    """Random features as `encode` would give them."""
    generator = torch.Generator().manual_seed(seed)
    g = model.config.grid
    shapes = ((32, 4 * g), (64, 2 * g), (256, g))
    return ImageFeatures(*(torch.randn(batch, c, side, side, generator=generator) for c, side in shapes))


def rows(features: ImageFeatures[Tensor], index: int) -> ImageFeatures[Tensor]:
    """One row of a batch of features, as a batch of one."""
    at = slice(index, index + 1)
    return ImageFeatures(features.stride4[at], features.stride8[at], features.stride16[at])


def context_of(
    model: EdgeTAM, batch: int, frames: int, pointers: int, seed: int = 0
) -> MemoryContext[Tensor]:
    """Random memories: the first frame is a prompted one, ages then run from old to new."""
    generator = torch.Generator().manual_seed(seed)
    tokens = model.config.memory_layout.tokens
    return MemoryContext(
        torch.randn(batch, frames, tokens, 64, generator=generator),
        torch.tensor([[0, *range(frames - 1, 0, -1)]] * batch),
        torch.randn(batch, pointers, 256, generator=generator),
        torch.arange(pointers).expand(batch, -1) / 15,
    )
