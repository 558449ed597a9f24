"""Everything in an image, without a prompt: a grid of clicks, and only the answers that hold up."""

from edgetam.tracking.automask.masker import AutoMasker
from edgetam.tracking.automask.options import AutoMaskOptions
from edgetam.tracking.automask.record import AutoMask

__all__ = ["AutoMask", "AutoMaskOptions", "AutoMasker"]
