"""Labelled video clips drawn from nothing but a seed, or from real images and a seed."""

from edgetam.train.synthetic.bank import ImageBank, open_bank
from edgetam.train.synthetic.clips import sample_batch, sample_clip
from edgetam.train.synthetic.config import Batch, Clip, SynthConfig

__all__ = ["Batch", "Clip", "ImageBank", "SynthConfig", "open_bank", "sample_batch", "sample_clip"]
