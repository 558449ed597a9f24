"""Labelled video clips drawn from nothing but a seed, or from real images and a seed."""

from edgetam.train.synthetic.bank import ImageBank
from edgetam.train.synthetic.clips import sample_batch, sample_clip
from edgetam.train.synthetic.config import Batch, Clip, SynthConfig

__all__ = ["Batch", "Clip", "ImageBank", "SynthConfig", "sample_batch", "sample_clip"]
