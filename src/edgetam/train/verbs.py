"""The network's verbs as training calls them: with activations kept, or recomputed on the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from edgetam.model import EdgeTAM
from edgetam.model.mask_decoder import Candidates
from edgetam.structs import Decoded, DecoderPrompt, FrameMemory, ImageFeatures, MemoryContext

__all__ = ["Verbs"]


@contextmanager
def _norms_at_rest(model: nn.Module) -> Iterator[None]:
    """Keep running statistics as they are: a frame that is recomputed must not count twice."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


class Verbs:
    """The verbs of `EdgeTAM`.

    Args:
        model: in any mode.
        checkpointing: forget activations and compute them again when gradients ask for them.
        frozen_encoder: the image encoder learns nothing, so nothing is kept for it.
    """

    def __init__(self, model: EdgeTAM, *, checkpointing: bool = False, frozen_encoder: bool = False) -> None:
        self.model = model
        self.checkpointing = checkpointing
        self.frozen_encoder = frozen_encoder

    def _call(self, verb: Callable[..., Any], *given: Any, **named: Any) -> Any:
        if not self.checkpointing or not torch.is_grad_enabled():
            return verb(*given, **named)

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), _norms_at_rest(self.model)

        return checkpoint(verb, *given, use_reentrant=False, context_fn=contexts, **named)

    def encode(self, images: Tensor) -> ImageFeatures[Tensor]:
        """See `EdgeTAM.encode`."""
        if self.frozen_encoder:
            with torch.no_grad():
                return self.model.encode(images)
        features: ImageFeatures[Tensor] = self._call(self.model.encode, images)
        return features

    def attend(self, features: ImageFeatures[Tensor], context: MemoryContext[Tensor] | None) -> Tensor:
        """See `EdgeTAM.attend`."""
        fused: Tensor = self._call(self.model.attend, features, context)
        return fused

    def candidates(
        self, fused: Tensor, features: ImageFeatures[Tensor], prompt: DecoderPrompt[Tensor]
    ) -> Candidates:
        """See `EdgeTAM.candidates`."""
        found: Candidates = self._call(self.model.candidates, fused, features, prompt)
        return found

    def select(self, found: Candidates) -> Decoded[Tensor]:
        """See `EdgeTAM.select`."""
        return self.model.select(found)

    def adopt(self, features: ImageFeatures[Tensor], mask: Tensor) -> Decoded[Tensor]:
        """See `EdgeTAM.adopt`."""
        given: Decoded[Tensor] = self._call(self.model.adopt, features, mask)
        return given

    def remember(
        self,
        features: ImageFeatures[Tensor],
        masks: Tensor,
        presence: Tensor,
        pointer: Tensor,
        *,
        binarize: bool,
    ) -> FrameMemory[Tensor]:
        """See `EdgeTAM.remember`."""
        memory: FrameMemory[Tensor] = self._call(
            self.model.remember, features, masks, presence, pointer, binarize=binarize
        )
        return memory
