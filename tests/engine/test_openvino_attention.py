"""Attention taken apart gives the same answers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("openvino")

import openvino as ov
from openvino import opset13 as op

from edgetam.engine.openvino import core
from edgetam.engine.openvino_attention import BLOCK, AbsMax, ignore_padding, unfuse_attention

KEYS, VALUES = 33, 5


def attention(queries: int, *, heads: int = 1, bias: bool = False) -> ov.Model:
    """A model of one attention whose batch and keys may have any length."""
    shapes = {"q": [-1, heads, queries, 8], "k": [-1, heads, -1, 8], "v": [-1, heads, -1, VALUES]}
    inputs = [op.parameter(shape, np.float32, name=name) for name, shape in shapes.items()]
    if bias:
        inputs.append(op.parameter([-1, 1, 1, -1], np.float32, name="bias"))
    return ov.Model([op.scaled_dot_product_attention(*inputs)], inputs)


def answers(model: ov.Model, inputs: list[np.ndarray]) -> np.ndarray:
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core().compile_model(model, "CPU", settings)
    return np.array(compiled(inputs)[0])


def softmaxes(model: ov.Model) -> list[ov.Node]:
    return [node for node in model.get_ops() if node.get_type_name() == "Softmax"]


def numbers(*, bias: bool = False) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    lengths = [(2, 1, 7, 8), (2, 1, KEYS, 8), (2, 1, KEYS, VALUES)]
    inputs = [2 * generator.normal(size=shape).astype(np.float32) for shape in lengths]
    if bias:  # the second object has fewer keys
        inputs.append(np.where(np.arange(KEYS) < [[KEYS], [20]], 0, -1e4).astype(np.float32)[:, None, None])
    return inputs


@pytest.mark.parametrize("bias", [False, True])
def test_the_answers_stay_the_same(bias: bool) -> None:
    inputs = numbers(bias=bias)
    model = attention(7, bias=bias)
    expected = answers(model, inputs)
    assert unfuse_attention(model) == 1
    assert "ScaledDotProductAttention" not in {node.get_type_name() for node in model.get_ops()}
    assert np.allclose(answers(model, inputs), expected, atol=1e-6)


@pytest.mark.parametrize("queries", [BLOCK, BLOCK + 3, 2 * BLOCK])
def test_many_queries_go_block_by_block(queries: int) -> None:
    inputs = numbers(bias=True)
    inputs[0] = np.random.default_rng(1).normal(size=(2, 1, queries, 8)).astype(np.float32)
    model = attention(queries, bias=True)
    expected = answers(model, inputs)
    unfuse_attention(model)
    assert len(softmaxes(model)) == -(-queries // BLOCK)
    assert np.allclose(answers(model, inputs), expected, atol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
def test_objects_go_one_by_one_where_their_number_is_known(shared: bool) -> None:
    """Queries may be one object's for all."""
    inputs = numbers(bias=True)
    inputs[0] = np.random.default_rng(1).normal(size=(1 if shared else 2, 1, BLOCK + 1, 8)).astype(np.float32)
    model = attention(BLOCK + 1, bias=True)
    expected = answers(model, inputs)
    model.reshape(dict(zip(model.inputs, (list(x.shape) for x in inputs), strict=True)))
    assert unfuse_attention(model) == 1
    assert [node.shape[0] for node in softmaxes(model)] == [1] * 4
    assert np.allclose(answers(model, inputs), expected, atol=1e-6)
    assert ignore_padding(model) == 4


def test_padding_is_ignored_where_there_is_none() -> None:
    inputs = numbers(bias=True)
    inputs[3][:] = 0
    model = attention(BLOCK + 1, bias=True)
    inputs[0] = np.random.default_rng(1).normal(size=(2, 1, BLOCK + 1, 8)).astype(np.float32)
    expected = answers(model, inputs)
    unfuse_attention(model)
    assert ignore_padding(model) == 2
    assert np.array_equal(answers(model, inputs), answers(model, [*inputs[:3], inputs[3] - 5]))
    assert np.allclose(answers(model, inputs), expected, atol=1e-6)
    assert ignore_padding(model) == 0


def test_several_heads_stay_together() -> None:
    assert unfuse_attention(attention(7, heads=2)) == 0


@pytest.mark.parametrize("bias", [False, True])
def test_comparing_in_int8_changes_little(bias: bool) -> None:
    inputs = numbers(bias=bias)
    model = attention(7, bias=bias)
    expected = answers(model, inputs)
    name = next(n for n in model.get_ops() if "Attention" in n.get_type_name()).get_friendly_name()
    abs_max = AbsMax(*(float(np.abs(x).max()) for x in inputs[:2]))
    assert unfuse_attention(model, {name: abs_max}) == 1
    found = answers(model, inputs)
    assert 1e-6 < np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_what_reaches_too_far_is_cut_off() -> None:
    inputs = numbers()
    outcomes = []
    for scale in (1, 100):
        model = attention(7)
        name = next(n for n in model.get_ops() if "Attention" in n.get_type_name()).get_friendly_name()
        unfuse_attention(model, {name: AbsMax(1e-3, 1e-3)})
        outcomes.append(answers(model, [scale * inputs[0], scale * inputs[1], inputs[2]]))
    mean = np.broadcast_to(inputs[2].mean(2, keepdims=True), outcomes[0].shape)
    assert np.allclose(outcomes[0], mean, atol=1e-4)  # nothing can tell keys apart
    assert np.allclose(outcomes[1], mean, atol=1e-4)
