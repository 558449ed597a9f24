"""The verbs as graphs: named tensors in, named tensors out, for runtimes that are not PyTorch.

Each graph is a thin wrapper around the network's inference form (`edgetam.model.inference_form`). Axes named
by a letter may have any length: B objects, T remembered frames, P pointers or points, F one or B. What graphs
leave out (padding, the choice among candidates) is in `edgetam.engine.verbs`, in NumPy. Maps cross with their
channels last, ``[B, H, W, C]``, masks as ``[B, M, H, W]``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgetam.config import HIDDEN_DIM, MEMORY_DIM, ModelConfig
from edgetam.engine.verbs import PADDING_LABEL
from edgetam.model import EdgeTAM
from edgetam.model.edgetam import keep_highest
from edgetam.model.image_encoder import HIGH_RES_DIMS
from edgetam.model.inference import in_full_precision
from edgetam.model.mask_decoder import MASK_TOKENS
from edgetam.structs import DecoderPrompt, ImageFeatures, MemoryContext

__all__ = ["GRAPHS", "Graph", "Port", "make_graph"]

UNREADABLE = -1e4
"""Added to the attention logits of padding; finite in half precision too."""

Outputs = tuple[Tensor, ...]


def channels_last(x: Tensor) -> Tensor:
    """``[B, C, H, W]`` to ``[B, H, W, C]``: how maps cross between graphs, as runtimes keep them inside."""
    return x.permute(0, 2, 3, 1)


def channels_first(x: Tensor) -> Tensor:
    """Undo `channels_last`."""
    return x.permute(0, 3, 1, 2)


def _seen(*maps: Tensor) -> ImageFeatures[Tensor]:
    return ImageFeatures(*(channels_first(x) for x in maps))


class Port(NamedTuple):
    """A named input or output."""

    name: str
    shape: tuple[int | str, ...]
    """Letters stand for axes of any length."""
    dtype: str = "float32"


class Graph(NamedTuple):
    """One verb, ready to be traced."""

    name: str
    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class Encode(nn.Module):
    """A normalised frame to its features."""

    def __init__(self, model: EdgeTAM) -> None:
        super().__init__()
        self.image_encoder = model.image_encoder

    def forward(self, image: Tensor) -> Outputs:
        """``[1, S, S, 3]`` to maps at strides 4, 8 and 16."""
        features = self.image_encoder(channels_first(image))
        return tuple(channels_last(x) for x in (features.stride4, features.stride8, features.stride16))


class Attend(nn.Module):
    """Condition a frame on memories; padding is 0 in the two ``valid`` inputs and never read."""

    def __init__(self, model: EdgeTAM) -> None:
        super().__init__()
        self.memory_attention = model.memory_attention

    def forward(
        self,
        stride16: Tensor,
        tokens: Tensor,
        ages: Tensor,
        tokens_valid: Tensor,
        pointers: Tensor,
        pointers_valid: Tensor,
        distances: Tensor | None = None,
    ) -> Tensor:
        """See `edgetam.structs.MemoryContext`."""
        context = MemoryContext(tokens, ages.long(), pointers, distances, tokens_valid, pointers_valid)
        memory = self.memory_attention.arrange(context)  # type: ignore[arg-type]
        assert memory.valid is not None
        bias = (1 - memory.valid) * UNREADABLE  # [B, 1, L]
        fused = self.memory_attention.read(channels_first(stride16), memory._replace(valid=bias))
        return channels_last(fused)


class Track(nn.Module):
    """Decode a frame nobody prompted: prompt tokens are constant, and only the best candidate is drawn."""

    sparse: Tensor
    dense: Tensor
    place: Tensor

    def __init__(self, model: EdgeTAM) -> None:
        super().__init__()
        self.mask_decoder, self.object_pointer = model.mask_decoder, model.object_pointer
        nothing = DecoderPrompt(torch.zeros(1, 1, 2), torch.full((1, 1), -1))
        for name, value in zip(("sparse", "dense", "place"), model.prompts(nothing), strict=True):
            self.register_buffer(name, value)

    def forward(self, fused: Tensor, stride4: Tensor, stride8: Tensor) -> Outputs:
        """Logits, score, presence and pointer of each object."""
        features = _seen(stride4, stride8, fused)
        found = self.mask_decoder.best(features.stride16, features, self.sparse, self.dense, self.place)
        return (
            found.masks,
            found.scores,
            found.presence,
            self.object_pointer(found.tokens[:, 0], found.presence),
        )


class Answer(nn.Module):
    """Decode clicks, boxes and earlier masks: all four candidates, and the pointer each would have.

    A label of -2 is padding that nothing sees. ``has_mask`` is 1 where ``mask`` is a prompt, else 0.
    """

    place: Tensor

    def __init__(self, model: EdgeTAM) -> None:
        super().__init__()
        self.prompt_encoder, self.mask_decoder = model.prompt_encoder, model.mask_decoder
        self.object_pointer = model.object_pointer
        self.register_buffer("place", model.prompt_encoder.positions())

    def forward(
        self,
        fused: Tensor,
        stride4: Tensor,
        stride8: Tensor,
        points: Tensor,
        labels: Tensor,
        mask: Tensor,
        has_mask: Tensor,
    ) -> Outputs:
        """Logits, scores, presence and pointers of all candidates."""
        encoder = self.prompt_encoder
        given = has_mask[:, :, None, None]
        dense = encoder.encode_mask(mask) * given + encoder.encode_mask(None) * (1 - given)
        sparse = encoder.encode_points(points, labels.clamp(min=-1).long())
        real = (labels > PADDING_LABEL).to(points.dtype)
        real = torch.cat([real, real.amax(1, keepdim=True)], dim=1)  # the closing token follows a prompt only
        bias = (1 - real) * UNREADABLE  # [B, P + 1]
        features = _seen(stride4, stride8, fused)
        found = self.mask_decoder(features.stride16, features, sparse, dense, self.place, bias)
        pointers = self.object_pointer(found.tokens, found.presence[:, None])
        return found.masks, found.scores, found.presence, pointers


class Adopt(nn.Module):
    """Take given masks as the answer."""

    shrink: Tensor

    def __init__(self, model: EdgeTAM) -> None:
        super().__init__()
        self.model = model
        # antialiased resizing as a product with a table, since not all runtimes know it
        full, small = model.config.image_size, model.config.mask_size
        table = F.interpolate(torch.eye(full)[None, None], (small, full), mode="bilinear", antialias=True)
        self.register_buffer("shrink", table[0, 0])

    def forward(self, stride4: Tensor, stride8: Tensor, stride16: Tensor, given: Tensor) -> Outputs:
        """Masks of zeros and ones to logits, presence and pointer."""
        shrunk = self.shrink @ given @ self.shrink.T
        decoded = self.model.adopt_shrunk(_seen(stride4, stride8, stride16), given, shrunk)
        return decoded.masks, decoded.presence, decoded.pointer


class Remember(nn.Module):
    """Compress frame and masks into memory; ``binarize`` is 1 or 0."""

    def __init__(self, model: EdgeTAM) -> None:
        super().__init__()
        self.model = model

    def forward(self, stride16: Tensor, masks: Tensor, presence: Tensor, binarize: Tensor) -> Tensor:
        """Logits to tokens."""
        return self.compress(stride16, self.refine(masks), presence, binarize)

    def refine(self, masks: Tensor) -> Tensor:
        """Logits ``[B, 1, 4g, 4g]`` at full resolution, as `FoldedMaskDownsampler` has it."""
        return self.model.memory_encoder.mask_downsampler.enlarge(masks)

    def compress(self, stride16: Tensor, fine: Tensor, presence: Tensor, binarize: Tensor) -> Tensor:
        """Logits at full resolution to tokens."""
        hard = binarize[:, None, None, None] > 0  # of the rank of masks, or OpenVINO reorders these for it
        likely = torch.where(hard, (fine > 0).to(fine.dtype), torch.sigmoid(fine))
        # OpenVINO adds the mask in the place of the projected image and so needs one for each object
        return self.model.compress(
            channels_first(stride16).expand(fine.shape[0], -1, -1, -1), likely, presence
        )


class RememberExclusive(Remember):
    """The same where each pixel belongs to the object with the highest logit only."""

    def forward(self, stride16: Tensor, masks: Tensor, presence: Tensor, binarize: Tensor) -> Tensor:
        """Logits to tokens."""
        return self.compress(stride16, keep_highest(self.refine(masks)), presence, binarize)


def _features(config: ModelConfig) -> tuple[Port, Port, Port]:
    g, (wide, middle) = config.grid, HIGH_RES_DIMS
    return (
        Port("stride4", (1, 4 * g, 4 * g, wide)),
        Port("stride8", (1, 2 * g, 2 * g, middle)),
        Port("stride16", (1, g, g, HIDDEN_DIM)),
    )


def _answer_ports(config: ModelConfig, masks: int) -> tuple[Port, ...]:
    side = config.mask_size
    pointer = ("B", HIDDEN_DIM) if masks == 1 else ("B", masks, HIDDEN_DIM)
    return (
        Port("masks", ("B", masks, side, side)),
        Port("scores", ("B", masks)),
        Port("presence", ("B", 1)),
        Port("pointer", pointer),
    )


def _encode(model: EdgeTAM) -> Graph:
    size = model.config.image_size
    return Graph("encode", Encode(model), (Port("image", (1, size, size, 3)),), _features(model.config))


def _attend(model: EdgeTAM) -> Graph:
    config = model.config
    inputs = [
        _features(config)[2],
        Port("tokens", ("B", "T", config.memory_layout.tokens, MEMORY_DIM)),
        Port("ages", ("B", "T"), "int32"),
        Port("tokens_valid", ("B", "T")),
        Port("pointers", ("B", "P", HIDDEN_DIM)),
        Port("pointers_valid", ("B", "P")),
    ]
    if config.pointer_time:
        inputs.append(Port("distances", ("B", "P")))
    fused = Port("fused", ("B", config.grid, config.grid, HIDDEN_DIM))
    return Graph("attend", Attend(model), tuple(inputs), (fused,))


def _track(model: EdgeTAM) -> Graph:
    config = model.config
    fused = Port("fused", ("B", config.grid, config.grid, HIDDEN_DIM))
    return Graph("track", Track(model), (fused, *_features(config)[:2]), _answer_ports(config, 1))


def _answer(model: EdgeTAM) -> Graph:
    config = model.config
    inputs = (
        Port("fused", ("F", config.grid, config.grid, HIDDEN_DIM)),  # 1, or B
        *_features(config)[:2],
        Port("points", ("B", "P", 2)),
        Port("labels", ("B", "P"), "int32"),
        Port("mask", ("B", 1, config.mask_size, config.mask_size)),
        Port("has_mask", ("B", 1)),
    )
    return Graph("answer", Answer(model), inputs, _answer_ports(config, MASK_TOKENS))


def _adopt(model: EdgeTAM) -> Graph:
    size = model.config.image_size
    masks, _, presence, pointer = _answer_ports(model.config, 1)
    inputs = (*_features(model.config), Port("given", ("B", 1, size, size)))
    return Graph("adopt", Adopt(model), inputs, (masks, presence, pointer))


def _remember(model: EdgeTAM, module: type[Remember] = Remember, name: str = "remember") -> Graph:
    config = model.config
    inputs = (
        _features(config)[2],
        Port("masks", ("B", 1, config.mask_size, config.mask_size)),
        Port("presence", ("B", 1)),
        Port("binarize", (1,)),
    )
    tokens = Port("tokens", ("B", config.memory_layout.tokens, MEMORY_DIM))
    return Graph(name, module(model), inputs, (tokens,))


def _remember_exclusive(model: EdgeTAM) -> Graph:
    return _remember(model, RememberExclusive, "remember_exclusive")


GRAPHS: dict[str, Callable[[EdgeTAM], Graph]] = {
    "encode": _encode,
    "attend": _attend,
    "track": _track,
    "answer": _answer,
    "adopt": _adopt,
    "remember": _remember,
    "remember_exclusive": _remember_exclusive,
}


def make_graph(name: str, model: EdgeTAM) -> Graph:
    """The graph called ``name`` of a network in inference form."""
    with torch.no_grad(), in_full_precision():
        return GRAPHS[name](model)
