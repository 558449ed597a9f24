"""The model: four verbs.

``encode`` looks at a frame once; ``attend``, ``decode`` and ``remember`` run batched over objects. Memory is
an argument, never state: the caller holds it (EdgeTAM, figure 3; SAM 2, figure 3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgetam.config import ModelConfig
from edgetam.model.image_encoder import ImageEncoder
from edgetam.model.layers import to_tokens
from edgetam.model.mask_decoder import Candidates, MaskDecoder, several, single, single_if_stable
from edgetam.model.memory_attention import MemoryAttention
from edgetam.model.memory_encoder import MemoryEncoder
from edgetam.model.object_pointer import ObjectPointer
from edgetam.model.perceiver import Perceiver
from edgetam.model.prompt_encoder import PromptEncoder
from edgetam.structs import Decoded, DecoderPrompt, FrameMemory, ImageFeatures, MemoryContext

__all__ = ["EdgeTAM", "build_model"]

MASK_SCALE, MASK_OFFSET = 20.0, -10.0
"""Probabilities 0..1 enter the memory encoder as -10..10."""


class EdgeTAM(nn.Module):
    """EdgeTAM, or SAM 2 / 2.1 with another ``config``."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = ImageEncoder(config)
        self.memory_attention = MemoryAttention(config)
        self.prompt_encoder = PromptEncoder(config)
        self.mask_decoder = MaskDecoder()
        self.object_pointer = ObjectPointer()
        self.memory_encoder = MemoryEncoder(config)
        self.perceiver = Perceiver(config.perceiver, config.grid) if config.perceiver else None

    def encode(self, image: Tensor) -> ImageFeatures[Tensor]:
        """Look at normalised RGB frames ``[B, 3, S, S]``."""
        return self.image_encoder(image)

    def attend(self, features: ImageFeatures[Tensor], context: MemoryContext[Tensor] | None) -> Tensor:
        """Condition the coarse map on memories, or mark that there are none: ``[B, 256, g, g]``."""
        if context is None:
            return self.memory_attention.without_memory(features.stride16)
        return self.memory_attention(features.stride16, context)

    def decode(
        self,
        fused: Tensor,
        features: ImageFeatures[Tensor],
        prompt: DecoderPrompt[Tensor],
        mode: str = "several",
    ) -> Decoded[Tensor]:
        """Answer prompts with masks.

        Args:
            fused: from `attend`, ``[B or 1, 256, g, g]``.
            features: from `encode`; batch B or 1.
            prompt: B prompts. A frame without prompts is one point with label -1.
            mode: ``"several"`` candidates for ambiguous prompts (at most one point), a ``"single"`` one, or
                ``"stable"``: the single one unless its outline is uncertain (SAM 2's inference rule).
                ``"best"`` is the best-scored of the several, drawn alone.
        """
        if mode == "best":
            return self.select(self.mask_decoder.best(fused, features, *self.prompts(prompt)))
        choose = {"several": several, "single": single, "stable": single_if_stable}[mode]
        return self.select(choose(self.candidates(fused, features, prompt)))

    def candidates(
        self, fused: Tensor, features: ImageFeatures[Tensor], prompt: DecoderPrompt[Tensor]
    ) -> Candidates:
        """All four mask candidates of each prompt."""
        return self.mask_decoder(fused, features, *self.prompts(prompt))

    def prompts(self, prompt: DecoderPrompt[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder is told: prompt tokens, dense prompt, positions of the image."""
        return *self.prompt_encoder(prompt), self.prompt_encoder.positions()

    def select(self, found: Candidates) -> Decoded[Tensor]:
        """Point at the candidate with the highest score."""
        best = found.scores.argmax(dim=1)
        token = found.tokens[torch.arange(len(best), device=best.device), best]
        pointer = self.object_pointer(token, found.presence)
        return Decoded(found.masks, found.scores, found.presence, pointer, best)

    def adopt(self, features: ImageFeatures[Tensor], mask: Tensor) -> Decoded[Tensor]:
        """Take given masks ``[B, 1, S, S]`` of zeros and ones as the answer, and find their pointers.

        Logits are -10 and 10, the score is 1, presence is whether any pixel is set (SAM 2's rule for mask
        prompts). The pointer comes from a decoder pass that sees the mask as a prompt on bare features.
        """
        size = (self.config.mask_size, self.config.mask_size)
        shrunk = F.interpolate(mask, size=size, mode="bilinear", antialias=True)
        return self.adopt_shrunk(features, mask, shrunk)

    def adopt_shrunk(self, features: ImageFeatures[Tensor], mask: Tensor, shrunk: Tensor) -> Decoded[Tensor]:
        """As `adopt`, with the mask in the size of logits too, ``[B, 1, 4g, 4g]``."""
        batch = mask.shape[0]
        prompt = DecoderPrompt(
            points=mask.new_zeros(batch, 1, 2),
            labels=torch.full((batch, 1), -1, device=mask.device),
            mask=self.object_pointer.mask_downsample(mask),
        )
        inner = self.decode(features.stride16, features, prompt, mode="single")
        any_pixel = mask.flatten(1).amax(1, keepdim=True) > 0
        return Decoded(
            masks=shrunk * MASK_SCALE + MASK_OFFSET,
            scores=torch.ones_like(inner.scores),
            presence=any_pixel * MASK_SCALE + MASK_OFFSET,
            pointer=torch.where(any_pixel, inner.pointer, self.object_pointer.absent),
            best=inner.best,
        )

    def remember(
        self,
        features: ImageFeatures[Tensor],
        masks: Tensor,
        presence: Tensor,
        pointer: Tensor,
        *,
        binarize: bool,
        exclusive: bool = False,
    ) -> FrameMemory[Tensor]:
        """Compress frame and masks into memory.

        Args:
            features: from `encode`; batch B or 1.
            masks: logits ``[B, 1, 4g, 4g]``; -1024 where the object is absent.
            presence: logits ``[B, 1]``.
            pointer: ``[B, 256]``, kept beside the tokens.
            binarize: threshold the mask (prompted frames) instead of using probabilities.
            exclusive: let each pixel belong to the object with the highest logit only.
        """
        fine = self.memory_encoder.mask_downsampler.enlarge(masks)
        if exclusive:
            fine = keep_highest(fine)
        likely = (fine > 0).to(fine.dtype) if binarize else torch.sigmoid(fine)
        return FrameMemory(self.compress(features.stride16, likely, presence), pointer)

    def compress(self, image: Tensor, likely: Tensor, presence: Tensor) -> Tensor:
        """Image ``[B or 1, 256, g, g]`` and probabilities at full resolution to tokens ``[B, N, 64]``."""
        memory = self.memory_encoder(image, likely * MASK_SCALE + MASK_OFFSET, presence)
        return to_tokens(memory) if self.perceiver is None else self.perceiver(memory)


def keep_highest(masks: Tensor) -> Tensor:
    """Clamp ``[B, C, H, W]`` to at most -10 wherever another object has a higher logit; first wins ties."""
    owner = masks.argmax(dim=0, keepdim=True)
    mine = owner == torch.arange(masks.shape[0], device=masks.device)[:, None, None, None]
    return torch.where(mine, masks, masks.clamp(max=MASK_OFFSET))


def build_model(config: ModelConfig) -> EdgeTAM:
    """Build a model with random weights, in evaluation mode; touches no file, network or device."""
    return EdgeTAM(config).eval()
