"""A batch and a plan to a loss: what is differentiated, and what DDP wraps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from edgetam.model import EdgeTAM
from edgetam.train.batches import Batch
from edgetam.train.distill import image_distance, mask_distance, memory_distance, pointer_distance
from edgetam.train.guides import Guides
from edgetam.train.losses import rollout_terms
from edgetam.train.plan import Plan
from edgetam.train.recipe import Recipe
from edgetam.train.rollout import RollOut, Rules, make_task, roll_out
from edgetam.train.stage import Stage
from edgetam.train.teacher import Teacher
from edgetam.train.users import SimulatedUser
from edgetam.train.verbs import Verbs

__all__ = ["Counting", "Learner"]


@dataclass(frozen=True)
class Counting:
    """What things count in a step, so that passes and processes add up to one large batch.

    Attributes:
        objects: what one object counts: processes over objects in the whole step.
        passes: what one pass counts where means over frames are taken.
        teacher: strength of all distillation, 0..1.
    """

    objects: float
    passes: float = 1.0
    teacher: float = 1.0


class Learner(nn.Module):
    """The network with what a stage asks of it, and perhaps a teacher.

    Args:
        models: the network for each input size of the stage; all have the same parameters.
        guides: helpers that learn along.
        recipe: losses and seed.
        stage: what it does.
        teacher: to follow, where the stage does.
    """

    def __init__(
        self,
        models: Mapping[int, EdgeTAM],
        guides: Guides,
        recipe: Recipe,
        stage: Stage,
        teacher: Teacher | None,
    ) -> None:
        super().__init__()
        self.models = nn.ModuleDict({str(size): model for size, model in models.items()})
        self.guides = guides
        self.recipe = recipe
        self.stage = stage
        self.rules = Rules(trust_presence=stage.presence == "trusted")
        self.teacher = teacher if stage.distill else None  # no module of ours: it is not trained

    def forward(self, batch: Batch, plan: Plan, counting: Counting) -> dict[str, Tensor]:
        """Roll out a batch.

        Returns:
            ``total``, to be differentiated, and its parts without weights or gradients.
        """
        model = self.models[str(batch.frames.shape[2])]
        assert isinstance(model, EdgeTAM)
        verbs = Verbs(
            model,
            checkpointing=self.stage.checkpointing,
            frozen_encoder=self.stage.encoder == "frozen",
        )
        user = SimulatedUser(plan, batch.generators(self.recipe.seed))
        task = make_task(batch)
        done = roll_out(verbs, task, plan, user, self.rules)
        losses = self.recipe.losses
        terms = rollout_terms(done.steps, task, losses)
        total = terms.weighted(losses, presence=self.stage.presence != "off") * counting.objects
        parts = {name: part * counting.objects for name, part in terms._asdict().items()}
        if not losses.balanced:
            del parts["balanced"]  # was not computed
        for name, weight, part in self.guides(done, task):
            total = total + self.stage.guides * weight * part * counting.objects
            parts[name] = part * counting.objects
        if self.teacher is not None:
            distances = self._distances(self.teacher, batch, plan, user, done, counting)
            total = total + counting.teacher * sum(weight * part for weight, part in distances.values())
            parts |= {name: part for name, (_, part) in distances.items()}
        return {"total": total, **{name: part.detach() for name, part in parts.items()}}

    def _distances(
        self,
        teacher: Teacher,
        batch: Batch,
        plan: Plan,
        user: SimulatedUser,
        done: RollOut,
        counting: Counting,
    ) -> dict[str, tuple[float, Tensor]]:
        """Weights and distances to the teacher, by name."""
        wanted = teacher.settings
        features = teacher.features(batch)
        image = image_distance(features.stride16, done.features.stride16, normalised=wanted.normalised)
        found = {"teacher_image": (wanted.image, image * counting.passes)}
        if not (wanted.memory or wanted.mask or wanted.pointer):
            return found
        known = teacher.roll_out(batch, plan, user.asked, features)
        by_object = {}
        if wanted.memory:
            by_object["memory"] = memory_distance(known, done, normalised=wanted.normalised)
        if wanted.mask:
            by_object["mask"] = mask_distance(known.steps, done.steps)
        if wanted.pointer:
            by_object["pointer"] = pointer_distance(known.pointers, done.pointers)
        for name, distance in by_object.items():
            found[f"teacher_{name}"] = (getattr(wanted, name), distance.sum() * counting.objects)
        return found
