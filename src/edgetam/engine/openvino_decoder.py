"""The mask decoder in OpenVINO: what it fuses or runs slowly, in another form.

Tokens that look at the image are few queries of 256 channels: OpenVINO fuses that into one operation, whose
products are slow. The image that looks at tokens has many softmaxes over eight of them, which are too short
for vectors; with pixels last they are sums and maxima of whole rows.
"""

from __future__ import annotations

import numpy as np

from edgetam.engine.openvino_attention import replace
from edgetam.engine.silent_openvino import op, ov

__all__ = ["softmax_across", "unfuse_tokens"]

FEW = 16
"""Entries that a softmax has where a vector holds more."""


def unfuse_tokens(model: ov.Model) -> int:
    """Replace attention ``[B, queries, C]`` by products and a softmax in place; tells how often."""
    count = 0
    for node in model.get_ops():
        kind = node.get_type_name()
        if kind == "ScaledDotProductAttention" and _is_plain(node):
            query, key, value = (port.get_source_output() for port in node.inputs()[:3])
            replace(node, op.matmul(_weights(query, key, transposed=True), value, False, False))
        elif kind == "Softmax" and _is_of_tokens(node):
            product = node.input_value(0).get_node()
            transposed = product.get_attributes()["transpose_b"]
            replace(node, _weights(product.input_value(0), product.input_value(1), transposed=transposed))
        else:
            continue
        count += 1
    return count


def softmax_across(model: ov.Model) -> int:
    """Let softmaxes over the few entries of ``[B, pixels, heads, few]`` go across pixels; tells how often."""
    found = [node for node in model.get_ops() if node.get_type_name() == "Softmax" and _has_few(node)]
    for node in found:
        across = op.transpose(node.input_value(0), op.constant(np.array([0, 2, 3, 1])))
        few = op.constant(np.array([2]))
        powers = op.exp(op.subtract(across, op.reduce_max(across, few, True)))
        weights = op.divide(powers, op.reduce_sum(powers, few, True))
        replace(node, op.transpose(weights, op.constant(np.array([0, 3, 1, 2]))))
    return len(found)


def _weights(query: ov.Output, key: ov.Output, *, transposed: bool) -> ov.Node:
    """Softmax of products, with an axis more in between, or OpenVINO fuses it again."""
    axis = op.constant(np.array([1]))
    logits = op.matmul(op.unsqueeze(query, axis), op.unsqueeze(key, axis), False, transposed)
    return op.squeeze(op.softmax(logits, -1), axis)


def _is_plain(node: ov.Node) -> bool:
    """Whether it is ``[B, queries, C]`` and its mask and scale do nothing: they are zero and one."""
    neutral = [port.get_source_output().get_node() for port in node.inputs()[3:]]
    return (
        len(node.input(0).get_partial_shape()) == 3
        and len(neutral) == 2
        and all(other.get_type_name() == "Constant" for other in neutral)
        and [other.get_data().tolist() for other in neutral] == [0, 1]
    )


def _is_of_tokens(node: ov.Node) -> bool:
    product = node.input_value(0).get_node()
    return (
        product.get_type_name() == "MatMul"
        and len(node.input(0).get_partial_shape()) == 3
        and not product.get_attributes()["transpose_a"]
    )


def _has_few(node: ov.Node) -> bool:
    shape = node.input(0).get_partial_shape()
    return (
        len(shape) == 4
        and node.get_attributes()["axis"] in (-1, 3)
        and all(axis.is_static for axis in list(shape)[1:])
        and shape[3].get_length() <= FEW < shape[1].get_length()
    )
