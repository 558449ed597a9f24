"""A frozen network that sees and is asked what a student sees and is asked."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from edgetam.model import EdgeTAM
from edgetam.structs import DecoderPrompt, ImageFeatures
from edgetam.train.batches import Batch, normalise
from edgetam.train.feature_cache import NAMES, FeatureCache
from edgetam.train.plan import Plan
from edgetam.train.recipe import Distillation
from edgetam.train.rollout import RollOut, Rules, Task, roll_out
from edgetam.train.setup import resized
from edgetam.train.users import RepeatingUser
from edgetam.train.verbs import Verbs
from edgetam.weights import load_network, resolve
from edgetam.weights.digest import weights_digest

__all__ = ["Teacher", "open_teacher"]


def open_teacher(settings: Distillation, device: torch.device, precision: str = "fp32") -> Teacher:
    """Load the teacher of a recipe, which computes in its precision; cached features are of one alone.

    Raises:
        WeightsError: its weights are damaged, of another model or not to be had.
    """
    path = resolve(settings.teacher)
    model = load_network(settings.variant, path).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    owner = f"{weights_digest(path)[:16]}-{precision}" if settings.cache else ""
    return Teacher(model.to(device), settings, owner)


class Teacher:
    """Any network with the verbs.

    Args:
        model: is frozen.
        settings: what it remembers, at which size it looks, and where features are kept.
        owner: tells its cached features from those of other teachers.
    """

    def __init__(self, model: EdgeTAM, settings: Distillation, owner: str = "") -> None:
        self.model = model.eval().requires_grad_(False)
        self.settings = settings
        self.owner = owner
        self.cache: FeatureCache | None = None
        self.known: dict[int, tuple[EdgeTAM, FeatureCache | None]] = {}

    @torch.no_grad()
    def features(self, batch: Batch) -> ImageFeatures[Tensor]:
        """Features of all ``V * T`` frames of a batch."""
        size = self.settings.image_size or batch.frames.shape[2]
        self._look_at(size)
        frames = batch.frames.flatten(0, 1)  # [V * T, S, S, 3]
        return self._encode(frames) if self.cache is None else self._remembered(self.cache, frames)

    def _encode(self, frames: Tensor) -> ImageFeatures[Tensor]:
        return self.model.encode(_scaled(normalise(frames), self.model.config.image_size))

    def _remembered(self, cache: FeatureCache, frames: Tensor) -> ImageFeatures[Tensor]:
        """Features from the cache; those that are not there are made and kept."""
        keys = [cache.key(frame) for frame in frames]
        known = {key: found for key in keys if (found := cache.get(key)) is not None}
        unknown = [i for i, key in enumerate(keys) if key not in known]
        if unknown:
            new = self._encode(frames[unknown])
            # rounded as when they are read back, or what is learnt would depend on what was there
            maps = [getattr(new, name).half() for name in NAMES]
            for row, i in enumerate(unknown):
                known[keys[i]] = ImageFeatures(*(x[row] for x in maps))
                cache.put(keys[i], known[keys[i]])
        rows = [known[key] for key in keys]
        stacked = (
            torch.stack([getattr(row, name).to(frames.device).float() for row in rows]) for name in NAMES
        )
        return ImageFeatures(*stacked)

    @torch.no_grad()
    def roll_out(
        self, batch: Batch, plan: Plan, asked: list[DecoderPrompt[Tensor]], features: ImageFeatures[Tensor]
    ) -> RollOut:
        """Answer what a student was ``asked``, with the teacher's own memories or those of the truth."""
        size, given = self.model.config.image_size, batch.frames.shape[2]
        masks = batch.masks
        if size != given:
            masks = F.interpolate(masks.float(), size=(size, size), mode="nearest") > 0.5
        count = batch.frames.shape[1]
        blank = batch.frames.new_zeros(len(batch.frames), count, 0)  # frames are encoded already
        task = Task(blank, masks, batch.clip)
        times, mask_size = size / given, self.model.config.mask_size
        user = RepeatingUser([_enlarged(prompt, times, mask_size) for prompt in asked])
        rules = Rules(trust_presence=True, masks=self.settings.teacher_memory)
        return roll_out(_Encoded(self.model, features), task, plan, user, rules)

    def _look_at(self, size: int) -> None:
        """Get ready for frames of this size."""
        if size not in self.known:
            folder = self.settings.cache
            cache = FeatureCache(folder, f"{self.owner}-{size}") if folder else None
            self.known[size] = (resized(self.model, size), cache)
        self.model, self.cache = self.known[size]


class _Encoded(Verbs):
    """Verbs of a network whose frames are encoded already."""

    def __init__(self, model: EdgeTAM, features: ImageFeatures[Tensor]) -> None:
        super().__init__(model)
        self.features = features

    def encode(self, images: Tensor) -> ImageFeatures[Tensor]:
        """The features that were given."""
        return self.features


def _scaled(images: Tensor, size: int) -> Tensor:
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)


def _enlarged(prompt: DecoderPrompt[Tensor], times: float, mask_size: int) -> DecoderPrompt[Tensor]:
    """A prompt as seen at another size; points are pixel centres."""
    if times == 1:
        return prompt
    mask = prompt.mask
    if mask is not None:
        mask = F.interpolate(mask, size=(mask_size, mask_size), mode="bilinear")
    return replace(prompt, points=(prompt.points + 0.5) * times - 0.5, mask=mask)
