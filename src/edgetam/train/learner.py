"""A batch and a plan to a loss: what is differentiated, and what DDP wraps."""

from __future__ import annotations

from torch import Tensor, nn

from edgetam.model import EdgeTAM
from edgetam.train.batches import Batch
from edgetam.train.losses import rollout_terms
from edgetam.train.plan import Plan
from edgetam.train.recipe import Losses, Stage
from edgetam.train.rollout import Rules, make_task, roll_out
from edgetam.train.users import SimulatedUser
from edgetam.train.verbs import Verbs

__all__ = ["Learner"]


class Learner(nn.Module):
    """The network with what a stage asks of it."""

    def __init__(self, model: EdgeTAM, stage: Stage, losses: Losses, seed: int) -> None:
        super().__init__()
        self.model = model
        self.stage = stage
        self.losses = losses
        self.seed = seed
        self.rules = Rules(trust_presence=stage.presence == "trusted")

    def forward(self, batch: Batch, plan: Plan, share: float) -> dict[str, Tensor]:
        """Roll out a batch.

        Args:
            batch: of this process.
            plan: of the step.
            share: what one object counts: over all processes and passes of the step, these add up to one
                for each process.

        Returns:
            ``total``, to be differentiated, and its parts without weights or gradients.
        """
        verbs = Verbs(
            self.model,
            checkpointing=self.stage.checkpointing,
            frozen_encoder=self.stage.encoder == "frozen",
        )
        user = SimulatedUser(plan, batch.generators(self.seed))
        task = make_task(batch)
        done = roll_out(verbs, task, plan, user, self.rules)
        terms = rollout_terms(done.steps, task.masks, self.losses)
        total = terms.weighted(self.losses, presence=self.stage.presence != "off")
        parts = {name: part.detach() * share for name, part in terms._asdict().items()}
        return {"total": total * share, **parts}
