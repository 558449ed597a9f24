"""Attention in OpenVINO as two products and a softmax, where that beats its one operation.

The one operation never writes the weights down, but its products are slower than products of their own. In
bfloat16, memory attention takes 20.5 ms with it and 17.8 without at an input size of 512. Only in fp32, with
more than 1024 queries, does writing the weights cost more than that (4096: 185 ms with it, 194 without).

Taken apart, queries and keys may be compared in int8: they are of one size, and what rounding them does to a
logit is small beside what logits differ by. Weights of the sum stay in floating point: most are tiny.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from edgetam.engine.silent_openvino import op, ov

__all__ = ["LEVELS", "AbsMax", "one_head_attention", "unfuse_attention"]

MOST_QUERIES_IN_FP32 = 1024
LEVELS = 256


class AbsMax(NamedTuple):
    """The largest size of any entry of the queries and of the keys that attention compares."""

    query: float
    key: float


def unfuse_attention(model: ov.Model, *, fp32: bool, abs_max: Mapping[str, AbsMax] | None = None) -> int:
    """Replace attention with one head in place; tells how often.

    Args:
        model: graph with attention as one operation.
        fp32: it computes in float32, and in fewer bits otherwise.
        abs_max: by the name of its node, attention that compares in int8.
    """
    most = MOST_QUERIES_IN_FP32 if fp32 else None
    found = one_head_attention(model, most)
    for node in found:
        query, key, value, *bias = (port.get_source_output() for port in node.inputs())
        scale = query.get_partial_shape()[3].get_length() ** -0.5
        head = op.constant(np.array([1], np.int64))
        query = op.multiply(query, np.float32(scale))
        limits = (abs_max or {}).get(node.get_friendly_name())
        if limits is not None:
            query, key = _in_int8(query, limits.query * scale, head), _in_int8(key, limits.key, head)
        logits = op.matmul(query, key, False, True)
        weights = op.softmax(op.add(logits, bias[0]) if bias else logits, -1)
        # another rank in between, or OpenVINO puts the three together again
        mixed = op.matmul(op.squeeze(weights, head), op.squeeze(value, head), False, False)
        result = op.unsqueeze(mixed, head).output(0)
        for port in node.output(0).get_target_inputs():
            port.replace_source_output(result)
    return len(found)


def one_head_attention(model: ov.Model, most_queries: int | None = None) -> list[ov.Node]:
    """Attention ``[B, 1, queries, C]`` without a scale of its own, and with at most so many queries."""
    return [node for node in model.get_ops() if _has_one_head(node, most_queries)]


def _in_int8(x: ov.Output, abs_max: float, head: ov.Node) -> ov.Node:
    """Round to 256 levels; without the axis of heads, or the rounding is slow and on its own."""
    low, high = (op.constant(np.float32(end)) for end in (-abs_max, abs_max * (1 - 2 / LEVELS)))
    return op.unsqueeze(op.fake_quantize(op.squeeze(x, head), low, high, low, high, LEVELS), head)


def _has_one_head(node: ov.Node, most_queries: int | None) -> bool:
    if node.get_type_name() != "ScaledDotProductAttention" or len(node.inputs()) > 4:
        return False
    shape = node.input(0).get_partial_shape()
    if len(shape) != 4 or not shape[1:].is_static or shape[1].get_length() != 1:
        return False
    return most_queries is None or shape[2].get_length() <= most_queries
