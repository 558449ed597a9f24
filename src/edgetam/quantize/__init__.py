"""int8 for the OpenVINO engine: calibrate on tracked frames, then compare with what was before."""

from __future__ import annotations

from edgetam.quantize.calibrate import DEFAULT_PARTS, PARTS, check_parts, quantize
from edgetam.quantize.clips import Clip, bundled_clip
from edgetam.quantize.report import Report, check_truth, measure

__all__ = [
    "DEFAULT_PARTS",
    "PARTS",
    "Clip",
    "Report",
    "bundled_clip",
    "check_parts",
    "check_truth",
    "measure",
    "quantize",
]
