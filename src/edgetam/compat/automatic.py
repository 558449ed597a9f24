"""``SAM2AutomaticMaskGenerator`` on an `AutoMasker`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from edgetam.compat.base import SAM2Base
from edgetam.errors import ConfigError
from edgetam.tracking import AutoMask, AutoMasker, AutoMaskOptions

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["SAM2AutomaticMaskGenerator"]


class SAM2AutomaticMaskGenerator:
    """The published generator's arguments and records.

    Args:
        model: from ``build_sam2``.
        points_per_side: of the regular grid; None with ``point_grids``.
        points_per_batch: clicks answered at once.
        pred_iou_thresh: least estimated IoU.
        stability_score_thresh: least stability.
        stability_score_offset: in logits.
        mask_threshold: logits above it are inside.
        box_nms_thresh: highest IoU of two boxes.
        crop_n_layers: layers of enlarged parts.
        crop_nms_thresh: highest IoU of two boxes of different parts.
        crop_overlap_ratio: of neighbouring parts.
        crop_n_points_downscale_factor: fewer points per side in each layer.
        point_grids: points from 0 to 1 for every layer, instead of ``points_per_side``.
        min_mask_region_area: holes and islands of fewer pixels of the image are removed. Published code
            counts cells of its mask logits, and does nothing without its CUDA extension.
        output_mode: ``binary_mask``, ``uncompressed_rle`` or ``coco_rle``.
        use_m2m: ask again with every answer as a mask prompt.
        multimask_output: three answers per click.
        kwargs: ignored, as published.

    Raises:
        ConfigError: a value that it cannot have.
    """

    def __init__(
        self,
        model: SAM2Base,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.8,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        mask_threshold: float = 0.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[Any] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
        use_m2m: bool = False,
        multimask_output: bool = True,
        **kwargs: Any,
    ) -> None:
        if (points_per_side is None) == (point_grids is None):
            raise ConfigError("Expected either points_per_side or point_grids; set the other one to None.")
        if output_mode not in _SEGMENTATIONS:
            raise ConfigError(f"output_mode is {output_mode!r}; expected one of {', '.join(_SEGMENTATIONS)}.")
        options = AutoMaskOptions(
            points_per_side=points_per_side or 1,
            batch=points_per_batch,
            min_score=pred_iou_thresh,
            min_stability=stability_score_thresh,
            stability_offset=stability_score_offset,
            threshold=mask_threshold,
            max_overlap=box_nms_thresh,
            crop_layers=crop_n_layers,
            crop_overlap=crop_overlap_ratio,
            crop_max_overlap=crop_nms_thresh,
            crop_points_divisor=crop_n_points_downscale_factor,
            min_region=min_mask_region_area,
            refine=use_m2m,
            several=multimask_output,
            stable_single=model.settings.dynamic_multimask_via_stability,
        )
        self.masker = AutoMasker(model.engine, options, grids=point_grids)
        self.output_mode = output_mode

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> Self:
        """Load a repository of the Hugging Face hub; see ``build_sam2_hf``."""
        from edgetam.compat.build import build_sam2_hf, left_for_builder

        return cls(build_sam2_hf(model_id, **left_for_builder(cls, kwargs)), **kwargs)

    def generate(self, image: Any) -> list[dict[str, Any]]:
        """Mask everything in an RGB image of bytes ``[H, W, 3]``.

        Returns:
            For each mask ``segmentation``, ``area``, ``bbox`` (x, y and the distances to the last column
            and row, as published), ``predicted_iou``, ``point_coords``, ``stability_score`` and
            ``crop_box`` (x, y, width, height).

        Raises:
            InputError: not an image.
        """
        segmentation = _SEGMENTATIONS[self.output_mode]
        return [_record(found, segmentation(found.mask)) for found in self.masker.generate(image)]


def _record(found: AutoMask, segmentation: Any) -> dict[str, Any]:
    return {
        "segmentation": segmentation,
        "area": found.area,
        "bbox": _sides(found.box),
        "predicted_iou": found.score,
        "point_coords": [list(found.point)],
        "stability_score": found.stability,
        "crop_box": _sides(found.crop),
    }


def _sides(box: Sequence[int]) -> list[int]:
    """Corners to x, y, width and height; as published, the width of a mask is one less than its columns."""
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]


def _uncompressed(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Run lengths down the columns, those of zeros first."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def _compressed(mask: NDArray[np.bool_]) -> dict[str, Any]:
    encoded = rle.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


_SEGMENTATIONS: Mapping[str, Callable[[NDArray[np.bool_]], Any]] = {
    "binary_mask": lambda mask: mask,
    "uncompressed_rle": _uncompressed,
    "coco_rle": _compressed,
}
