"""What a training run is: everything a recipe file says, as frozen dataclasses.

`edgetam.train.recipe_file` reads them from YAML. Every field has the value that training from scratch on a
small machine wants, so that recipes stay short.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from edgetam.config import ModelConfig, PerceiverConfig, RepViTConfig, get_config
from edgetam.errors import ConfigError
from edgetam.train.stage import Prompts, Stage, Turn, check_least

__all__ = [
    "DataRecipe",
    "Distillation",
    "Evaluation",
    "Guides",
    "Intervals",
    "Losses",
    "ModelRecipe",
    "Optimizer",
    "Prompts",
    "Recipe",
    "Stage",
    "Turn",
]


@dataclass(frozen=True)
class ModelRecipe:
    """The network.

    Attributes:
        variant: one of `edgetam.config.VARIANTS`.
        image_size: input size written into the weights; the largest that is trained when left out.
        init: ``fresh`` for random weights, or what ``--weights`` understands, or a ``last.pt`` of a run.
        encoder: other widths and depths of a RepViT trunk, for a teacher of one's own or a tiny model.
        perceiver: other numbers of latents.
        attention_layers: another depth of memory attention.
        aligned_places: see `edgetam.config.ModelConfig`; for networks that learn several input sizes.
        skips_absent: see there too; training reads what trackers will read.
        unplaced_embed: see there too. Given weights that have none get one that changes little at first.
    """

    variant: str = "edgetam"
    image_size: int | None = None
    init: str = "fresh"
    encoder: RepViTConfig | None = None
    perceiver: PerceiverConfig | None = None
    attention_layers: int | None = None
    aligned_places: bool = False
    skips_absent: bool = False
    unplaced_embed: bool = False

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
            check_least(1, attention_layers=self.attention_layers)

    @property
    def config(self) -> ModelConfig:
        """The configuration of the network."""
        config = get_config(self.variant, self.image_size)
        return replace(
            config,
            encoder=self.encoder or config.encoder,
            perceiver=self.perceiver or config.perceiver,
            attention_layers=self.attention_layers or config.attention_layers,
            aligned_places=self.aligned_places,
            skips_absent=self.skips_absent,
            unplaced_embed=self.unplaced_embed,
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
        check_least(0, workers=self.workers)
        check_least(1, prefetch=self.prefetch)
        if not self.sources:
            raise ConfigError("sources is empty, expected at least one source of clips.")


@dataclass(frozen=True)
class Losses:
    """What is minimised (SAM 2, appendix D).

    Attributes:
        focal, dice, score, presence: weights of the terms.
        balanced: weight of a cross-entropy in which object and background count alike, however small the
            object is. Not in the papers; without it, a network that knows nothing yet learns to answer clicks
            with empty masks first and takes long to leave that.
        tracking: which mask candidates learn where one answer is right: ``all``, so that the choice between
            them stays harmless, or the ``best`` of three as SAM 2.
        ambiguous: where several answers could be right, the share of the loss that is the mean of the three;
            the rest is the best. Not in the papers; where most clicks mean one thing, all should learn it.
        over_steps: ``mean`` or ``sum`` over the answers of a clip; SAM 2 sums, and clips the gradients hard.
        resolution: ``stride4`` compares with the share of each cell an object covers; ``full`` brings
            logits to the size of the image first, as SAM 2, at sixteen times the cost.
    """

    focal: float = 20.0
    dice: float = 1.0
    score: float = 1.0
    presence: float = 1.0
    balanced: float = 0.0
    tracking: Literal["all", "best"] = "all"
    ambiguous: float = 0.0
    over_steps: Literal["mean", "sum"] = "mean"
    resolution: Literal["stride4", "full"] = "stride4"

    def __post_init__(self) -> None:
        weights = (self.focal, self.dice, self.score, self.presence, self.balanced)
        check_least(0, **dict(zip(("focal", "dice", "score", "presence", "balanced"), weights, strict=True)))
        if not 0 <= self.ambiguous <= 1:
            raise ConfigError(f"ambiguous is {self.ambiguous}, expected a share from 0 to 1.")


@dataclass(frozen=True)
class Guides:
    """Weights of helpers that only training knows (`edgetam.train.guides`); not in the papers.

    Attributes:
        features: pixels of an object look alike, across frames too, and unlike its surroundings.
        memory: a memory shows where its mask was, and the map it conditions where the mask is now.
    """

    features: float = 0.0
    memory: float = 0.0

    def __post_init__(self) -> None:
        check_least(0, features=self.features, memory=self.memory)


@dataclass(frozen=True)
class Optimizer:
    """What moves the weights.

    Attributes:
        kind: ``adamw``, or ``muon``: the same for all but matrices and filters, which move in orthogonal
            steps (`edgetam.train.muon`). Rates and decay mean the same to both.
        betas: of the running means.
        momentum: of matrices, with Muon.
        weight_decay: of matrices and filters; biases, norms and embeddings do not decay.
        clip: largest norm of the gradients.
        average: share the moving average of the weights keeps per step; 0 for none. The average is what
            is evaluated and written as ``weights.safetensors``.
    """

    kind: Literal["adamw", "muon"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.99)
    momentum: float = 0.95
    weight_decay: float = 0.05
    clip: float = 1.0
    average: float = 0.998

    def __post_init__(self) -> None:
        check_least(0, weight_decay=self.weight_decay)
        if self.clip <= 0:
            raise ConfigError(f"clip is {self.clip}, expected more than 0.")
        for name, value in (
            ("betas", min(self.betas)),
            ("betas", max(self.betas)),
            ("momentum", self.momentum),
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
        check_least(1, log_steps=self.log_steps)
        check_least(0, save_minutes=self.save_minutes, evaluate_minutes=self.evaluate_minutes)


@dataclass(frozen=True)
class Evaluation:
    """Clips that are only looked at.

    Attributes:
        sources: by name, as in ``data``. Synthetic ones draw other clips than training does; others must
            hold other data.
        clips: per source.
        frames: per clip; with 1, clicks on images are scored and nothing is tracked.
        objects: most per clip.
    """

    sources: dict[str, Any] = field(default_factory=dict)
    clips: int = 8
    frames: int = 6
    objects: int = 2

    def __post_init__(self) -> None:
        check_least(1, clips=self.clips, frames=self.frames, objects=self.objects)


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
        check_least(0, image=self.image, memory=self.memory, mask=self.mask, pointer=self.pointer)
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
    guides: Guides = Guides()
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
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed is {self.seed}, expected a number from 0 that fits 63 bits.")
        if self.threads is not None:
            check_least(1, threads=self.threads)
        for i, stage in enumerate(self.stages):
            for name in stage.every_source:
                self._check_source(f"stages.{i}", name)
        sizes = sorted({kind.image_size for stage in self.stages for kind in stage.kinds})
        if self.model.image_size is None:
            object.__setattr__(self, "model", replace(self.model, image_size=sizes[-1]))
        elif self.model.image_size not in sizes:
            raise ConfigError(
                f"model.image_size is {self.model.image_size} and stages train at "
                f"{', '.join(map(str, sizes))}; leave it out, or train at that size."
            )

    def _check_source(self, place: str, name: str) -> None:
        if name not in self.data.sources:
            close = difflib.get_close_matches(name, self.data.sources, n=1, cutoff=0.5)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ConfigError(
                f"{place} draws from {name!r}, expected one of {', '.join(self.data.sources)}{hint}."
            )
