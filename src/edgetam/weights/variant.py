"""Which model a state dict belongs to, told from its names and shapes; and configs as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from edgetam.config import (
    VARIANTS,
    EncoderConfig,
    HieraConfig,
    ModelConfig,
    RepViTConfig,
    config_from_fields,
    config_to_fields,
)
from edgetam.errors import ConfigError, NewerError, WeightsError
from edgetam.model import build_model
from edgetam.weights.table import HF, NATIVE, OFFICIAL, TABLE

__all__ = [
    "MEMORY_PREFIXES",
    "config_from_json",
    "config_to_json",
    "detect_layout",
    "detect_variant",
    "is_memory",
    "skeleton",
    "without_values",
]

Shapes = Mapping[str, tuple[int, ...]]

MEMORY_PREFIXES = ("memory_attention.", "memory_encoder.", "object_pointer.", "perceiver.")
IMAGE_MEMORY = "memory_attention.no_memory_embed"
"""The one tensor of the memory attention that single images need."""
UNPLACED_EMBED = "memory_attention.unplaced_embed"
"""The one tensor that no published model has."""

_MARKS = (
    (NATIVE, "prompt_encoder.label_embed"),
    (OFFICIAL, "sam_mask_decoder.iou_token.weight"),
    (HF, "vision_encoder.backbone.timm_model.stem.conv1.c.weight"),
)
_STRANGERS = (
    ("mask_decoder.iou_token.weight", "image_encoder.patch_embed.proj.weight", "the first Segment Anything"),
    (
        "mask_decoder.iou_token.weight",
        "vision_encoder.",
        "another Hugging Face SAM; pass its .pt",
    ),
    ("detector.", "", "SAM 3"),
    ("optimizer", "", "a training state"),
)


def is_memory(name: str) -> bool:
    """Whether the native ``name`` is of a part that only video needs."""
    return name.startswith(MEMORY_PREFIXES) and name != IMAGE_MEMORY


def detect_layout(names: Iterable[str]) -> str:
    """Tell the layout from tensor names: "native", "official" or "hf".

    Raises:
        WeightsError: of none of them; names the model it looks like.
    """
    known = set(names)
    for layout, mark in _MARKS:
        if mark in known:
            return layout
    for layout in (OFFICIAL, HF):  # a damaged file may lack the mark
        if 2 * sum(TABLE.find(name, layout) is not None for name in known) > len(known):
            return layout
    examples = ", ".join(sorted(known)[:3])
    raise WeightsError(
        f"The file holds {len(known)} tensors ({examples}, ...), which look like {_guess(known)}; "
        "expected EdgeTAM or SAM 2 weights, official, from Hugging Face or our own."
    )


def _guess(names: set[str]) -> str:
    for mark, other, what in _STRANGERS:
        if any(x.startswith(mark) for x in names) and any(x.startswith(other) for x in names):
            return what
    return "another model"


def detect_variant(shapes: Shapes) -> ModelConfig:
    """Find the published model with tensors like these (native names to shapes).

    Encoders of other kinds are not looked for: files with them hold their configuration.

    Raises:
        WeightsError: none of the known variants fits.
    """
    kind, sizes, memory = _fingerprint(shapes)

    def likeness(config: ModelConfig) -> int:
        return sum(a == b for a, b in zip(memory, _memory_parts(config), strict=False))

    fitting = [config for config in VARIANTS.values() if _sizes_of(config.encoder) == (kind, sizes)]
    if fitting:
        return max(fitting, key=likeness)
    raise WeightsError(
        f"The image encoder in the file is a {kind} of sizes {sizes}, expected one of "
        f"{', '.join(VARIANTS)}; pass a native file, which holds its configuration."
    )


Fingerprint = tuple[str, tuple[int, ...], tuple[bool, ...]]


def _count(shapes: Shapes, pattern: str) -> int:
    return len({found.group(1) for name in shapes if (found := re.match(pattern, name))})


def _fingerprint(shapes: Shapes) -> Fingerprint:
    """Kind and sizes of the encoder, and which memory parts there are (none for image-only files)."""
    trunk = "image_encoder.trunk."
    stem = shapes.get(trunk + "patch_embed.proj.weight")
    if stem is not None:
        grid = shapes.get(trunk + "pos_embed", (0,))[-1]
        kind = "Hiera"
        sizes: tuple[int, ...] = (stem[0], _count(shapes, r"image_encoder\.trunk\.blocks\.(\d+)\."), grid)
    else:
        stages = [
            (
                shapes.get(f"{trunk}stages.{i}.blocks.0.channel_mixer.conv2.conv.weight", (0,))[0],
                _count(shapes, rf"image_encoder\.trunk\.stages\.{i}\.blocks\.(\d+)\."),
            )
            for i in range(4)
        ]
        kind = "RepViT"
        sizes = tuple(size for stage in stages for size in stage)
    memory: tuple[bool, ...] = ()
    if any(is_memory(name) for name in shapes):
        memory = (
            any(name.startswith("perceiver.") for name in shapes),
            "memory_encoder.absent_embed" in shapes,
            any(name.startswith("memory_attention.pointer_time.") for name in shapes),
        )
    return kind, sizes, memory


def _memory_parts(config: ModelConfig) -> tuple[bool, ...]:
    return config.perceiver is not None, config.absent_memory_embed, config.pointer_time


def _sizes_of(encoder: EncoderConfig) -> tuple[str, tuple[int, ...]] | None:
    """Kind and sizes as `_fingerprint` finds them; none for an encoder that nobody published."""
    if isinstance(encoder, HieraConfig):
        return "Hiera", (encoder.embed_dim, sum(encoder.depths), encoder.position_grid)
    if isinstance(encoder, RepViTConfig):
        return "RepViT", tuple(x for pair in zip(encoder.widths, encoder.depths, strict=True) for x in pair)
    return None


@lru_cache(maxsize=4)
def skeleton(config: ModelConfig) -> dict[str, torch.Tensor]:
    """Names, shapes and types of a model's tensors, as tensors without content; do not change it."""
    with without_values():
        return dict(build_model(config).state_dict())


class without_values(TorchFunctionMode):  # noqa: N801  (read as a verb: with without_values(): ...)
    """Modules built inside have parameters without memory or values.

    ``torch.device("meta")`` does this too, for tables of positions as well; for these PyTorch
    then imports its compiler, which takes seconds.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return kwargs["tensor"] if kwargs else args[0]
        if func is torch.empty:
            kwargs = {**(kwargs or {}), "device": "meta"}
        return func(*args, **(kwargs or {}))


def config_to_json(config: ModelConfig) -> str:
    """Write a configuration down, for the header of a native file."""
    return json.dumps(config_to_fields(config), sort_keys=True)


def config_from_json(text: str) -> ModelConfig:
    """Read a configuration back.

    Raises:
        WeightsError: it is not one that `config_to_json` writes.
    """
    try:
        return config_from_fields(json.loads(text))
    except NewerError as error:
        raise WeightsError(str(error)) from error
    except (ValueError, TypeError, RecursionError, ConfigError) as error:
        raise WeightsError(
            f"The configuration in the file's header cannot be read ({error}); convert the weights again."
        ) from error
