"""A plain training loop for one CPU, budgeted in minutes instead of steps."""

from __future__ import annotations

import copy
import json
import logging
import random
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from edgetam.model import EdgeTAM
from edgetam.train.batches import draw_task
from edgetam.train.checkpoint import load_checkpoint, save_checkpoint
from edgetam.train.evaluate import held_out_scores
from edgetam.train.losses import Terms
from edgetam.train.pool import Pool
from edgetam.train.rollout import Plan, Task, roll_out, rollout_loss
from edgetam.train.setup import freeze_norms

__all__ = ["Settings", "Stage", "Trainer", "learning_rate"]

logger = logging.getLogger("edgetam")


@dataclass(frozen=True)
class Stage:
    """What is trained on until a share of the time has passed."""

    until: float
    frames: tuple[int, int]
    clips: int
    objects: int
    mask_share: float
    """How often the prompt is a mask; boxes and clicks share the rest."""
    norms: bool = True
    """Train batch norms on batch statistics."""


STAGES = (
    Stage(0.40, frames=(2, 2), clips=4, objects=10, mask_share=0.8),
    Stage(0.56, frames=(3, 4), clips=2, objects=6, mask_share=0.75),
    Stage(0.86, frames=(2, 3), clips=2, objects=6, mask_share=1.0),
    Stage(1.00, frames=(3, 5), clips=1, objects=5, mask_share=1.0, norms=False),
)


@dataclass(frozen=True)
class Settings:
    """Everything that decides how a run goes."""

    minutes: float
    stages: tuple[Stage, ...] = STAGES
    encoder_rate: float = 7e-4
    other_rate: float = 5e-4
    last_rate: float = 0.02
    """Share of the rates that is left at the end."""
    warmup_steps: int = 40
    cooldown: float = 0.25
    """Share of the time, at the end, over which the rates fall."""
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    ema: float = 0.998
    seed: int = 0
    low_precision: bool = True
    """Matrix products and convolutions in bfloat16; worth it on CPUs with AMX or AVX-512 BF16."""
    log_every: int = 10
    save_minutes: float = 3.0
    score_minutes: float = 15.0


def learning_rate(settings: Settings, step: int, progress: float) -> float:
    """Share of the peak rates: linear warm-up in steps, flat, then linear in time down to ``last_rate``."""
    warm = min(1.0, (step + 1) / settings.warmup_steps)
    left = min(1.0, max(0.0, 1 - progress) / settings.cooldown)
    return warm * (settings.last_rate + (1 - settings.last_rate) * left)


def _groups(model: EdgeTAM, settings: Settings) -> list[dict[str, Any]]:
    """Encoder and the rest have their own rates; only matrices and filters decay."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decays = parameter.ndim >= 2 and name.endswith("weight")
        groups.setdefault((name.startswith("image_encoder."), decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "peak": settings.encoder_rate if encoder else settings.other_rate,
            "weight_decay": settings.weight_decay if decays else 0.0,
        }
        for (encoder, decays), parameters in groups.items()
    ]


def draw_plan(stage: Stage, frames: int, dice: random.Random) -> Plan:
    """A prompt for a batch; on a single frame a given mask would leave nothing to answer."""
    if frames > 1 and dice.random() < stage.mask_share:
        return Plan("mask")
    return Plan(dice.choice(["box", "click"]), dice.choice([0, 0, 1, 2]), seed=dice.getrandbits(32))


@dataclass
class Trainer:
    """Model, optimiser and average, and how far they are."""

    model: EdgeTAM
    settings: Settings
    pool: Pool
    folder: Path
    step: int = 0
    elapsed: float = 0.0
    average: EdgeTAM = field(init=False)
    optimizer: torch.optim.AdamW = field(init=False)

    def __post_init__(self) -> None:
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(_groups(self.model, self.settings), lr=0.0, betas=(0.9, 0.99))
        self.dice = random.Random(self.settings.seed)

    @property
    def progress(self) -> float:
        """Share of the time that has passed."""
        return self.elapsed / (60 * self.settings.minutes)

    @property
    def stage(self) -> Stage:
        """The stage of now."""
        return next((s for s in self.settings.stages if self.progress < s.until), self.settings.stages[-1])

    def run(self) -> None:
        """Train until the time is over; save and score on the way and at the end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        saved = scored = self.elapsed
        while self.progress < 1:
            begin = time.monotonic()
            self.log(self.update(), time.monotonic() - begin)
            self.elapsed += time.monotonic() - begin
            if self.elapsed - saved > 60 * self.settings.save_minutes:
                saved = self.elapsed
                self.save()
                self.pool.refresh()
            if self.elapsed - scored > 60 * self.settings.score_minutes:
                begin = time.monotonic()
                self.record(held_out_scores(self.average))
                self.elapsed += time.monotonic() - begin
                scored = self.elapsed
        self.save()
        self.record(held_out_scores(self.average))

    def assist(self) -> None:
        """Train the same, shared, model from another process until the time is over.

        Both processes update the weights as they come (Hogwild, arXiv 1106.5730): none waits for the other.
        """
        while self.progress < 1:
            begin = time.monotonic()
            self.update()
            self.elapsed += time.monotonic() - begin

    def update(self) -> Terms:
        """One step on a random batch."""
        stage = self.stage
        self.model.train()
        if not stage.norms:
            freeze_norms(self.model)
        frames = self.dice.randint(*stage.frames)
        task = draw_task(self.pool, stage.clips, frames, stage.objects)
        return self.learn(task, draw_plan(stage, frames, self.dice))

    def learn(self, task: Task, plan: Plan) -> Terms:
        """Roll out, go back, step. A batch without finite gradients is skipped and logged."""
        self.optimizer.zero_grad(set_to_none=True)
        # PyTorch's fused attention is slow backwards on CPUs where queries or keys are few
        with sdpa_kernel(SDPBackend.MATH):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.low_precision):
                steps = roll_out(self.model, task, plan, trust_presence=False)
            terms = rollout_loss(steps, task)
            terms.total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        if not torch.isfinite(norm):
            logger.warning("Step %d has gradients that are not finite; skipped.", self.step)
            return Terms(*(x.detach() for x in terms))
        share = learning_rate(self.settings, self.step, self.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = share * group["peak"]
        self.optimizer.step()
        self.step += 1
        self.follow()
        return Terms(*(x.detach() for x in terms))

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average towards the model, faster at the start."""
        keep = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        now: dict[str, Tensor] = self.model.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(now[name], 1 - keep)
            else:
                value.copy_(now[name])

    def log(self, terms: Terms, seconds: float) -> None:
        """A line every few steps."""
        if self.step % self.settings.log_every == 0:
            self.record({"seconds": seconds, **{k: float(v) for k, v in terms._asdict().items()}})

    def record(self, values: dict[str, float]) -> None:
        """Append to ``log.jsonl``."""
        line = {"step": self.step, "minutes": round(self.elapsed / 60, 2), "frames": self.stage.frames[1]}
        line |= {k: round(v, 4) for k, v in values.items()}
        logger.info("%s", line)
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write ``last.pt``, from which `resume` goes on."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed": self.elapsed,
            "settings": json.dumps(asdict(self.settings)),
        }
        save_checkpoint(self.folder / "last.pt", state)

    def resume(self) -> None:
        """Go on from ``last.pt``; the order of batches is a new one.

        Raises:
            WeightsError: the file is missing, damaged or of another model.
        """
        state = load_checkpoint(self.folder / "last.pt")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed = state["step"], state["elapsed"]
        self.dice = random.Random(f"{self.settings.seed}-{self.step}")
        torch.manual_seed(self.settings.seed + self.step)
