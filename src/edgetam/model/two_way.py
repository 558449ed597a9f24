"""Two-way transformer: prompt tokens and image tokens attend to each other (SAM, appendix A)."""

from __future__ import annotations

from torch import Tensor, nn

from edgetam.model.layers import MLP, attend, merge_heads, split_heads

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


class TwoWayBlock(nn.Module):
    """Tokens look at themselves and the image, then the image looks back at the tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, width)
        self.norm1 = nn.LayerNorm(width)
        self.token_to_image = Attention(width, width // 2)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP((width, FEEDFORWARD, width))
        self.norm3 = nn.LayerNorm(width)
        self.image_to_token = Attention(width, width // 2)
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


class TwoWayTransformer(nn.Module):
    """Two rounds and a last look of the tokens at the image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([TwoWayBlock(width), TwoWayBlock(width)])
        self.final_token_to_image = Attention(width, width // 2)
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
