"""What distinguishes one published model from another, and nothing else.

A field exists only when two shipped variants disagree about it; every other number
is a named constant beside its use. Source: EdgeTAM (arXiv 2501.07256), SAM 2
(arXiv 2408.00714) and their published configurations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from numbers import Integral
from typing import Any, ClassVar, Protocol

from edgetam.errors import ConfigError, NewerError

__all__ = [
    "VARIANTS",
    "EncoderConfig",
    "HieraConfig",
    "MemoryLayout",
    "ModelConfig",
    "PerceiverConfig",
    "RepViTConfig",
    "check_whole",
    "config_from_fields",
    "config_to_fields",
    "differences",
    "get_config",
]

HIDDEN_DIM = 256
MEMORY_DIM = 64
STRIDE = 16
"""Stride of the coarse feature map: a 1024 image gives a 64 x 64 map."""
MASK_STRIDE = 4
"""Stride of the mask logits: a 1024 image gives 256 x 256 logits."""
MEMORY_FRAMES = 7
"""Ages a spatial memory can have: 1..6 frames back, and "prompted"."""
_LARGEST = 1 << 14
_MOST_LAYERS = 1 << 8


class EncoderConfig(Protocol):
    """A frozen dataclass of whole numbers that says what an image encoder's trunk is.

    Attributes:
        kind: its name in files; one for each class.
        trunk: ``module:class`` of the network, which is made from the configuration. It takes images
            ``[B, 3, S, S]`` and gives four maps, ``widths`` channels at strides 4, 8, 16 and 32.
    """

    kind: ClassVar[str]
    trunk: ClassVar[str]

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Channels of the four maps."""


@dataclass(frozen=True)
class RepViTConfig:
    """RepViT trunk (arXiv 2307.09283): four stages at strides 4, 8, 16, 32."""

    kind: ClassVar[str] = "repvit"
    trunk: ClassVar[str] = "edgetam.model.repvit:RepViT"
    widths: tuple[int, int, int, int] = (48, 96, 192, 384)
    depths: tuple[int, int, int, int] = (2, 2, 14, 2)


@dataclass(frozen=True)
class HieraConfig:
    """Hiera trunk (arXiv 2306.00989) as used by SAM 2."""

    kind: ClassVar[str] = "hiera"
    trunk: ClassVar[str] = "edgetam.model.hiera:Hiera"
    embed_dim: int
    heads: int
    depths: tuple[int, int, int, int]
    windows: tuple[int, int, int, int]
    global_blocks: tuple[int, ...]
    position_grid: int

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Channels after each stage: doubled at every stride."""
        return (self.embed_dim, self.embed_dim * 2, self.embed_dim * 4, self.embed_dim * 8)


@dataclass(frozen=True)
class PerceiverConfig:
    """2D Spatial Perceiver (EdgeTAM, section 3.2): latents that compress one frame's memory.

    Either kind may be left out with 0, as in the paper's table 3b; not both.
    """

    global_latents: int = 256
    window_grid: int = 16

    def __post_init__(self) -> None:
        if min(self.global_latents, self.window_grid) < 0 or not (self.global_latents or self.window_grid):
            raise ConfigError(
                f"global_latents is {self.global_latents} and window_grid {self.window_grid}; expected "
                "numbers of at least 0, one of them more."
            )
        if self.window_grid and 16 % self.window_grid:
            raise ConfigError(f"window_grid is {self.window_grid}; expected a divisor of 16, or 0 for none.")


@dataclass(frozen=True)
class MemoryLayout:
    """Which tokens of one frame's memory carry a place in the image.

    The first ``latents`` tokens have none; the other ``grid * grid`` lie row-major on a
    square grid and get rotary positions.
    """

    latents: int
    grid: int

    @property
    def tokens(self) -> int:
        """Tokens one frame's memory has."""
        return self.latents + self.grid * self.grid


@dataclass(frozen=True)
class ModelConfig:
    """One variant of the model."""

    name: str
    encoder: EncoderConfig
    attention_layers: int
    perceiver: PerceiverConfig | None
    absent_memory_embed: bool = False
    """SAM 2.1: memories of frames without the object are marked by a learned vector."""
    pointer_time: bool = False
    """SAM 2.1: object pointers carry their distance in time."""
    aligned_places: bool = False
    """Ours: memory attention counts the cells of the image in those of the memory, so that the same place has
    the same rotary position at every input size. As published, both count their own cells from 0."""
    skips_absent: bool = False
    """Ours: trackers do not read memories of tracked frames without the object, which otherwise say for long
    that it is still gone. As published, they do."""
    unplaced_embed: bool = False
    """Ours: keys without a place (global latents, object pointers) carry a learned vector. As published, they
    carry none, and to rotated queries they look as if they lay in the first cell of the image."""
    image_size: int = 1024

    def __post_init__(self) -> None:
        if not isinstance(self.image_size, int) or self.image_size <= 0 or self.image_size % 256:
            raise ConfigError(
                f"image_size is {self.image_size!r}; expected a positive multiple of 256, such as 512 or "
                "1024."
            )

    @property
    def grid(self) -> int:
        """Side of the stride-16 feature map."""
        return self.image_size // STRIDE

    @property
    def mask_size(self) -> int:
        """Side of the mask logits."""
        return self.image_size // MASK_STRIDE

    @property
    def memory_layout(self) -> MemoryLayout:
        """Tokens of one frame's memory."""
        if self.perceiver is None:
            return MemoryLayout(latents=0, grid=self.grid)
        return MemoryLayout(latents=self.perceiver.global_latents, grid=self.perceiver.window_grid)


def _sam2(size: str, encoder: HieraConfig) -> dict[str, ModelConfig]:
    v20 = ModelConfig(f"sam2-{size}", encoder, attention_layers=4, perceiver=None)
    v21 = replace(v20, name=f"sam2.1-{size}", absent_memory_embed=True, pointer_time=True)
    return {v20.name: v20, v21.name: v21}


VARIANTS: dict[str, ModelConfig] = {
    "edgetam": ModelConfig("edgetam", RepViTConfig(), attention_layers=2, perceiver=PerceiverConfig()),
    **_sam2("t", HieraConfig(96, 1, (1, 2, 7, 2), (8, 4, 14, 7), (5, 7, 9), 7)),
    **_sam2("s", HieraConfig(96, 1, (1, 2, 11, 2), (8, 4, 14, 7), (7, 10, 13), 7)),
    **_sam2("b+", HieraConfig(112, 2, (2, 3, 16, 3), (8, 4, 14, 7), (12, 16, 20), 14)),
    **_sam2("l", HieraConfig(144, 2, (2, 6, 36, 4), (8, 4, 16, 8), (23, 33, 43), 7)),
}


def get_config(name: str, image_size: int | None = None) -> ModelConfig:
    """Return the variant called ``name``, at ``image_size`` pixels when given.

    Raises:
        ConfigError: unknown name, or a size that is not a multiple of 256.
    """
    if not isinstance(name, str) or name not in VARIANTS:
        raise ConfigError(
            f"Unknown model {name!r}; expected one of {', '.join(VARIANTS)}, and a checkpoint as weights=..."
        )
    config = VARIANTS[name]
    return config if image_size is None else replace(config, image_size=_as_int(image_size))


def _as_int(value: Any) -> Any:
    """NumPy's whole numbers as ints, which they are not."""
    return int(value) if isinstance(value, Integral) else value


def differences(a: ModelConfig, b: ModelConfig) -> list[str]:
    """Fields in which two configurations differ, so that weights of one do not fit the other.

    Name and image size do not matter to weights.
    """
    names = ModelConfig.__dataclass_fields__.keys() - {"name", "image_size"}
    return sorted(name for name in names if getattr(a, name) != getattr(b, name))


def config_to_fields(config: ModelConfig) -> dict[str, Any]:
    """A configuration as what JSON can hold."""
    fields = asdict(config)
    fields["encoder"]["kind"] = config.encoder.kind
    return fields


def config_from_fields(fields: Mapping[str, Any]) -> ModelConfig:
    """Read a configuration back.

    Raises:
        NewerError: it says something that this version does not know.
        ConfigError: it is not one that `config_to_fields` gives, or has numbers that no model has.
    """
    try:
        fields = dict(fields)
        if unknown := sorted(fields.keys() - ModelConfig.__dataclass_fields__.keys()):
            raise NewerError(f"Its configuration has {unknown[0]!r}, which {NewerError.advice}")
        encoder = {key: tuple(x) if isinstance(x, list) else x for key, x in fields.pop("encoder").items()}
        kinds: dict[Any, Any] = {v.encoder.kind: type(v.encoder) for v in VARIANTS.values()}
        kind = encoder.pop("kind")
        if kind not in kinds:
            raise NewerError(f"Its image encoder is of the kind {kind!r}, which {NewerError.advice}")
        fields["encoder"] = kinds[kind](**encoder)
        if fields["perceiver"] is not None:
            fields["perceiver"] = PerceiverConfig(**fields["perceiver"])
        return _sane(ModelConfig(**fields))
    except ConfigError:  # says it already
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"{type(error).__name__}: {error}".rstrip(".")
        raise ConfigError(
            f"The configuration cannot be read ({said}); expected what config_to_fields gives."
        ) from error


def _sane(config: ModelConfig) -> ModelConfig:
    """Refuse numbers that no model has: a file must not make us build something endless."""

    def check(value: object, limit: int) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                check(inner, _MOST_LAYERS if key in ("depths", "attention_layers") else limit)
        elif isinstance(value, tuple):
            for inner in value:
                check(inner, limit)
        elif value is not None and not (isinstance(value, int) and 0 <= value <= limit):
            raise ValueError(f"{value!r} is not a number from 0 to {limit}")

    fields = asdict(config)
    if not isinstance(fields.pop("name"), str):
        raise ValueError("its name is not a text")
    check(fields, _LARGEST)
    return config


def check_whole(name: str, value: Any, least: int) -> int:
    """A setting as an int; refused where it is no whole number, or too small.

    Raises:
        ConfigError: names the setting.
    """
    number = _as_int(value)
    if not isinstance(number, int) or isinstance(value, bool) or number < least:
        raise ConfigError(f"{name} is {value!r}; expected a whole number of at least {least}.")
    return number
