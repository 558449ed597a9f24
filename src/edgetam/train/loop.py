"""The training loop: stages one after the other, steps that many processes share, and what is saved."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel

from edgetam.errors import TrainingError, WeightsError
from edgetam.model import EdgeTAM
from edgetam.train.batches import Batch
from edgetam.train.guides import make_guides
from edgetam.train.learner import Counting, Learner
from edgetam.train.loader import Clips, Order, dead_workers_named, open_loader
from edgetam.train.optimize import (
    follow,
    make_average,
    make_optimizer,
    restore_optimizer,
    set_rates,
    share_norms,
)
from edgetam.train.plan import Plan, draw_plan
from edgetam.train.progress import Progress, Report
from edgetam.train.ranks import add_up, collect, rank, world
from edgetam.train.recipe import Recipe
from edgetam.train.schedule import learning_rate
from edgetam.train.setup import freeze_norms, resized
from edgetam.train.stage import Stage
from edgetam.train.strict import plain
from edgetam.train.teacher import Teacher
from edgetam.train.training_form import training_form

__all__ = ["Opener", "Trainer"]

Opener = Callable[[Stage, Order], Clips]
"""A stage and the order of its clips to the clips."""


@contextmanager
def _attention_in_bf16() -> Iterator[None]:
    """Let attention's products be in bf16 where its operands are; in fp32 they take three times as long.

    PyTorch's switch is named after CUDA and heeded on CPUs too.
    """
    switch = torch.backends.cuda
    before = switch.fp16_bf16_reduction_math_sdp_allowed()
    switch.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        yield
    finally:
        switch.allow_fp16_bf16_reduction_math_sdp(before)


class Trainer:
    """Model, optimiser and average on their way through a recipe.

    Every process of a run holds one and calls the same methods.

    Args:
        recipe: what to do.
        model: in training mode; from `edgetam.train.setup.starting_model`.
        clips: opens the clips of a stage.
        device: where to train.
        teacher: on the same device; stages may follow it.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: EdgeTAM,
        clips: Opener,
        device: torch.device,
        teacher: Teacher | None = None,
    ) -> None:
        self.recipe = recipe
        self.device = device
        self.clips = clips
        self.teacher = teacher
        self.model = model.to(device)
        self.average = make_average(self.model)
        self.guides = make_guides(recipe.guides, self.model.config, recipe.seed).to(device)
        self.optimizer = make_optimizer(self.model, self.guides, recipe.optimizer)
        self.progress = Progress()
        self.stopping = False

    @property
    def finished(self) -> bool:
        """Whether every stage is done; one that is made longer later, or comes after, is not."""
        left = len(self.recipe.stages) - self.progress.stage
        return left < 1 or (left == 1 and self.progress.share(self.stage) >= 1)

    @property
    def stage(self) -> Stage:
        """The stage of now, or the last one."""
        return self.recipe.stages[min(self.progress.stage, len(self.recipe.stages) - 1)]

    def stop(self) -> None:
        """End `run` after the step that is under way; may be called from a signal handler."""
        self.stopping = True

    def run(self) -> Iterator[Report | None]:
        """Train, yielding after every step: a report where one is due.

        Ends when the recipe is done, or after `stop` was called in any of the processes. Whoever iterates
        may save, evaluate and show what is reported in between.

        Raises:
            TrainingError: a loss is not finite; the weights are as they were before that step.
            InputError: data cannot be had.
        """
        while not self.finished:
            if self.progress.share(self.stage) >= 1:
                self.progress.next_stage()
            with dead_workers_named():
                stopped = yield from self._run_stage()
            if stopped:
                return

    def _run_stage(self) -> Generator[Report | None, None, bool]:
        """Train to the end of a stage; whether it was stopped, be it at its last step."""
        stage, progress = self.stage, self.progress
        learner = self._prepare(stage)
        order = Order(stage, self.recipe.seed, progress.clips, progress.step)
        clips = self.clips(stage, order)
        batches = open_loader(clips, order, self.recipe.data, self.device)
        first, broken = progress.step, 0
        while progress.share(stage) < 1:
            clock, terms = self._step(learner, batches, order)
            known, broken = broken, sum(clips.broken.values())
            stop = self._count(terms, order.clips_at(progress.step - first), [*clock, broken - known])
            due = progress.step % self.recipe.every.log_steps == 0 or progress.share(stage) >= 1
            yield Report.of(progress, stage) if due else None
            if stop:
                return True
        return False

    def _prepare(self, stage: Stage) -> nn.Module:
        """Bring the network to what a stage needs."""
        self.model = resized(self.model, stage.image_size)
        self.average = resized(self.average, stage.image_size)
        self.model.image_encoder.requires_grad_(stage.encoder == "trained")
        sizes = {kind.image_size for kind in stage.kinds}
        models = {size: self._to_train(size, stage) for size in sorted(sizes)}
        learner = Learner(models, self.guides, self.recipe, stage, self.teacher)
        if world() == 1:
            return learner
        # 1x1 filters have two layouts that are one; said at the first step, with the source of PyTorch
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        with warnings.catch_warnings():
            # newer versions have another name for broadcast_buffers, and say so
            warnings.simplefilter("ignore", FutureWarning)
            # prompts decide which modules a step uses
            return DistributedDataParallel(
                learner, find_unused_parameters=True, broadcast_buffers=False, gradient_as_bucket_view=True
            )

    def _to_train(self, size: int, stage: Stage) -> EdgeTAM:
        """The network for an input size, in the form that is trained."""
        model = resized(self.model, size).train()
        frozen = stage.norms == "frozen" or stage.encoder == "frozen"
        if frozen:
            freeze_norms(model)
        return training_form(model, norms_frozen=frozen, own_gradients=self.device.type == "cpu")

    def _step(
        self, learner: nn.Module, batches: Iterator[Batch], order: Order
    ) -> tuple[tuple[float, float], dict[str, Tensor]]:
        """One optimiser step: the seconds it took and those spent waiting for data, and its losses."""
        begin = time.monotonic()
        passes = [next(batches) for _ in range(order.stage.accumulate)]
        waited = time.monotonic() - begin
        plan = draw_plan(order.stage, self.recipe.seed, self.progress.step)
        terms = self._differentiate(learner, passes, plan)
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(trained, self.recipe.optimizer.clip)
        if not torch.isfinite(norm):
            raise TrainingError(self._what_failed(passes, plan))
        self._update(order.stage)
        self.progress.clips += order.numbers_per_step
        return (time.monotonic() - begin, waited), terms

    def _differentiate(self, learner: nn.Module, passes: list[Batch], plan: Plan) -> dict[str, Tensor]:
        """Gradients of the mean over the objects of all passes and processes, and the terms of the loss."""
        # what is random inside the network follows from the step too, so that nothing has to be saved of it
        torch.manual_seed(hash((self.recipe.seed, self.progress.step, rank())) % 2**63)
        count = torch.tensor(float(sum(len(batch.masks) for batch in passes)), device=self.device)
        counting = Counting(world() / float(add_up(count)), 1 / len(passes), self._strength())
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for i, batch in enumerate(passes):
            # backwards too: what is recomputed there must be computed as before
            with self._unsynchronised(learner, last=i == len(passes) - 1), self._kernels():
                with torch.autocast(
                    self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"
                ):
                    terms = learner(batch.to(self.device), plan, counting)
                terms["total"].backward()
            sums = {name: sums.get(name, 0.0) + term.detach() for name, term in terms.items()}
        return sums

    def _strength(self) -> float:
        """Of the distillation: it may fade towards the end of a stage."""
        if self.recipe.distill is None or not self.recipe.distill.fade:
            return 1.0
        left = 1.0 - self.progress.share(self.stage)
        return min(1.0, max(0.0, left) / self.recipe.distill.fade)

    def _unsynchronised(self, learner: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Processes add up their gradients in the last pass only."""
        return (
            learner.no_sync() if isinstance(learner, DistributedDataParallel) and not last else nullcontext()
        )

    @contextmanager
    def _kernels(self) -> Iterator[None]:
        """What attention is computed by."""
        if self.device.type != "cpu":
            yield
            return
        # PyTorch's fused attention is slow backwards on CPUs where queries or keys are few
        with sdpa_kernel(SDPBackend.MATH), _attention_in_bf16():
            yield

    def _update(self, stage: Stage) -> None:
        progress = self.progress
        rate = learning_rate(stage.schedule, progress.stage_step, progress.share(stage))
        set_rates(self.optimizer, rate * stage.encoder_rate, rate * stage.rate)
        self.optimizer.step()
        if stage.norms == "batch":
            share_norms(self.model)
        follow(self.average, self.model, self.recipe.optimizer.average, progress.step)

    def _count(self, terms: dict[str, Tensor], clips: int, own: list[float]) -> bool:
        """Add up what all processes saw; whether this step shall be the last.

        ``own`` is what this process alone knows: seconds, those spent waiting, and new broken samples. The
        clock of the first process counts for all.
        """
        clock = own[:2] if rank() == 0 else [0.0, 0.0]
        known = torch.tensor([*clock, own[2], float(self.stopping)], dtype=torch.float64)
        seen = torch.stack(list(terms.values())).cpu().double()  # not every device has doubles
        summed = add_up(torch.cat([seen, known])).tolist()
        seconds, waited, broken, stop = summed[-4:]
        self.progress.broken += round(broken)
        means = {name: value / world() for name, value in zip(terms, summed, strict=False)}
        self.progress.step_done(seconds)
        self.progress.window.add(means, clips, seconds, waited)
        return stop > 0

    def _what_failed(self, passes: list[Batch], plan: Plan) -> str:
        """Name the batch whose loss is not finite; all processes meet here, as they share gradients."""
        clips = sorted({number for batch in passes for number in batch.seeds[:, 0].tolist()})
        everywhere = sorted(number for part in collect(clips) for number in part)
        return (
            f"The loss is not finite at step {self.progress.step} (stage {self.stage.name}, clips "
            f"{', '.join(map(str, everywhere))} of seed {self.recipe.seed}, {plan.kind} prompts, "
            f"{plan.length} frames); the last checkpoint is kept, so lower the rates, or use precision=fp32."
        )

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs."""
        return {
            "recipe": plain(self.recipe),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "guides": self.guides.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": self.progress.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state of the same model; guides that were not there or have gone begin anew.

        Raises:
            WeightsError: it is of another model.
        """
        try:
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            same = state["guides"].keys() == self.guides.state_dict().keys()
            if same:
                self.guides.load_state_dict(state["guides"])
            restore_optimizer(self.optimizer, state["optimizer"], guides=same)
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(f"The training state is of another model ({reason}); start anew.") from error
        self.progress = Progress.of(state["progress"])
