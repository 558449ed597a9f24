"""Attention in OpenVINO as products and softmaxes of blocks of queries, which beats its one operation.

The one operation never writes the weights down, but its products are slower than products of their own. The
weights of a block of queries stay in the cache, where those of all (30 MB at an input size of 1024) do not.
Where the number of objects is known, they go one by one for the same reason.
Telling padding from real keys is an addition to each weight, so it is left out where nothing is padding.

Taken apart, queries and keys may be compared in int8: they are of one size, and what rounding them does to a
logit is small beside what logits differ by. Weights of the sum stay in floating point: most are tiny.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from edgetam.engine.silent_openvino import op, ov

__all__ = ["LEVELS", "AbsMax", "ignore_padding", "one_head_attention", "replace", "unfuse_attention"]

BLOCK = 512
"""Queries at once."""
LEVELS = 256

Port: TypeAlias = ov.Output | ov.Node


class AbsMax(NamedTuple):
    """The largest size of any entry of the queries and of the keys that attention compares."""

    query: float
    key: float


def unfuse_attention(model: ov.Model, abs_max: Mapping[str, AbsMax] | None = None) -> int:
    """Replace attention with one head in place; tells how often.

    Args:
        model: graph with attention as one operation.
        abs_max: by the name of its node, attention that compares in int8.
    """
    found = one_head_attention(model)
    for node in found:
        query, key, value, *bias = (port.get_source_output() for port in node.inputs())
        scale = query.get_partial_shape()[3].get_length() ** -0.5
        head = op.constant(np.array([1], np.int64))
        query = op.multiply(query, np.float32(scale))
        limits = (abs_max or {}).get(node.get_friendly_name())
        if limits is not None:
            query, key = _in_int8(query, limits.query * scale, head), _in_int8(key, limits.key, head)
        mixed = [_mix(*one) for one in _objects(query, key, value, *bias)]
        replace(node, op.unsqueeze(_joined(mixed, 0), head))
    return len(found)


def ignore_padding(model: ov.Model) -> int:
    """Leave out, in place, what is added to the logits of attention that was taken apart; tells how often.

    The graph is then for memories without padding: every key is real.
    """
    found = [node for node in model.get_ops() if node.get_type_name() == "Softmax"]
    count = 0
    for node in found:
        added = node.input_value(0).get_node()
        if added.get_type_name() == "Add" and added.input_value(0).get_node().get_type_name() == "MatMul":
            node.input(0).replace_source_output(added.input_value(0))
            count += 1
    return count


def replace(node: ov.Node, by: ov.Node) -> None:
    """Let whatever reads ``node``, which has one output, read ``by``."""
    for port in node.output(0).get_target_inputs():
        port.replace_source_output(by.output(0))


def one_head_attention(model: ov.Model) -> list[ov.Node]:
    """Attention ``[B, 1, queries, C]`` without a scale of its own."""
    return [node for node in model.get_ops() if _has_one_head(node)]


def _objects(*inputs: Port) -> list[list[Port]]:
    """Queries, keys and so on by object; of all together where it is not known how many there are."""
    counts = [_length(x, 0) for x in inputs]
    if None in counts:
        return [list(inputs)]
    most = max(count for count in counts if count is not None)
    rows = [_parts(x, 0, 1) if count == most else [x] * most for x, count in zip(inputs, counts, strict=True)]
    return [list(one) for one in zip(*rows, strict=True)]


def _mix(query: Port, key: Port, value: Port, bias: Port | None = None) -> ov.Node:
    """Attention ``[B, queries, C]`` without the axis of heads, block by block."""
    head = op.constant(np.array([1], np.int64))
    values = op.squeeze(value, head)
    mixed = []
    for block in _parts(query, 2, BLOCK):
        logits = op.matmul(block, key, False, True)
        weights = op.softmax(logits if bias is None else op.add(logits, bias), -1)
        # another rank in between, or OpenVINO puts the three together again
        mixed.append(op.matmul(op.squeeze(weights, head), values, False, False))
    return _joined(mixed, 1)


def _joined(parts: list[ov.Node], axis: int) -> ov.Node:
    return op.concat(parts, axis) if len(parts) > 1 else parts[0]


def _parts(x: Port, axis: int, most: int) -> list[Port]:
    """Parts of at most so many along an axis; all where its length is unknown."""
    length = _length(x, axis)
    if length is None or length <= most:
        return [x]
    whole, rest = divmod(length, most)
    sizes = [most] * whole + [rest] * bool(rest)
    return list(op.variadic_split(x, op.constant(np.int64(axis)), op.constant(np.array(sizes))).outputs())


def _length(x: Port, axis: int) -> int | None:
    """How long an axis is, if that is known."""
    length = (x if isinstance(x, ov.Output) else x.output(0)).get_partial_shape()[axis]
    return length.get_length() if length.is_static else None


def _in_int8(x: Port, abs_max: float, head: ov.Node) -> ov.Node:
    """Round to 256 levels; without the axis of heads, or the rounding is slow and on its own."""
    low, high = (op.constant(np.float32(end)) for end in (-abs_max, abs_max * (1 - 2 / LEVELS)))
    return op.unsqueeze(op.fake_quantize(op.squeeze(x, head), low, high, low, high, LEVELS), head)


def _has_one_head(node: ov.Node) -> bool:
    if node.get_type_name() != "ScaledDotProductAttention" or len(node.inputs()) > 4:
        return False
    shape = node.input(0).get_partial_shape()
    return len(shape) == 4 and shape[1:].is_static and shape[1].get_length() == 1
