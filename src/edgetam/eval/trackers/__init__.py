"""Trackers under test, all seen through one small protocol."""

from __future__ import annotations

from edgetam.eval.trackers.base import FrameScores, Scores, TrackedVideo, Tracker
from edgetam.eval.trackers.carry import CopyTracker, FlowTracker
from edgetam.eval.trackers.ours import EdgeTAMTracker
from edgetam.eval.trackers.sam2_api import SAM2Tracker

__all__ = [
    "CopyTracker",
    "EdgeTAMTracker",
    "FlowTracker",
    "FrameScores",
    "SAM2Tracker",
    "Scores",
    "TrackedVideo",
    "Tracker",
]
