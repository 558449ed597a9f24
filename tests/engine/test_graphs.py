"""The inference form and the graphs made of it answer as the training form does."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from edgetam.engine.candidates import choose
from edgetam.engine.graphs import GRAPHS, Graph, make_graph
from edgetam.engine.verbs import prompt_inputs
from edgetam.model import EdgeTAM, inference_form
from edgetam.structs import DecoderPrompt, ImageFeatures
from tests.model.lively import context_of, features_of, lively_model, shared_model

LENGTHS = {"B": 3, "T": 2, "P": 5, "F": 1}
MODES = ["best", "several", "single", "stable"]


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def folded(model: EdgeTAM) -> EdgeTAM:
    return inference_form(model)


def close(got: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    """Equal within a tolerance relative to the largest value."""
    assert got.shape == expected.shape
    assert (got - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1)


def last(x: Tensor) -> Tensor:
    """Maps as graphs take them."""
    return x.permute(0, 2, 3, 1)


def first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def points_of(count: int, mask: bool) -> DecoderPrompt[Tensor]:
    generator = torch.Generator().manual_seed(count)
    logits = torch.randn(3, 1, 64, 64, generator=generator) * 5 if mask else None
    labels = torch.randint(-1, 4, (3, count), generator=generator)
    return DecoderPrompt(torch.rand(3, count, 2, generator=generator) * 256, labels, logits)


def example(graph: Graph) -> list[Tensor]:
    shapes = [[LENGTHS.get(str(axis), axis) for axis in port.shape] for port in graph.inputs]
    types = [getattr(torch, port.dtype) for port in graph.inputs]
    return [torch.ones(shape, dtype=dtype) for shape, dtype in zip(shapes, types, strict=True)]


@pytest.mark.parametrize("name", ["edgetam", "sam2.1-t"])
def test_the_inference_form_answers_as_the_training_form(name: str) -> None:
    trained = shared_model(name, 256)
    other = inference_form(trained)
    features, context = features_of(trained), context_of(trained, 2, 3, 4)
    image = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    for got, expected in zip(astuple(other.encode(image)), astuple(trained.encode(image)), strict=True):
        close(got, expected)
    fused = trained.attend(features, context)
    close(other.attend(features, context), fused)
    prompt = replace(points_of(2, mask=True), mask=None)
    prompt = DecoderPrompt(prompt.points[:2], prompt.labels[:2])
    expected = trained.decode(fused, features, prompt)
    for got, wanted in zip(astuple(other.decode(fused, features, prompt)), astuple(expected), strict=True):
        close(got.float(), wanted.float())
    arguments = features, expected.masks[:, :1], expected.presence, expected.pointer
    close(
        other.remember(*arguments, binarize=False).tokens, trained.remember(*arguments, binarize=False).tokens
    )


@pytest.mark.parametrize("size", [256, 512])
@pytest.mark.parametrize("name", list(GRAPHS))
def test_ports_say_what_graphs_take_and_give(name: str, size: int) -> None:
    graph = make_graph(name, shared_model("edgetam", size))
    outputs = graph.module(*example(graph))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    for port, found in zip(graph.outputs, outputs, strict=True):
        assert tuple(found.shape) == tuple(LENGTHS.get(str(axis), axis) for axis in port.shape)
        assert found.dtype == getattr(torch, port.dtype)


@pytest.mark.parametrize("name", ["edgetam", "sam2.1-t"])
def test_padded_memories_are_not_read(name: str) -> None:
    trained = shared_model(name, 256)
    features, context = features_of(trained), context_of(trained, 2, 3, 4)
    graph = make_graph("attend", trained)
    whole = torch.ones(2, 3), torch.ones(2, 4)
    ages = context.ages.int()
    extra = [context.distances] if len(graph.inputs) == 7 else []
    got = graph.module(
        last(features.stride16), context.tokens, ages, whole[0], context.pointers, whole[1], *extra
    )
    close(first(got), trained.attend(features, context))
    whole[0][1, 1:], whole[1][1, 2:] = 0, 0
    valid = replace(context, tokens_valid=whole[0] > 0, pointers_valid=whole[1] > 0)
    got = graph.module(
        last(features.stride16), context.tokens, ages, whole[0], context.pointers, whole[1], *extra
    )
    close(first(got), trained.attend(features, valid))


def test_frames_without_prompts(model: EdgeTAM, folded: EdgeTAM) -> None:
    features, fused = features_of(model), torch.randn(3, 256, 16, 16)
    masks, scores, presence, pointer = make_graph("track", folded).module(
        last(fused), last(features.stride4), last(features.stride8)
    )
    nothing = DecoderPrompt(torch.zeros(3, 1, 2), torch.full((3, 1), -1))
    expected = model.decode(fused, features, nothing, "several")
    rows = torch.arange(3)
    close(masks[:, 0], expected.masks[rows, expected.best])
    close(scores[:, 0], expected.scores[rows, expected.best])
    close(presence, expected.presence)
    close(pointer, expected.pointer)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("points", "mask"), [(1, False), (3, True), (8, False), (9, True), (0, True)])
@pytest.mark.parametrize("shared", [True, False])
def test_answers_to_prompts(
    model: EdgeTAM, folded: EdgeTAM, mode: str, points: int, mask: bool, shared: bool
) -> None:
    """Points are padded to eight, or sixteen."""
    features, prompt = features_of(model), points_of(points, mask)
    fused = torch.randn(1 if shared else 3, 256, 16, 16, generator=torch.Generator().manual_seed(1))
    arrays = DecoderPrompt(*(None if x is None else x.numpy() for x in astuple(prompt)))
    inputs = {name: torch.from_numpy(value) for name, value in prompt_inputs(arrays, 64).items()}
    assert inputs["points"].shape[1] % 8 == 0
    found = make_graph("answer", folded).module(
        last(fused), last(features.stride4), last(features.stride8), **inputs
    )
    got = choose(*(part.numpy() for part in found), mode)
    expected = model.decode(fused, features, prompt, mode)
    for mine, wanted in zip(astuple(got), astuple(expected), strict=True):
        close(torch.from_numpy(np.asarray(mine)).float(), wanted.float())


def test_both_outcomes_of_stability_are_seen() -> None:
    masks = np.full((2, 4, 8, 8), 3, np.float32)
    masks[1, 0] = 0  # above -0.05 and not above +0.05
    masks[:, 2] = 7
    scores = np.array([[0.1, 0.2, 0.9, 0.3]] * 2, np.float32)
    pointers = np.arange(8, dtype=np.float32).reshape(2, 4, 1)
    decoded = choose(masks, scores, np.ones((2, 1), np.float32), pointers, "stable")
    assert decoded.masks[:, 0, 0, 0].tolist() == [3, 7]
    assert decoded.scores[:, 0].tolist() == pytest.approx([0.1, 0.9])
    assert decoded.pointer[:, 0].tolist() == [0, 4]


@pytest.mark.parametrize("empty", [True, False])
def test_given_masks(model: EdgeTAM, folded: EdgeTAM, empty: bool) -> None:
    features, mask = features_of(model), torch.zeros(2, 1, 256, 256)
    if not empty:
        mask[:, :, 40:90, 33:121] = 1
    masks, presence, pointer = make_graph("adopt", folded).module(*map(last, astuple(features)), mask)
    expected = model.adopt(features, mask)
    close(masks, expected.masks)
    close(presence, expected.presence)
    close(pointer, expected.pointer)


@pytest.mark.parametrize("name", ["remember", "remember_exclusive"])
@pytest.mark.parametrize("binarize", [True, False])
def test_memories(model: EdgeTAM, folded: EdgeTAM, name: str, binarize: bool) -> None:
    features = features_of(model)
    masks = torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(2)) * 5
    presence = torch.tensor([[4.0], [-4.0], [1.0]])
    tokens = make_graph(name, folded).module(
        last(features.stride16), masks, presence, torch.tensor([float(binarize)])
    )
    exclusive = name == "remember_exclusive"
    pointer = torch.zeros(3, 256)
    expected = model.remember(features, masks, presence, pointer, binarize=binarize, exclusive=exclusive)
    close(tokens, expected.tokens)


def test_the_best_of_many_prompts_on_one_map() -> None:
    model = lively_model("edgetam", 256)
    features, prompt = features_of(model), points_of(1, mask=False)
    fused = model.attend(features, None)
    several, best = (model.decode(fused, features, prompt, mode) for mode in ("several", "best"))
    rows = torch.arange(3)
    close(best.masks[:, 0], several.masks[rows, several.best])
    close(best.scores[:, 0], several.scores[rows, several.best])
    close(best.pointer, several.pointer)
    assert best.best.tolist() == [0, 0, 0]
    assert isinstance(features, ImageFeatures)
