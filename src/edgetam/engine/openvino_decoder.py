"""The mask decoder and the perceiver in OpenVINO: what it fuses or runs slowly, in another form.

Tokens and latents that look at maps are few queries, or many with few keys each: OpenVINO fuses that into
one operation, whose products are slow. The image that looks at tokens has many softmaxes over eight of them,
which are too short for vectors; with pixels last they are sums and maxima of whole rows.
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
            query, key, value, *rest = (port.get_source_output() for port in node.inputs())
            if not rest:
                query = _scaled(query)
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
    """Softmax of products, with an axis more in between, or OpenVINO fuses it again.

    Queries that weights alone decide become a linear layer of the image; as queries they would stay in fp32.
    """
    if transposed and _is_known(query):
        columns = op.softmax(op.matmul(key, query, False, True), 1)
        return op.transpose(columns, op.constant(np.array([0, 2, 1])))
    axis = op.constant(np.array([1]))
    logits = op.matmul(op.unsqueeze(query, axis), op.unsqueeze(key, axis), False, transposed)
    return op.squeeze(op.softmax(logits, -1), axis)


def _is_known(port: ov.Output) -> bool:
    """Whether no input of the graph has a part in it."""
    seen, todo = set[str](), [port.get_node()]
    while todo:
        node = todo.pop()
        if node.get_type_name() == "Parameter":
            return False
        if node.get_name() not in seen:
            seen.add(node.get_name())
            todo += [value.get_node() for value in node.input_values()]
    return True


def _scaled(query: ov.Output) -> ov.Output:
    """Queries with the scale that attention has by default; the name stays, since OpenVINO merges both."""
    channels = query.get_partial_shape()[2].get_length()
    scaled = op.multiply(query, np.float32(channels**-0.5))
    scaled.set_friendly_name(query.get_node().get_friendly_name())
    return scaled.output(0)


def _is_plain(node: ov.Node) -> bool:
    """Whether it is ``[B, queries, C]``, and its mask and scale, where given, do nothing: zero and one."""
    neutral = [port.get_source_output().get_node() for port in node.inputs()[3:]]
    return (
        len(node.input(0).get_partial_shape()) == 3
        and len(neutral) in (0, 2)
        and all(other.get_type_name() == "Constant" for other in neutral)
        and [other.get_data().tolist() for other in neutral] == [0, 1][: len(neutral)]
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
