"""The four verbs: batched over objects, free of state, at any size."""

from __future__ import annotations

import ast
import copy
from dataclasses import astuple, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import edgetam.model
from edgetam.config import VARIANTS, get_config
from edgetam.errors import ConfigError
from edgetam.model import EdgeTAM, build_model, fold_
from edgetam.model.edgetam import keep_highest
from edgetam.structs import Decoded, DecoderPrompt, MemoryContext
from tests.model.lively import context_of, features_of, lively_model, rows, shared_model

OBJECTS = 3
PARAMETERS = {
    "edgetam": 13_895_794,
    "sam2-t": 38_945_986,
    "sam2-s": 46_043_842,
    "sam2-b+": 80_833_666,
    "sam2-l": 224_430_130,
    "sam2.1-t": 38_962_498,
    "sam2.1-s": 46_060_354,
    "sam2.1-b+": 80_850_178,
    "sam2.1-l": 224_446_642,
}
"""As published, without buffers."""


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    """Equal within a tolerance relative to the largest value."""
    assert a.shape == b.shape
    assert (a - b).abs().max() <= tolerance * b.abs().max().clamp(min=1)


def prompt_of(model: EdgeTAM, batch: int, points: int, mask: bool = False) -> DecoderPrompt[Tensor]:
    generator = torch.Generator().manual_seed(3)
    side = model.config.mask_size
    return DecoderPrompt(
        torch.rand(batch, points, 2, generator=generator) * model.config.image_size,
        torch.randint(-1, 4, (batch, points), generator=generator),
        torch.randn(batch, 1, side, side, generator=generator) * 5 if mask else None,
    )


def decoded_rows(decoded: Decoded[Tensor], row: int) -> list[Tensor]:
    return [part[row : row + 1] for part in astuple(decoded)]


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


def test_encoding_a_batch_equals_encoding_one_by_one(model: EdgeTAM) -> None:
    images = torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    together = model.encode(images)
    for i in range(2):
        alone = model.encode(images[i : i + 1])
        for name in ("stride4", "stride8", "stride16"):
            close(getattr(together, name)[i : i + 1], getattr(alone, name))


def test_features_have_life(model: EdgeTAM) -> None:
    """If this fails, the other tests compare constants."""
    features = model.encode(torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)))
    for part in (features.stride4, features.stride8, features.stride16):
        assert part.isfinite().all()
        assert 1e-2 < part.std() < 1e3
    decoded = model.decode(model.attend(features, None), features, prompt_of(model, 1, 1))
    assert (decoded.presence > 0).all()
    assert decoded.masks.std() > 1e-2
    memory = model.remember(features, decoded.masks[:, :1], decoded.presence, decoded.pointer, binarize=False)
    assert memory.tokens.std() > 1e-2


@pytest.mark.parametrize(("name", "shared"), [("edgetam", True), ("edgetam", False), ("sam2.1-t", True)])
def test_attending_for_many_objects_equals_one_by_one(name: str, shared: bool) -> None:
    model = shared_model(name, 256)
    features = features_of(model, 1 if shared else OBJECTS)
    context = context_of(model, OBJECTS, frames=3, pointers=4)
    together = model.attend(features, context)
    for i in range(OBJECTS):
        one = MemoryContext(
            *(x[i : i + 1] for x in (context.tokens, context.ages, context.pointers, context.distances))
        )
        close(together[i : i + 1], model.attend(features if shared else rows(features, i), one))


@pytest.mark.parametrize("name", ["edgetam", "sam2.1-t"])
def test_padding_of_memories_is_never_read(name: str) -> None:
    model = shared_model(name, 256)
    features = features_of(model)
    context = context_of(model, 1, frames=2, pointers=3)
    other = context_of(model, 1, frames=4, pointers=5, seed=1)
    padded = MemoryContext(
        torch.cat([context.tokens, torch.full_like(other.tokens[:, :2], 1e4)], dim=1),
        torch.cat([context.ages, torch.full((1, 2), 3)], dim=1),
        torch.cat([context.pointers, torch.full((1, 2, 256), -1e4)], dim=1),
        torch.cat([context.distances, torch.ones(1, 2)], dim=1),
        torch.tensor([[True] * 2 + [False] * 2]),
        torch.tensor([[True] * 3 + [False] * 2]),
    )
    close(model.attend(features, padded), model.attend(features, context))
    ragged = MemoryContext(
        *(
            torch.cat(pair)
            for pair in (
                (padded.tokens, other.tokens),
                (padded.ages, other.ages),
                (padded.pointers, other.pointers),
                (padded.distances, other.distances),
                (padded.tokens_valid, torch.ones(1, 4, dtype=torch.bool)),
                (padded.pointers_valid, torch.ones(1, 5, dtype=torch.bool)),
            )
        )
    )
    together = model.attend(features, ragged)
    close(together[:1], model.attend(features, context))
    close(together[1:], model.attend(features, other))


def test_memories_without_pointers_can_be_read(model: EdgeTAM) -> None:
    """Frames before the first prompt read memories, but no pointer."""
    context = context_of(model, 2, frames=1, pointers=0)
    fused = model.attend(features_of(model), context)
    assert fused.isfinite().all()
    masked = replace(
        context,
        tokens_valid=torch.ones(2, 1, dtype=torch.bool),
        pointers_valid=torch.ones(2, 0, dtype=torch.bool),
    )
    close(model.attend(features_of(model), masked), fused)


def test_ages_and_order_of_memories(model: EdgeTAM) -> None:
    """Age changes what a memory means; the order of memories does not."""
    features = features_of(model)
    context = context_of(model, 1, frames=3, pointers=2)
    order = [2, 0, 1]
    shuffled = replace(context, tokens=context.tokens[:, order], ages=context.ages[:, order])
    close(model.attend(features, shuffled), model.attend(features, context))
    older = replace(context, ages=context.ages + 1)
    assert (model.attend(features, older) - model.attend(features, context)).abs().max() > 1e-2


@pytest.mark.parametrize("mode", ["several", "single", "stable"])
@pytest.mark.parametrize(("points", "mask"), [(1, False), (3, False), (0, True), (2, True)])
def test_decoding_many_objects_equals_one_by_one(model: EdgeTAM, mode: str, points: int, mask: bool) -> None:
    features = features_of(model)
    fused = model.attend(features, context_of(model, OBJECTS, frames=1, pointers=1))
    prompt = prompt_of(model, OBJECTS, points, mask)
    together = model.decode(fused, features, prompt, mode)
    for i in range(OBJECTS):
        at = slice(i, i + 1)
        alone = model.decode(
            fused[at],
            features,
            DecoderPrompt(
                prompt.points[at], prompt.labels[at], None if prompt.mask is None else prompt.mask[at]
            ),
            mode,
        )
        for got, expected in zip(decoded_rows(together, i), astuple(alone), strict=True):
            close(got, expected)


def test_a_fused_map_of_one_serves_many_prompts(model: EdgeTAM) -> None:
    features = features_of(model)
    fused = model.attend(features, None)
    prompt = prompt_of(model, OBJECTS, 1)
    one = model.decode(fused, features, prompt)
    many = model.decode(fused.expand(OBJECTS, -1, -1, -1), features, prompt)
    for got, expected in zip(astuple(one), astuple(many), strict=True):
        close(got, expected)


def test_adopting_many_masks_equals_one_by_one(model: EdgeTAM) -> None:
    features = features_of(model)
    masks = torch.zeros(OBJECTS, 1, 256, 256)
    masks[0, :, 40:100, 30:200] = 1
    masks[2, :, 120:, 90:] = 1
    together = model.adopt(features, masks)
    for i in range(OBJECTS):
        for got, expected in zip(
            decoded_rows(together, i), astuple(model.adopt(features, masks[i : i + 1])), strict=True
        ):
            close(got, expected)
    assert together.presence.flatten().tolist() == [10, -10, 10]
    assert torch.equal(together.pointer[1], model.object_pointer.absent)
    assert not torch.equal(together.pointer[0], model.object_pointer.absent)
    assert torch.allclose(together.masks.amax((1, 2, 3)), torch.tensor([10.0, -10.0, 10.0]))


@pytest.mark.parametrize(
    ("name", "shared", "binarize"),
    [("edgetam", True, False), ("edgetam", True, True), ("edgetam", False, False), ("sam2.1-t", True, False)],
)
def test_remembering_many_objects_equals_one_by_one(name: str, shared: bool, binarize: bool) -> None:
    """The published code fails for two objects here."""
    model = shared_model(name, 256)
    features = features_of(model, 1 if shared else OBJECTS)
    masks = torch.randn(OBJECTS, 1, 64, 64, generator=torch.Generator().manual_seed(6)) * 4
    presence = torch.tensor([[5.0], [-5.0], [1.0]])
    pointer = torch.randn(OBJECTS, 256)
    together = model.remember(features, masks, presence, pointer, binarize=binarize)
    assert together.pointer is pointer
    for i in range(OBJECTS):
        at = slice(i, i + 1)
        alone = model.remember(
            features if shared else rows(features, i), masks[at], presence[at], pointer[at], binarize=binarize
        )
        close(together.tokens[at], alone.tokens)


def test_absence_marks_memories_of_sam21_only() -> None:
    for name, marks in (("edgetam", False), ("sam2-t", False), ("sam2.1-t", True)):
        network = shared_model(name, 256)
        features, mask = features_of(network), torch.zeros(1, 1, 64, 64)
        here, gone = (
            network.remember(features, mask, torch.tensor([[p]]), torch.zeros(1, 256), binarize=False).tokens
            for p in (1.0, -1.0)
        )
        assert (not torch.equal(here, gone)) == marks


def test_exclusive_memories_give_each_pixel_to_the_strongest(model: EdgeTAM) -> None:
    features = features_of(model)
    weak = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(7)) * 4
    masks = torch.cat([weak, weak + 1])
    nothing = torch.full_like(weak, -10)
    presence, pointer = torch.ones(2, 1), torch.zeros(2, 256)
    got = model.remember(features, masks, presence, pointer, binarize=True, exclusive=True)
    plain = model.remember(
        features, torch.cat([nothing, weak + 1]), presence, pointer, binarize=True, exclusive=False
    )
    close(got.tokens, plain.tokens)
    overlapping = model.remember(features, masks, presence, pointer, binarize=True)
    assert (got.tokens[0] - overlapping.tokens[0]).abs().max() > 1e-2


def test_the_first_object_wins_ties() -> None:
    masks = torch.tensor([[[[3.0, 1.0, -20.0]]], [[[3.0, 2.0, -30.0]]]])
    expected = torch.tensor([[[[3.0, -10.0, -20.0]]], [[[-10.0, 2.0, -30.0]]]])
    assert torch.equal(keep_highest(masks), expected)


def test_absent_objects_get_the_absent_pointer() -> None:
    absent = lively_model("edgetam", 256, presence=-100)
    features = features_of(absent)
    decoded = absent.decode(absent.attend(features, None), features, prompt_of(absent, 2, 1))
    assert (decoded.presence < 0).all()
    assert torch.equal(decoded.pointer, absent.object_pointer.absent.expand(2, -1))
    assert decoded.masks.std() > 1e-2, "logits are not gated: training needs them"


def test_folded_equals_unfolded(model: EdgeTAM) -> None:
    folded = fold_(copy.deepcopy(model))
    image = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    plain, merged = model.encode(image), folded.encode(image)
    for name in ("stride4", "stride8", "stride16"):
        close(getattr(merged, name), getattr(plain, name))
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    assert {type(m).__name__ for m in folded.modules()}.isdisjoint({"ConvNorm", "RepVggDepthwise", "Neck"})


@pytest.mark.parametrize("size", [512, 768])
def test_any_multiple_of_256_runs(size: int) -> None:
    network = lively_model("edgetam", size)
    features = network.encode(torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0)))
    g = size // 16
    assert features.stride16.shape == (1, 256, g, g)
    decoded = network.decode(network.attend(features, None), features, prompt_of(network, 1, 1))
    assert decoded.masks.shape == (1, 3, 4 * g, 4 * g)
    memory = network.remember(
        features, decoded.masks[:, :1], decoded.presence, decoded.pointer, binarize=False
    )
    assert memory.tokens.shape == (1, 512, 64)
    ages = torch.zeros(1, 1, dtype=torch.int64)
    context = MemoryContext(memory.tokens[:, None], ages, memory.pointer[:, None], torch.zeros(1, 1))
    fused = network.attend(features, context)
    assert fused.shape == (1, 256, g, g)
    assert fused.isfinite().all()


@pytest.mark.parametrize("size", [0, -256, 255, 300, 1000, 128])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=str(size)):
        get_config("edgetam", size)


def test_unknown_variants_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"sam3.*edgetam.*sam2\.1-l"):
        get_config("sam3")


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_are_as_many_as_published(name: str) -> None:
    with torch.device("meta"):
        network = build_model(get_config(name))
    unread = network.memory_attention.unused_no_memory_position  # a parameter in the published count
    assert sum(p.numel() for p in network.parameters()) + unread.numel() == PARAMETERS[name]


@pytest.mark.parametrize(("size", "name"), [(256, "sam2-t"), (256, "sam2-b+")])
def test_hiera_variants_run(size: int, name: str) -> None:
    network = lively_model(name, size)
    features = network.encode(torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0)))
    assert features.stride4.shape == (1, 32, size // 4, size // 4)
    assert features.stride16.shape == (1, 256, size // 16, size // 16)
    assert features.stride16.isfinite().all()


def test_calls_leave_no_trace(model: EdgeTAM) -> None:
    """Neither values nor attributes change, so eager, compiled and exported code agree."""

    def state() -> tuple[dict[str, Tensor], dict[str, frozenset[str]]]:
        values = {k: v.clone() for k, v in [*model.named_parameters(), *model.named_buffers()]}
        return values, {name: frozenset(vars(module)) for name, module in model.named_modules()}

    values, attributes = state()
    features = model.encode(torch.randn(1, 3, 256, 256))
    fused = model.attend(features, context_of(model, 2, frames=2, pointers=2))
    decoded = model.decode(fused, features, prompt_of(model, 2, 2, mask=True), "stable")
    model.adopt(features, torch.ones(1, 1, 256, 256))
    model.remember(features, decoded.masks, decoded.presence, decoded.pointer, binarize=True)
    after, attributes_after = state()
    assert attributes_after == attributes
    assert all(torch.equal(after[name], value) for name, value in values.items())


def test_only_constructors_assign_attributes() -> None:
    """No method of the model but `__init__` writes to `self` or asks whether it is being trained."""
    for path in sorted(Path(edgetam.model.__file__).parent.glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef) or function.name == "__init__":
                continue
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Attribute)
                    and isinstance(node.value, ast.Name)
                    and node.value.id == "self"
                ):
                    assert isinstance(node.ctx, ast.Load), (
                        f"{path.name}: {function.name} assigns self.{node.attr}"
                    )
                    assert node.attr != "training", f"{path.name}: {function.name} reads self.training"
