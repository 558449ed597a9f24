"""Attention in OpenVINO's bfloat16: two products and a softmax where one operation is slower.

OpenVINO computes attention in one operation that never writes the weights down. In bfloat16, with values as
wide as the queries and thousands of both, its products reach half of what products of their own do, and
writing 32 MB of weights costs less than that. In fp32 the one operation is faster.
"""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as op

__all__ = ["unfuse_attention"]

LEAST_WEIGHTS = 4096 * 4096
"""Queries times keys from which on it pays; at 1024 x 1024 there is no difference."""


def unfuse_attention(model: ov.Model) -> int:
    """Replace large self-attention (one head, queries like keys like values) in place; tells how often."""
    found = [node for node in model.get_ops() if _is_large(node)]
    for node in found:
        query, key, value = (port.get_source_output() for port in node.inputs())
        width = query.get_partial_shape()[3].get_length()
        head = op.constant(np.array([1], np.int64))
        weights = op.softmax(op.matmul(op.multiply(query, np.float32(width**-0.5)), key, False, True), -1)
        # another rank in between, or OpenVINO puts the three together again
        mixed = op.matmul(op.squeeze(weights, head), op.squeeze(value, head), False, False)
        result = op.unsqueeze(mixed, head).output(0)
        for port in node.output(0).get_target_inputs():
            port.replace_source_output(result)
    return len(found)


def _is_large(node: ov.Node) -> bool:
    if node.get_type_name() != "ScaledDotProductAttention" or len(node.inputs()) != 3:
        return False
    query, key, value = (port.get_partial_shape()[1:] for port in node.inputs())
    if len(query) != 3 or not all(shape.is_static for shape in (query, key, value)):
        return False
    heads, queries, width = query.to_shape()
    _, keys, depth = value.to_shape()
    return heads == 1 and width == depth and queries * keys >= LEAST_WEIGHTS
