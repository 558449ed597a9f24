"""Mask decoder: image and prompt to mask candidates (SAM, appendix A; SAM 2, section 4)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgetam.config import HIDDEN_DIM
from edgetam.model.image_encoder import HIGH_RES_DIMS
from edgetam.model.layers import MLP, LayerNorm2d, to_map, to_tokens
from edgetam.model.two_way import TwoWayTransformer
from edgetam.structs import ImageFeatures

__all__ = ["Candidates", "MaskDecoder"]

MASK_TOKENS = 4
"""One for unambiguous prompts, three for whole, part and sub-part."""
STABILITY_DELTA = 0.05
STABILITY_THRESHOLD = 0.98


class Candidates(NamedTuple):
    """Masks in competition, before one is chosen."""

    masks: Tensor  # [B, M, 4g, 4g] logits
    scores: Tensor  # [B, M] estimated IoU
    tokens: Tensor  # [B, M, 256]
    presence: Tensor  # [B, 1] logit


class Upscaling(nn.Sequential):
    """Enlarges the image tokens, helped by the finer maps, and draws masks on them."""

    def __init__(self) -> None:
        wide, middle = HIGH_RES_DIMS
        super().__init__(
            nn.ConvTranspose2d(HIDDEN_DIM, middle, 2, stride=2),
            LayerNorm2d(middle),
            nn.GELU(),
            nn.ConvTranspose2d(middle, wide, 2, stride=2),
            nn.GELU(),
        )

    def forward(  # type: ignore[override]
        self, weights: Tensor, image: Tensor, features: ImageFeatures[Tensor]
    ) -> Tensor:
        """What ``weights [B, M, 32]`` find on ``image [B, N, 256]``: logits ``[B, M, 4g, 4g]``."""
        up1, norm, act1, up2, act2 = self
        x = act1(norm(up1(to_map(image)) + features.stride8))
        fine = act2(up2(x) + features.stride4)  # [B, 32, 4g, 4g]
        masks = to_tokens(fine) @ weights.mT  # channels stay last: gradients in another layout are slow
        return masks.mT.contiguous().unflatten(2, fine.shape[2:])

    def folded(self) -> FoldedUpscaling:
        """The same with channels last."""
        return FoldedUpscaling(self)


class FoldedUpscaling(nn.Module):
    """Inference form of `Upscaling`: transposed convolutions that do not overlap are linear layers."""

    def __init__(self, plain: Upscaling) -> None:
        super().__init__()
        up1, norm, _, up2, _ = plain
        assert isinstance(up1, nn.ConvTranspose2d) and isinstance(up2, nn.ConvTranspose2d)
        self.up1, self.up2 = _as_linear(up1), _as_linear(up2)
        assert isinstance(norm, LayerNorm2d)
        self.norm = nn.LayerNorm(len(norm.weight), eps=1e-6).to(norm.weight)
        self.norm.load_state_dict(norm.state_dict())

    def forward(self, weights: Tensor, image: Tensor, features: ImageFeatures[Tensor]) -> Tensor:
        """As `Upscaling.forward`."""
        side = int(image.shape[1] ** 0.5)
        stride8, stride4 = (x.permute(0, 2, 3, 1) for x in (features.stride8, features.stride4))
        x = _spread(self.up1(image.unflatten(1, (side, side)))) + stride8
        fine = F.gelu(_spread(self.up2(F.gelu(self.norm(x)))) + stride4)  # [B, 4g, 4g, 32]
        masks = fine.flatten(1, 2) @ weights.transpose(1, 2)  # [B, 16N, M]
        return masks.transpose(1, 2).unflatten(2, fine.shape[1:3])


def _as_linear(conv: nn.ConvTranspose2d) -> nn.Linear:
    """A linear layer whose outputs are the four pixels of each input pixel."""
    assert conv.bias is not None
    linear = nn.Linear(conv.in_channels, 4 * conv.out_channels).to(conv.weight)
    linear.weight.data.copy_(conv.weight.permute(2, 3, 1, 0).flatten(0, 2))
    linear.bias.data.copy_(conv.bias.repeat(4))
    return linear


def _spread(x: Tensor) -> Tensor:
    """Put four pixels in their places: ``[B, H, W, 4C]`` to ``[B, 2H, 2W, C]``."""
    x = x.unflatten(3, (2, 2, -1)).permute(0, 1, 3, 2, 4, 5)  # [B, H, 2, W, 2, C]
    return x.flatten(3, 4).flatten(1, 2)


class MaskDecoder(nn.Module):
    """Two-way transformer, upscaling and one small network per mask token."""

    def __init__(self) -> None:
        super().__init__()
        dim = HIDDEN_DIM
        self.presence_token = nn.Parameter(torch.randn(1, dim))
        self.score_token = nn.Parameter(torch.randn(1, dim))
        self.mask_tokens = nn.Parameter(torch.randn(MASK_TOKENS, dim))
        self.transformer = TwoWayTransformer(dim)
        self.upscaling = Upscaling()
        self.hypernetworks = nn.ModuleList(MLP((dim, dim, dim, HIGH_RES_DIMS[0])) for _ in range(MASK_TOKENS))
        self.score_head = MLP((dim, dim, dim, MASK_TOKENS))
        self.presence_head = MLP((dim, dim, dim, 1))

    def forward(
        self,
        fused: Tensor,
        features: ImageFeatures[Tensor],
        sparse: Tensor,
        dense: Tensor,
        place: Tensor,
        bias: Tensor | None = None,
    ) -> Candidates:
        """Decode all four candidates.

        Args:
            fused: the conditioned map, ``[B or 1, 256, g, g]``.
            features: gives the finer maps, batch B or 1.
            sparse: prompt tokens ``[B, P, 256]``.
            dense: mask prompt, ``[B or 1, 256, g or 1, g or 1]``.
            place: positions of the image grid, ``[1, 256, g, g]``.
            bias: of prompt tokens as keys, ``[B, P]``; very negative for padding.
        """
        image = (to_tokens(fused) + to_tokens(dense)).expand(sparse.shape[0], -1, -1)
        if bias is not None:
            bias = F.pad(bias, (2 + MASK_TOKENS, 0))[:, None, None]
        own = self.with_own_tokens(sparse)
        tokens, image = self.transformer(image, to_tokens(place), own, bias)
        return self.draw(tokens, image, features)

    def draw(self, tokens: Tensor, image: Tensor, features: ImageFeatures[Tensor]) -> Candidates:
        """All four candidates of tokens ``[B, 6 + P, 256]`` and image ``[B, N, 256]`` that have met."""
        mask_tokens = tokens[:, 2 : 2 + MASK_TOKENS]
        masks = self.upscaling(self.mask_weights(mask_tokens), image, features)
        scores = torch.sigmoid(self.score_head(tokens[:, 1]))
        return Candidates(masks, scores, mask_tokens, self.presence_head(tokens[:, 0]))

    def best(
        self, fused: Tensor, features: ImageFeatures[Tensor], sparse: Tensor, dense: Tensor, place: Tensor
    ) -> Candidates:
        """Decode the best-scored of the three candidates only, ``M = 1``: scores need no mask.

        Args are those of `forward`, but ``sparse`` may have a batch of one, shared by all objects.
        """
        image = to_tokens(fused) + to_tokens(dense)
        if len(sparse) > 1:
            image = image.expand(len(sparse), -1, -1)
        tokens, image = self.transformer(image, to_tokens(place), self.with_own_tokens(sparse))
        scores = torch.sigmoid(self.score_head(tokens[:, 1]))[:, 1:]
        mask_tokens = tokens[:, 3 : 2 + MASK_TOKENS]
        best = scores.argmax(dim=1, keepdim=True)  # [B, 1]
        weights = _pick(self.mask_weights(mask_tokens, first=1), best)
        masks = self.upscaling(weights, image, features)
        return Candidates(
            masks, scores.gather(1, best), _pick(mask_tokens, best), self.presence_head(tokens[:, 0])
        )

    def with_own_tokens(self, sparse: Tensor) -> Tensor:
        """Prompt tokens ``[B, P, 256]`` behind the decoder's own: ``[B, 6 + P, 256]``."""
        own = torch.cat([self.presence_token, self.score_token, self.mask_tokens])
        return torch.cat([own.expand(sparse.shape[0], -1, -1), sparse], dim=1)

    def mask_weights(self, mask_tokens: Tensor, first: int = 0) -> Tensor:
        """What each mask token ``[B, M, 256]`` looks for in the fine map: ``[B, M, 32]``."""
        nets = self.hypernetworks[first:]
        return torch.stack([net(mask_tokens[:, i]) for i, net in enumerate(nets)], dim=1)


def _pick(x: Tensor, index: Tensor) -> Tensor:
    """Row ``index [B, 1]`` of ``[B, M, C]``: ``[B, 1, C]``."""
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))


def several(all_four: Candidates) -> Candidates:
    """The three candidates for an ambiguous prompt."""
    masks, scores, tokens, presence = all_four
    return Candidates(masks[:, 1:], scores[:, 1:], tokens[:, 1:], presence)


def single(all_four: Candidates) -> Candidates:
    """The one candidate for an unambiguous prompt."""
    masks, scores, tokens, presence = all_four
    return Candidates(masks[:, :1], scores[:, :1], tokens[:, :1], presence)


def single_if_stable(all_four: Candidates) -> Candidates:
    """The one candidate, unless its outline is uncertain and a better of the three exists.

    Stability is the area above +0.05 over the area above -0.05 (1 when both are empty); below 0.98 the
    best-scored of the three takes over. As published: the pointer's token stays the single one's.
    """
    first, rest = single(all_four), several(all_four)
    logits = first.masks.flatten(1)
    inner = (logits > STABILITY_DELTA).sum(1).float()
    outer = (logits > -STABILITY_DELTA).sum(1).float()
    stable = torch.where(outer > 0, inner / outer, 1.0) >= STABILITY_THRESHOLD  # [B]
    best = rest.scores.argmax(1)
    rows = torch.arange(len(best), device=best.device)
    masks = torch.where(stable[:, None, None], first.masks[:, 0], rest.masks[rows, best])
    scores = torch.where(stable, first.scores[:, 0], rest.scores[rows, best])
    return Candidates(masks[:, None], scores[:, None], first.tokens, all_four.presence)
