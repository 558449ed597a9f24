"""What a training run is: everything a recipe file says, as frozen dataclasses.

`edgetam.train.recipe_file` reads them from YAML. Every field has the value that training from scratch on a
small machine wants, so that recipes stay short.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from edgetam.config import ModelConfig, PerceiverConfig, RepViTConfig, get_config
from edgetam.errors import ConfigError
from edgetam.train.schedule import Schedule

__all__ = [
    "DataRecipe",
    "Distillation",
    "Evaluation",
    "Images",
    "Intervals",
    "Losses",
    "ModelRecipe",
    "Optimizer",
    "Prompts",
    "Recipe",
    "Stage",
]

Range = tuple[int, int]
"""Fewest and most, both included; one number in a recipe stands for both."""


def _check_range(name: str, given: Range, least: int) -> None:
    if not least <= given[0] <= given[1]:
        raise ConfigError(f"{name} is {list(given)}, expected {least} <= fewest <= most.")


def _check_least(least: float, **given: float) -> None:
    for name, value in given.items():
        if value < least:
            raise ConfigError(f"{name} is {value}, expected at least {least}.")


def _check_shares(weights: Mapping[str, float], what: str) -> None:
    if any(weight < 0 for weight in weights.values()) or not any(weights.values()):
        raise ConfigError(f"{what} weigh {dict(weights)}, expected numbers of at least 0, one above 0.")


@dataclass(frozen=True)
class ModelRecipe:
    """The network.

    Attributes:
        variant: one of `edgetam.config.VARIANTS`.
        image_size: input size written into the weights.
        init: ``fresh`` for random weights, or what ``--weights`` understands, or a ``last.pt`` of a run.
        encoder: other widths and depths of a RepViT trunk, for a teacher of one's own or a tiny model.
        perceiver: other numbers of latents.
        attention_layers: another depth of memory attention.
    """

    variant: str = "edgetam"
    image_size: int = 512
    init: str = "fresh"
    encoder: RepViTConfig | None = None
    perceiver: PerceiverConfig | None = None
    attention_layers: int | None = None

    def __post_init__(self) -> None:
        config = get_config(self.variant, self.image_size)
        if self.encoder is not None and not isinstance(config.encoder, RepViTConfig):
            raise ConfigError(
                f"encoder is given and {self.variant} has another kind of trunk; leave it out or use edgetam."
            )
        if self.perceiver is not None and config.perceiver is None:
            raise ConfigError(
                f"perceiver is given and {self.variant} has none; leave it out, or use edgetam."
            )
        if self.attention_layers is not None:
            _check_least(1, attention_layers=self.attention_layers)

    @property
    def config(self) -> ModelConfig:
        """The configuration of the network."""
        config = get_config(self.variant, self.image_size)
        return replace(
            config,
            encoder=self.encoder or config.encoder,
            perceiver=self.perceiver or config.perceiver,
            attention_layers=self.attention_layers or config.attention_layers,
        )


@dataclass(frozen=True)
class DataRecipe:
    """Where clips come from.

    Attributes:
        sources: by name, what `edgetam.train.data` opens.
        workers: processes that make batches ahead of the training.
        prefetch: batches each of them keeps ready.
    """

    sources: dict[str, Any] = field(default_factory=lambda: {"synthetic": {"kind": "synthetic"}})
    workers: int = 1
    prefetch: int = 4

    def __post_init__(self) -> None:
        _check_least(0, workers=self.workers)
        _check_least(1, prefetch=self.prefetch)
        if not self.sources:
            raise ConfigError("sources is empty, expected at least one source of clips.")


@dataclass(frozen=True)
class Prompts:
    """How simulated users prompt (SAM 2, appendix D).

    Attributes:
        mask: weight of prompting with the true mask. A mask on a clip of one frame leaves nothing to
            answer, so there a damaged mask is given and has to be mended.
        point: weight of prompting with a click.
        box: weight of prompting with a box.
        frames: how many frames are prompted; the first one always is.
        corrected: most frames that get correction clicks; all prompted frames do, then others at random.
        corrections: clicks on each corrected frame, each with the earlier answer fed back. After mask
            prompts there are none.
        centre: how often a click falls where the evaluation would put it, deepest inside, and not anywhere.
    """

    mask: float = 0.5
    point: float = 0.25
    box: float = 0.25
    frames: Range = (1, 1)
    corrected: int = 1
    corrections: Range = (0, 0)
    centre: float = 0.0

    def __post_init__(self) -> None:
        _check_shares({"mask": self.mask, "point": self.point, "box": self.box}, "prompts")
        _check_range("frames", self.frames, 1)
        _check_range("corrections", self.corrections, 0)
        _check_least(0, corrected=self.corrected)
        if not 0.0 <= self.centre <= 1.0:
            raise ConfigError(f"centre is {self.centre}, expected a share from 0 to 1.")


@dataclass(frozen=True)
class Images:
    """Steps on single images between those on clips, as SAM 2 trains on both in turn.

    Attributes:
        sources: weights of the sources that give images.
        share: how often a step is one on images.
        objects: most per image.
    """

    sources: dict[str, float]
    share: float = 0.2
    objects: int = 32

    def __post_init__(self) -> None:
        _check_shares(self.sources, "sources")
        _check_least(1, objects=self.objects)
        if not 0.0 <= self.share <= 1.0:
            raise ConfigError(f"share is {self.share}, expected a share from 0 to 1.")


@dataclass(frozen=True)
class Losses:
    """What is minimised (SAM 2, appendix D).

    Attributes:
        focal, dice, score, presence: weights of the terms.
        tracking: which mask candidates learn where one answer is right: ``all``, so that the choice between
            them stays harmless, or the ``best`` of three as SAM 2.
        over_steps: ``mean`` or ``sum`` over the answers of a clip; SAM 2 sums, and clips the gradients hard.
        resolution: ``stride4`` compares with the share of each cell an object covers; ``full`` brings
            logits to the size of the image first, as SAM 2, at sixteen times the cost.
    """

    focal: float = 20.0
    dice: float = 1.0
    score: float = 1.0
    presence: float = 1.0
    tracking: Literal["all", "best"] = "all"
    over_steps: Literal["mean", "sum"] = "mean"
    resolution: Literal["stride4", "full"] = "stride4"

    def __post_init__(self) -> None:
        _check_least(0, focal=self.focal, dice=self.dice, score=self.score, presence=self.presence)


@dataclass(frozen=True)
class Stage:
    """A part of the run with its own data, prompts and rates.

    Attributes:
        name: for logs.
        steps: budget in optimiser steps ...
        minutes: ... or in minutes of training; exactly one of the two.
        sources: weights of the data sources; all of them equally when left out.
        images: steps on single images in between.
        image_size: input size of this stage.
        frames: frames per clip.
        clips: clips per process and forward pass.
        objects: most objects per clip.
        accumulate: forward passes per step.
        prompts: how objects are prompted.
        norms: ``batch`` statistics in batch norms, or ``frozen`` running ones, for few correlated frames.
        encoder: ``trained`` or ``frozen``.
        presence: ``off``: no loss, and the truth decides what is remembered as absent; ``taught``: the same
            with the loss; ``trusted``: the network's own presence decides, as in tracking.
        encoder_rate: peak learning rate of the image encoder.
        rate: peak learning rate of everything else.
        schedule: of both rates.
        distill: follow the teacher, where the recipe has one.
        checkpointing: recompute activations on the way back: about a third slower, much less memory.
    """

    name: str
    steps: int | None = None
    minutes: float | None = None
    sources: dict[str, float] = field(default_factory=dict)
    images: Images | None = None
    image_size: int = 256
    frames: Range = (1, 1)
    clips: int = 4
    objects: int = 4
    accumulate: int = 1
    prompts: Prompts = Prompts()
    norms: Literal["batch", "frozen"] = "batch"
    encoder: Literal["trained", "frozen"] = "trained"
    presence: Literal["off", "taught", "trusted"] = "taught"
    encoder_rate: float = 7e-4
    rate: float = 5e-4
    schedule: Schedule = field(default_factory=Schedule)
    distill: bool = True
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ConfigError(
                f"steps is {self.steps} and minutes is {self.minutes}, expected exactly one of the two."
            )
        if (self.steps or self.minutes or 0) <= 0:
            raise ConfigError(f"the budget is {self.steps or self.minutes}, expected more than 0.")
        _check_range("frames", self.frames, 1)
        _check_least(1, clips=self.clips, objects=self.objects, accumulate=self.accumulate)
        _check_least(0, encoder_rate=self.encoder_rate, rate=self.rate)
        if self.image_size <= 0 or self.image_size % 256:
            raise ConfigError(f"image_size is {self.image_size}, expected a positive multiple of 256.")
        if self.sources:
            _check_shares(self.sources, "sources")


@dataclass(frozen=True)
class Optimizer:
    """AdamW and what goes with it.

    Attributes:
        betas: of the running means.
        weight_decay: of matrices and filters; biases, norms and embeddings do not decay.
        clip: largest norm of the gradients.
        average: share the moving average of the weights keeps per step; 0 for none. The average is what
            is evaluated and written as ``weights.safetensors``.
    """

    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.05
    clip: float = 1.0
    average: float = 0.998

    def __post_init__(self) -> None:
        _check_least(0, weight_decay=self.weight_decay)
        if self.clip <= 0:
            raise ConfigError(f"clip is {self.clip}, expected more than 0.")
        for name, value in (
            ("betas", min(self.betas)),
            ("betas", max(self.betas)),
            ("average", self.average),
        ):
            if not 0.0 <= value < 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 <= value < 1.")


@dataclass(frozen=True)
class Intervals:
    """How often things are written.

    Attributes:
        log_steps: steps between lines of ``log.jsonl``.
        save_minutes: minutes between checkpoints.
        evaluate_minutes: minutes between evaluations.
    """

    log_steps: int = 10
    save_minutes: float = 3.0
    evaluate_minutes: float = 15.0

    def __post_init__(self) -> None:
        _check_least(1, log_steps=self.log_steps)
        _check_least(0, save_minutes=self.save_minutes, evaluate_minutes=self.evaluate_minutes)


@dataclass(frozen=True)
class Evaluation:
    """Clips that are only looked at.

    Attributes:
        sources: by name, as in ``data``. Synthetic ones draw other clips than training does; others must
            hold other data.
        clips: per source.
        frames: per clip.
        objects: most per clip.
    """

    sources: dict[str, Any] = field(default_factory=dict)
    clips: int = 8
    frames: int = 6
    objects: int = 2

    def __post_init__(self) -> None:
        _check_least(1, clips=self.clips, frames=self.frames, objects=self.objects)


@dataclass(frozen=True)
class Distillation:
    """A frozen teacher and how closely to follow it (EdgeTAM, section 3.3).

    Attributes:
        teacher: weights, as ``--weights`` understands them.
        variant: of the teacher.
        image: weight of the distance between image features.
        memory: weight of the distance between features after memory attention; prompted frames have none.
        mask: weight of agreeing with the teacher's masks (EdgeSAM's terms); not in the paper.
        pointer: weight of pointing the object pointers the same way; not in the paper.
        normalised: compare features whose every token has mean 0 and variance 1; not in the paper.
        teacher_memory: what the teacher remembers: its ``own`` answers, or the truth (``gt``).
        image_size: at which the teacher looks; that of the student's stage when left out.
        cache: folder where the teacher's image features are kept, found again by the content of the frame.
        fade: share of each stage, at its end, over which all weights fall to zero.
    """

    teacher: str
    variant: str = "edgetam"
    image: float = 1.0
    memory: float = 1.0
    mask: float = 0.0
    pointer: float = 0.0
    normalised: bool = False
    teacher_memory: Literal["own", "gt"] = "own"
    image_size: int | None = None
    cache: str | None = None
    fade: float = 0.0

    def __post_init__(self) -> None:
        _check_least(0, image=self.image, memory=self.memory, mask=self.mask, pointer=self.pointer)
        get_config(self.variant, self.image_size)
        if not 0.0 <= self.fade <= 1.0:
            raise ConfigError(f"fade is {self.fade}, expected a share from 0 to 1.")


@dataclass(frozen=True)
class Recipe:
    """A whole run.

    Attributes:
        stages: one after the other.
        seed: decides the fresh weights, the clips and their order, and all prompts.
        precision: ``bf16`` for matrix products and convolutions, or ``fp32``.
        device: ``auto`` or any torch device.
        threads: CPU threads per process; PyTorch's choice when left out.
        notes: kept in the header of the weights, such as ``licence`` and ``provenance``.
    """

    stages: tuple[Stage, ...]
    model: ModelRecipe = ModelRecipe()
    data: DataRecipe = field(default_factory=DataRecipe)
    optimizer: Optimizer = Optimizer()
    losses: Losses = Losses()
    distill: Distillation | None = None
    evaluation: Evaluation = field(default_factory=Evaluation)
    every: Intervals = Intervals()
    precision: Literal["bf16", "fp32"] = "bf16"
    device: str = "auto"
    threads: int | None = None
    seed: int = 0
    notes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.stages:
            raise ConfigError("stages is empty, expected at least one.")
        if self.threads is not None:
            _check_least(1, threads=self.threads)
        for i, stage in enumerate(self.stages):
            for name in stage.sources:
                self._check_source(f"stages.{i}.sources", name)
            for name in stage.images.sources if stage.images else ():
                self._check_source(f"stages.{i}.images.sources", name)

    def _check_source(self, place: str, name: str) -> None:
        if name not in self.data.sources:
            close = difflib.get_close_matches(name, self.data.sources, n=1, cutoff=0.5)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ConfigError(
                f"{place} names {name!r}, expected one of {', '.join(self.data.sources)}{hint}."
            )
