"""Frames in (videos, images, cameras, streams) and results out (masks, JSON, overlays); no torch."""

from __future__ import annotations

from edgetam.io.draw import overlay
from edgetam.io.frames import FrameSource, OnBadFrame, open_frames
from edgetam.io.images import read_image
from edgetam.io.live import LiveFrame, LiveSource, open_live
from edgetam.io.masks import read_mask
from edgetam.io.results import SAVE_KINDS, ResultWriter, VideoInfo

__all__ = [
    "SAVE_KINDS",
    "FrameSource",
    "LiveFrame",
    "LiveSource",
    "OnBadFrame",
    "ResultWriter",
    "VideoInfo",
    "open_frames",
    "open_live",
    "overlay",
    "read_image",
    "read_mask",
]
