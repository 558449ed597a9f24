"""Measure SAM 2, or anything with its API, by the same code as this package.

From the root of this repository:

edgetam eval vos --dataset davis2017 --root DATA --tracker examples.measure_sam2:make -o out/sam2
"""

from edgetam.compat.sam2 import build_sam2_video_predictor  # or: from sam2.build_sam import ...
from edgetam.eval.trackers import SAM2Tracker

CHECKPOINT = "checkpoints/edgetam.pt"  # with none, the published code measures random weights


def make() -> SAM2Tracker:
    """What ``--tracker examples.measure_sam2:make`` calls."""
    predictor = build_sam2_video_predictor(
        "configs/edgetam.yaml", CHECKPOINT, device="cpu", apply_postprocessing=False
    )
    return SAM2Tracker(predictor)
