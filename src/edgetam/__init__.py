"""Segment and track anything in images and videos, from clicks, boxes or masks."""

from edgetam.config import VARIANTS
from edgetam.engine import Engine, load_bundle, load_model
from edgetam.errors import EdgeTAMError
from edgetam.structs import FrameResult, ObjectResult, Prompt
from edgetam.tracking import (
    AutoMask,
    AutoMasker,
    AutoMaskOptions,
    ImageResult,
    ImageSegmenter,
    Stream,
    TrackerOptions,
    TrackingSession,
    VideoTracker,
)

__version__ = "0.1.0"

__all__ = [
    "VARIANTS",
    "AutoMask",
    "AutoMaskOptions",
    "AutoMasker",
    "EdgeTAMError",
    "Engine",
    "FrameResult",
    "ImageResult",
    "ImageSegmenter",
    "ObjectResult",
    "Prompt",
    "Stream",
    "TrackerOptions",
    "TrackingSession",
    "VideoTracker",
    "__version__",
    "load_bundle",
    "load_model",
]
