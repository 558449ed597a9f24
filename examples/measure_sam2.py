"""Measure SAM 2, or anything with its API, by the same code as this package.

edgetam eval vos --dataset davis2017 --root DATA --tracker measure_sam2:make -o out/sam2
"""

from edgetam.compat.sam2 import build_sam2_video_predictor  # or: from sam2.build_sam import ...
from edgetam.eval.trackers import SAM2Tracker


def make() -> SAM2Tracker:
    """What ``--tracker measure_sam2:make`` calls."""
    predictor = build_sam2_video_predictor("configs/edgetam.yaml", device="cpu", apply_postprocessing=False)
    return SAM2Tracker(predictor)
