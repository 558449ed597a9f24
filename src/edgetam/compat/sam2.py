"""SAM 2's Python interface over this package: existing scripts change one import.

::

    from edgetam.compat.sam2 import build_sam2_video_predictor
    predictor = build_sam2_video_predictor("configs/edgetam.yaml", "checkpoints/edgetam.pt")

Signatures and the shapes of what is returned are those of SAM 2.
"""

from edgetam.compat.automatic import SAM2AutomaticMaskGenerator
from edgetam.compat.base import SAM2Base
from edgetam.compat.build import (
    build_sam2,
    build_sam2_hf,
    build_sam2_video_predictor,
    build_sam2_video_predictor_hf,
)
from edgetam.compat.image_predictor import SAM2ImagePredictor
from edgetam.compat.video_predictor import SAM2VideoPredictor

__all__ = [
    "SAM2AutomaticMaskGenerator",
    "SAM2Base",
    "SAM2ImagePredictor",
    "SAM2VideoPredictor",
    "build_sam2",
    "build_sam2_hf",
    "build_sam2_video_predictor",
    "build_sam2_video_predictor_hf",
]
