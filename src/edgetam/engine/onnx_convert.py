"""Graphs for ONNX: opset 23, attention in one operation."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from onnxscript import opset23 as op

from edgetam.engine.fixed_graph import FixedGraph
from edgetam.engine.quiet import quiet
from edgetam.errors import OutputError
from edgetam.model.inference import in_full_precision

__all__ = ["convert"]

OPSET = 23
"""The first with attention."""
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def convert(graph: FixedGraph, folder: Path, precision: str) -> None:
    """Write ``model.onnx``, weights included; fp16 converts inside and keeps float32 at the borders.

    Raises:
        OutputError: PyTorch has no room for temporary files.
    """
    with quiet("torch.onnx"), torch.no_grad(), in_full_precision(), _telling_full_disks():
        program = torch.onnx.export(
            graph.graph.module.eval(),
            graph.examples(),
            dynamo=True,
            opset_version=OPSET,
            input_names=[port.name for port in graph.graph.inputs],
            output_names=[port.name for port in graph.graph.outputs],
            custom_translation_table={torch.ops.aten.scaled_dot_product_attention.default: _attention},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    if precision == "fp16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        model = convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


@contextmanager
def _telling_full_disks() -> Iterator[None]:
    """PyTorch makes a temporary folder, goes on without it, and fails with an error that names neither."""
    try:
        yield
    except Exception as error:
        disk = _disk_error(error)
        if disk is None:
            raise
        where = f"'{disk.filename}'" if disk.filename else "any temporary folder"
        raise OutputError(
            f"PyTorch cannot write to {where} ({disk.strerror}); free some space there, or point TMPDIR at "
            "another disk, and start again."
        ) from error


def _disk_error(error: BaseException | None) -> OSError | None:
    """What a disk had to do with an error."""
    while error is not None:
        # where no folder will do, tempfile raises FileNotFoundError without a file
        if isinstance(error, OSError) and (
            error.errno in _DISK or (error.errno == errno.ENOENT and not error.filename)
        ):
            return error
        error = error.__cause__ or error.__context__
    return None


def _attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """PyTorch's attention as ONNX's, which has an axis for heads.

    Masks get a row for each query, which ONNX Runtime insists on.
    """
    headless = len(query.shape) == 3
    if headless:
        heads = op.Constant(value_ints=[1])
        query, key, value = (op.Unsqueeze(x, heads) for x in (query, key, value))
    if attn_mask is not None:
        rows = op.Constant(value_ints=[1, 1, query.shape[-2], 1])
        attn_mask = op.Expand(attn_mask, rows)
    mixed = op.Attention(query, key, value, attn_mask, scale=scale)[0]
    return op.Squeeze(mixed, heads) if headless else mixed
