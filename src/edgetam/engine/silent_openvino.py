"""OpenVINO, for everything here to import from: on its own it reports already that it is imported."""

from __future__ import annotations

from edgetam.engine.quiet import unreported

with unreported():
    import openvino as ov
    from openvino import opset13 as op

__all__ = ["op", "ov"]
