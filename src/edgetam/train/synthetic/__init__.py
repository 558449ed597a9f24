"""Labelled video clips drawn from nothing but a seed."""

from edgetam.train.synthetic.clips import sample_batch, sample_clip
from edgetam.train.synthetic.config import Batch, Clip, SynthConfig

__all__ = ["Batch", "Clip", "SynthConfig", "sample_batch", "sample_clip"]
