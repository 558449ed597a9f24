"""Attention of the mask decoder and of the perceiver gives the same answers in another form."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("openvino")

import openvino as ov
import torch
from openvino import opset13 as op

from edgetam.engine.openvino import convert, core
from edgetam.engine.openvino_decoder import softmax_across, unfuse_tokens
from edgetam.engine.source import Source
from edgetam.model import EdgeTAM

PIXELS = 64


def answers(model: ov.Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return [np.array(x) for x in core().compile_model(model, "CPU", settings)(inputs).values()]


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def softmax_of(shape: list[int], axis: int = -1) -> ov.Model:
    given = op.parameter(shape, np.float32, name="x")
    return ov.Model([op.softmax(given, axis)], [given])


def tokens(*neutral: float) -> ov.Model:
    """Attention with a mask and a scale, or without."""
    shapes = {"q": [-1, 5, 8], "k": [-1, PIXELS, 8], "v": [-1, PIXELS, 8]}
    inputs = [op.parameter(shape, np.float32, name=name) for name, shape in shapes.items()]
    numbers = [op.constant(np.float32(number)) for number in neutral]
    return ov.Model([op.scaled_dot_product_attention(*inputs, *numbers)], inputs)


@pytest.mark.parametrize("transposed", [False, True])
def test_tokens_look_at_the_image_in_products(transposed: bool) -> None:
    shapes = [[-1, 5, 8], [-1, PIXELS, 8] if transposed else [-1, 8, PIXELS]]
    inputs = [op.parameter(shape, np.float32) for shape in shapes]
    model = ov.Model([op.softmax(op.matmul(*inputs, False, transposed), -1)], inputs)
    given = [normal(2, 5, 8), normal(2, PIXELS, 8) if transposed else normal(2, 8, PIXELS)]
    [expected] = answers(model, given)
    assert unfuse_tokens(model) == 1
    [got] = answers(model, given)
    assert np.allclose(got, expected, atol=1e-6)


def test_queries_that_are_known_become_a_layer_of_the_image() -> None:
    image = op.parameter([-1, PIXELS, 8], np.float32)
    model = ov.Model([op.softmax(op.matmul(op.constant(normal(1, 5, 8)), image, False, True), -1)], [image])
    given = [normal(2, PIXELS, 8)]
    [expected] = answers(model, given)
    assert unfuse_tokens(model) == 1
    [product] = [node for node in model.get_ops() if node.get_type_name() == "MatMul"]
    assert product.input_value(1).get_node().get_type_name() == "Constant"
    [got] = answers(model, given)
    assert got.shape == (2, 5, PIXELS)
    assert np.allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("neutral", [(), (0, 1)])
def test_fused_attention_of_tokens_is_taken_apart(neutral: tuple[float, ...]) -> None:
    model, given = tokens(*neutral), [normal(2, 5, 8), normal(2, PIXELS, 8), normal(2, PIXELS, 8)]
    [expected] = answers(model, given)
    assert unfuse_tokens(model) == 1
    assert "ScaledDotProductAttention" not in {node.get_type_name() for node in model.get_ops()}
    [got] = answers(model, given)
    assert np.allclose(got, expected, atol=1e-6)


def test_a_scale_or_a_mask_is_left_alone() -> None:
    assert unfuse_tokens(tokens(0, 0.5)) == 0
    assert unfuse_tokens(tokens(-1, 1)) == 0


def test_softmaxes_of_few_go_across_pixels() -> None:
    model = softmax_of([-1, PIXELS, 3, 8])
    given = 100 * normal(2, PIXELS, 3, 8)  # their powers alone would be infinite
    [expected] = answers(model, [given])
    assert softmax_across(model) == 1
    [got] = answers(model, [given])
    assert np.allclose(got, expected, atol=1e-6)
    assert softmax_across(model) == 0


@pytest.mark.parametrize("shape", [[-1, PIXELS, 3, 17], [-1, PIXELS, 3, -1], [-1, 8, 3, 8], [PIXELS, 8]])
def test_other_softmaxes_stay(shape: list[int]) -> None:
    assert softmax_across(softmax_of(shape)) == 0


def test_softmaxes_of_another_axis_stay() -> None:
    assert softmax_across(softmax_of([-1, PIXELS, 3, 8], 1)) == 0


@pytest.mark.parametrize(
    ("graph", "looks", "softmaxes"), [("track", 3, 2), ("answer", 3, 0), ("adopt", 3, 2)]
)
def test_the_decoder_of_every_graph(model: EdgeTAM, graph: str, looks: int, softmaxes: int) -> None:
    """How many tokens a prompt has is not known beforehand, so the softmaxes of `answer` stay."""
    with torch.no_grad():
        converted = convert(Source.of_network(model).graph(graph))
    assert unfuse_tokens(converted) == 3
    assert softmax_across(converted) == softmaxes


def test_latents_of_the_perceiver(model: EdgeTAM) -> None:
    """Both kinds look at the map in both layers, and the global ones at each other."""
    with torch.no_grad():
        converted = convert(Source.of_network(model).graph("remember"))
    assert unfuse_tokens(converted) == 6
