"""Metrics of video and interactive segmentation, without PyTorch."""

from edgetam.eval.metrics.similarity import boundary_similarity, frame_scores, region_similarity
from edgetam.eval.metrics.statistics import Statistics, statistics

__all__ = ["Statistics", "boundary_similarity", "frame_scores", "region_similarity", "statistics"]
