"""Segment and track anything in images and videos, from clicks, boxes or masks."""

from edgetam.config import VARIANTS
from edgetam.engine import Engine, load_bundle, load_model
from edgetam.errors import EdgeTAMError
from edgetam.structs import FrameResult, ObjectResult, Prompt
from edgetam.tracking import (
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
