"""Metrics of video and interactive segmentation, without PyTorch."""

from edgetam.eval.metrics.folder import score_folder
from edgetam.eval.metrics.protocols import PROTOCOLS
from edgetam.eval.metrics.scores import ObjectScores, Scores, SequenceScores
from edgetam.eval.metrics.similarity import boundary_similarity, frame_scores, region_similarity
from edgetam.eval.metrics.statistics import Statistics, statistics

__all__ = [
    "PROTOCOLS",
    "ObjectScores",
    "Scores",
    "SequenceScores",
    "Statistics",
    "boundary_similarity",
    "frame_scores",
    "region_similarity",
    "score_folder",
    "statistics",
]
