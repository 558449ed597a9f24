"""The largest magnitudes of queries and keys, so that attention may compare them in int8."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgetam.engine.openvino import core, settings
from edgetam.engine.openvino_attention import AbsMax, one_head_attention
from edgetam.engine.silent_openvino import op, ov
from edgetam.quantize.observer import Inputs

__all__ = ["attention_abs_max"]


def attention_abs_max(
    model: ov.Model, samples: Sequence[Inputs], threads: int | None = None
) -> dict[str, AbsMax]:
    """What attention with one head compares at most, by the name of its node; empty where there is none.

    Args:
        model: a graph in floating point, which gets more outputs.
        samples: inputs of the graph.
        threads: CPU threads to use; all by default.
    """
    nodes = one_head_attention(model)
    if not nodes:
        return {}
    before = len(model.outputs)
    model.add_outputs([_largest(node.input(i).get_source_output()) for node in nodes for i in (0, 1)])
    request = core().compile_model(model, "CPU", settings("fp32", threads)).create_infer_request()
    seen = []
    for sample in samples:
        found = request.infer(sample)
        seen.append([float(found[before + i]) for i in range(2 * len(nodes))])
    largest = np.max(seen, axis=0).reshape(-1, 2).tolist()
    return {node.get_friendly_name(): AbsMax(*abs_max) for node, abs_max in zip(nodes, largest, strict=True)}


def _largest(x: ov.Output) -> ov.Output:
    axes = op.constant(np.arange(len(x.get_partial_shape())))
    return op.reduce_max(op.abs(x), axes, False).output(0)
