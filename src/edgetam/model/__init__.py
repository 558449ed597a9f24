"""The network in PyTorch: no files, no devices, no loops over time."""

from edgetam.model.edgetam import EdgeTAM, build_model
from edgetam.model.inference import inference_form
from edgetam.model.layers import fold_

__all__ = ["EdgeTAM", "build_model", "fold_", "inference_form"]
