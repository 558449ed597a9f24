"""Training data: annotated images and videos of all common layouts, and clips drawn from them."""

from edgetam.train.data.check import Audit, check_data
from edgetam.train.data.clip import Ask, Clip, ClipSource
from edgetam.train.data.mixture import Mixture, one_thread
from edgetam.train.data.registry import KINDS, open_mixture, open_source

__all__ = [
    "KINDS",
    "Ask",
    "Audit",
    "Clip",
    "ClipSource",
    "Mixture",
    "check_data",
    "one_thread",
    "open_mixture",
    "open_source",
]
