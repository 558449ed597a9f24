"""Two-way transformer: prompt tokens and image tokens attend to each other (SAM, appendix A)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgetam.model.layers import MLP, attend, merge_heads, shallow_copy, split_heads

__all__ = ["TwoWayTransformer"]

HEADS = 8
FEEDFORWARD = 2048


class Attention(nn.Module):
    """Multi-head attention whose inner width may be smaller than its input's."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """``[B, Nq, C]``, ``[B, Nk, C]``, ``[B, Nk, C]`` to ``[B, Nq, C]``; ``bias`` ``[B, 1, 1, Nk]``."""
        q, k, v = (
            split_heads(proj(x), HEADS) for proj, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        )
        return self.out_proj(merge_heads(attend(q, k, v, bias)))


class TokenToImage(nn.Module):
    """Inference form of an `Attention` in which few tokens look at many pixels.

    Neither keys nor values of pixels are computed: a query meets the image in the image's own width
    (``q · Wk x = (q Wk) · x``), and values are projected after they are summed up. What biases of keys add is
    the same for all pixels, so softmax takes no notice of it. With the eight tokens of a tracked frame it is
    half the work, with seventeen as much.
    """

    key: Tensor
    value: Tensor

    def __init__(self, plain: Attention) -> None:
        super().__init__()
        self.q_proj = _scaled(plain.q_proj)
        self.register_buffer("key", _by_head(plain.k_proj.weight))  # [H, d, C]
        self.register_buffer("value", _by_head(plain.v_proj.weight).transpose(1, 2).contiguous())
        self.out_proj = _with_bias(plain.out_proj, plain.v_proj.bias)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """As `Attention.forward`."""
        asked = (split_heads(self.q_proj(q), HEADS) @ self.key).flatten(1, 2)  # [B, H * T, C]
        weights = torch.softmax(asked @ k.transpose(1, 2), dim=-1)
        seen = (weights @ v).unflatten(1, (HEADS, -1)) @ self.value  # [B, H, T, d]
        return self.out_proj(merge_heads(seen))


class ImageToToken(nn.Module):
    """Inference form of an `Attention` in which many pixels look at few tokens.

    As in `TokenToImage`, what is projected is the tokens: what pixels would be compared with, and what they
    would be given.
    """

    query: Tensor
    query_bias: Tensor
    out: Tensor
    out_bias: Tensor

    def __init__(self, plain: Attention) -> None:
        super().__init__()
        scaled = _scaled(plain.q_proj)
        self.k_proj, self.v_proj = plain.k_proj, plain.v_proj
        self.register_buffer("query", _by_head(scaled.weight))  # [H, d, C]
        self.register_buffer("query_bias", _by_head(scaled.bias[:, None]))  # [H, d, 1]
        self.register_buffer("out", _by_head(plain.out_proj.weight.T))  # [H, d, C]
        self.register_buffer("out_bias", plain.out_proj.bias.detach().clone())

    def forward(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """As `Attention.forward`."""
        k, v = split_heads(self.k_proj(k), HEADS), split_heads(self.v_proj(v), HEADS)
        offset = (k @ self.query_bias).flatten(1, 3)[:, None]  # [B, 1, H * T]
        logits = q @ (k @ self.query).flatten(1, 2).transpose(1, 2) + offset
        logits = logits.unflatten(2, (HEADS, -1))  # [B, N, H, T]
        weights = torch.softmax(logits if bias is None else logits + bias, dim=-1)
        return weights.flatten(2) @ (v @ self.out).flatten(1, 2) + self.out_bias


def _by_head(weight: Tensor) -> Tensor:
    """Rows of ``[H * d, C]`` by head: ``[H, d, C]``."""
    return weight.detach().unflatten(0, (HEADS, -1)).contiguous()


@torch.no_grad()
def _scaled(queries: nn.Linear) -> nn.Linear:
    """With the scale of softmax."""
    scale = (queries.out_features // HEADS) ** -0.5
    linear = nn.Linear(queries.in_features, queries.out_features).to(queries.weight)
    linear.weight.copy_(queries.weight * scale)
    linear.bias.copy_(queries.bias * scale)
    return linear


@torch.no_grad()
def _with_bias(out: nn.Linear, values: Tensor) -> nn.Linear:
    """With what the bias of values becomes: weights sum to one, so it is a constant."""
    linear = nn.Linear(out.in_features, out.out_features).to(out.weight)
    linear.weight.copy_(out.weight)
    linear.bias.copy_(out.bias + out.weight @ values)
    return linear


class TwoWayBlock(nn.Module):
    """Tokens look at themselves and the image, then the image looks back at the tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, width)
        self.norm1 = nn.LayerNorm(width)
        self.token_to_image: Attention | TokenToImage = Attention(width, width // 2)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP((width, FEEDFORWARD, width))
        self.norm3 = nn.LayerNorm(width)
        self.image_to_token: Attention | ImageToToken = Attention(width, width // 2)
        self.norm4 = nn.LayerNorm(width)

    def forward(
        self, tokens: Tensor, image: Tensor, prompt: Tensor, place: Tensor, bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """One round.

        Args:
            tokens: ``[B, T, C]``.
            image: ``[B, N, C]``.
            prompt: the initial tokens, used as the tokens' positions, ``[B, T, C]``.
            place: the image's positions, ``[1, N, C]``.
            bias: added to the logits of tokens as keys, ``[B, 1, 1, T]``; very negative for padding.
        """
        q = tokens + prompt
        tokens = self.norm1(tokens + self.self_attn(q, q, tokens, bias))
        return self.cross(tokens, image, prompt, place, bias)

    def start(
        self, tokens: Tensor, image: Tensor, place: Tensor, bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The first round. As published: neither positions nor a residual around its self-attention."""
        mixed = self.norm1(self.self_attn(tokens, tokens, tokens, bias))
        return self.cross(mixed, image, tokens, place, bias)

    def cross(
        self, tokens: Tensor, image: Tensor, prompt: Tensor, place: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Everything after the self-attention."""
        keys = image + place
        tokens = self.norm2(tokens + self.token_to_image(tokens + prompt, keys, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.image_to_token(keys, tokens + prompt, tokens, bias))
        return tokens, image

    def folded(self) -> TwoWayBlock:
        """The same with attention that projects tokens and never the image."""
        other = shallow_copy(self)
        assert isinstance(self.token_to_image, Attention) and isinstance(self.image_to_token, Attention)
        other.token_to_image = TokenToImage(self.token_to_image)
        other.image_to_token = ImageToToken(self.image_to_token)
        return other


class TwoWayTransformer(nn.Module):
    """Two rounds and a last look of the tokens at the image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([TwoWayBlock(width), TwoWayBlock(width)])
        self.final_token_to_image: Attention | TokenToImage = Attention(width, width // 2)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(
        self, image: Tensor, place: Tensor, prompt: Tensor, bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Image ``[B, N, C]``, its positions ``[1, N, C]`` and tokens ``[B, T, C]`` to (tokens, image)."""
        first, second = self.layers
        tokens, image = first.start(prompt, image, place, bias)  # type: ignore[operator]
        tokens, image = second(tokens, image, prompt, place, bias)
        looked = self.final_token_to_image(tokens + prompt, image + place, image)
        return self.norm_final_attn(tokens + looked), image

    def folded(self) -> TwoWayTransformer:
        """The same with attention that projects tokens and never the image."""
        other = shallow_copy(self)
        assert isinstance(self.final_token_to_image, Attention)
        other.final_token_to_image = TokenToImage(self.final_token_to_image)
        other.layers = nn.ModuleList(layer.folded() for layer in self.layers)  # type: ignore[operator]
        return other
