"""Predictors: images, videos and live streams on any engine. No import of torch."""

from edgetam.tracking.automask import AutoMask, AutoMasker, AutoMaskOptions
from edgetam.tracking.image import ImageResult, ImageSegmenter
from edgetam.tracking.options import TrackerOptions
from edgetam.tracking.session import TrackingSession
from edgetam.tracking.stream import Stream
from edgetam.tracking.tracker import VideoTracker

__all__ = [
    "AutoMask",
    "AutoMaskOptions",
    "AutoMasker",
    "ImageResult",
    "ImageSegmenter",
    "Stream",
    "TrackerOptions",
    "TrackingSession",
    "VideoTracker",
]
