"""``SAM2ImagePredictor`` on an `ImageSegmenter`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from edgetam.compat.base import SAM2Base, to_array, to_labels
from edgetam.compat.errors import StateError
from edgetam.engine.base import DecodeMode
from edgetam.errors import InputError, PromptError
from edgetam.io.arrays import pil_to_rgb
from edgetam.tracking import ImageSegmenter
from edgetam.tracking.geometry import Floats, resize_logits
from edgetam.tracking.image import LOGIT_LIMIT
from edgetam.tracking.masks import small_regions
from edgetam.tracking.prompts import BOX_LABELS

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["SAM2ImagePredictor"]

FILLED = 10.0
"""How far beyond the threshold filled holes and removed specks are put; as published, for images."""

Answer = tuple[Floats, Floats, Floats]
"""Masks ``[C, H, W]``, scores ``[C]`` and low-resolution logits; ``[B, ...]`` for several prompts."""


class _Prompts(NamedTuple):
    points: Floats  # [B, P, 2] pixels
    labels: NDArray[np.int64]  # [B, P]
    logits: Floats | None  # [B or 1, 1, 4g, 4g]


class SAM2ImagePredictor:
    """The published image predictor's methods.

    Args:
        sam_model: from ``build_sam2`` (a video predictor will do).
        mask_threshold: logits above it are inside.
        max_hole_area: holes of at most this many cells of the mask logits are filled.
        max_sprinkle_area: specks of at most this many cells are removed.
        kwargs: ignored, as published.
    """

    def __init__(
        self,
        sam_model: SAM2Base,
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self.model = sam_model
        self.mask_threshold = mask_threshold
        self.max_hole_area = max_hole_area
        self.max_sprinkle_area = max_sprinkle_area
        self._images: list[ImageSegmenter] = []
        self._batch = False

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> Self:
        """Load a repository of the Hugging Face hub; see ``build_sam2_hf``."""
        from edgetam.compat.build import build_sam2_hf, left_for_builder

        return cls(build_sam2_hf(model_id, **left_for_builder(cls, kwargs)), **kwargs)

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self.model.device

    def set_image(self, image: Any) -> None:
        """Encode an image: RGB ``[H, W, 3]`` of bytes, or of floats from 0 to 1, or a PIL image.

        Raises:
            InputError: anything else.
        """
        self.reset_predictor()
        self._images = [self._encode(image)]

    def set_image_batch(self, image_list: Sequence[Any]) -> None:
        """Encode several images for `predict_batch`.

        Raises:
            InputError: not a list of images.
        """
        if isinstance(image_list, (list, tuple)) and not image_list:
            raise InputError("image_list is empty; expected at least one image.")
        if not isinstance(image_list, (list, tuple)):
            raise InputError(f"image_list is a {type(image_list).__name__}; expected a list of images.")
        self.reset_predictor()
        self._images = [self._encode(image) for image in image_list]
        self._batch = True

    def predict(
        self,
        point_coords: Any = None,
        point_labels: Any = None,
        box: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> Answer:
        """Answer prompts on the image.

        Args:
            point_coords: ``[P, 2]`` or ``[B, P, 2]``, x before y.
            point_labels: ``[P]`` or ``[B, P]``, 1 for the object and 0 for anything else.
            box: x0, y0, x1, y1, or ``[B, 4]``.
            mask_input: low-resolution logits of an earlier answer, ``[1, 4g, 4g]``.
            multimask_output: three candidates instead of one.
            return_logits: logits instead of zeros and ones.
            normalize_coords: coordinates are pixels; if false, fractions of the image's sides.

        Returns:
            Masks at the size of the image, estimated IoUs, and low-resolution logits clamped to +-32, all
            float32.

        Raises:
            StateError: no image is set.
            PromptError: shapes that do not fit together.
        """
        if self._batch or not self._images:
            raise StateError("No single image is set; call set_image(image) first.")
        prompts = (point_coords, point_labels, box, mask_input)
        return self._predict(self._images[0], prompts, multimask_output, return_logits, normalize_coords)

    def predict_batch(
        self,
        point_coords_batch: Sequence[Any] | None = None,
        point_labels_batch: Sequence[Any] | None = None,
        box_batch: Sequence[Any] | None = None,
        mask_input_batch: Sequence[Any] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[list[Floats], list[Floats], list[Floats]]:
        """`predict` on each image of `set_image_batch`, with one entry per image in every list.

        Raises:
            StateError: no images are set.
            PromptError: a list of another length, or shapes that do not fit together.
        """
        if not self._batch:
            raise StateError("No images are set; call set_image_batch(images) first.")
        given = (point_coords_batch, point_labels_batch, box_batch, mask_input_batch)
        for each in given:
            if each is not None and not hasattr(each, "__len__"):
                raise PromptError(f"The prompts are {each!r}; expected a list with one entry per image.")
            if each is not None and len(each) != len(self._images):
                raise PromptError(f"{len(each)} prompts for {len(self._images)} images; expected one each.")
        answers = [
            self._predict(
                image,
                tuple(None if each is None else each[i] for each in given),
                multimask_output,
                return_logits,
                normalize_coords,
            )
            for i, image in enumerate(self._images)
        ]
        masks, scores, logits = (list(column) for column in zip(*answers, strict=True))
        return masks, scores, logits

    def get_image_embedding(self) -> Tensor:
        """Features of the image, ``[1, 256, g, g]``; ``[B, ...]`` after `set_image_batch`.

        Raises:
            StateError: no image is set.
        """
        if not self._images:
            raise StateError("No image is set; call set_image(image) first.")
        engine = self.model.engine
        return torch.cat([torch.as_tensor(engine.attend(image.features, None)) for image in self._images])

    def reset_predictor(self) -> None:
        """Forget the images."""
        self._images = []
        self._batch = False

    def _encode(self, image: Any) -> ImageSegmenter:
        segmenter = ImageSegmenter(self.model.engine)
        segmenter.set_image(_bytes(image))
        return segmenter

    def _predict(
        self,
        image: ImageSegmenter,
        given: tuple[Any, ...],
        multimask: bool,
        return_logits: bool,
        normalize_coords: bool,
    ) -> Answer:
        points, labels, logits = _read_prompts(*given, side=self.model.engine.config.mask_size)
        if not normalize_coords:
            points = points * np.array(image.size, np.float32)
        stable = self.model.settings.dynamic_multimask_via_stability
        mode: DecodeMode = "several" if multimask else "stable" if stable else "single"
        decoded = image.decode(points, labels, logits, mode)
        full = np.stack([[self._enlarge(plane, image.size) for plane in row] for row in decoded.masks])
        if not return_logits:
            full = (full > self.mask_threshold).astype(np.float32)
        low = np.clip(decoded.masks, -LOGIT_LIMIT, LOGIT_LIMIT)
        if len(full) == 1:
            return full[0], decoded.scores[0], low[0]
        return full, decoded.scores, low

    def _enlarge(self, plane: Floats, size: tuple[int, int]) -> Floats:
        """Fill holes and remove specks of logits ``[4g, 4g]``, and resize them to ``[H, W]``."""
        threshold = np.float32(self.mask_threshold)
        cleaned = plane
        if self.max_hole_area > 0:
            holes = small_regions(plane <= threshold, int(self.max_hole_area))
            cleaned = np.where(holes, threshold + np.float32(FILLED), cleaned)
        if self.max_sprinkle_area > 0:
            # as published: specks are looked for before holes are filled
            specks = small_regions(plane > threshold, int(self.max_sprinkle_area))
            cleaned = np.where(specks, threshold - np.float32(FILLED), cleaned)
        return resize_logits(cleaned, *size)


def _bytes(image: Any) -> Any:
    """Floats from 0 to 1 become bytes, which is what the segmenter takes; PIL images stay as stored."""
    if isinstance(image, Image.Image):  # SAM 2 does not look at the EXIF orientation
        return pil_to_rgb(image, turn=False)
    if isinstance(image, np.ndarray) and image.dtype.kind == "f":
        if image.size and not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
            raise InputError("The image holds floats outside 0..1; expected those, or bytes from 0 to 255.")
        return np.round(image * 255).astype(np.uint8)
    return image


def _read_prompts(coords: Any, labels: Any, box: Any, mask: Any, *, side: int) -> _Prompts:
    """Prompts of one image, brought to the same batch; boxes become two points ahead of the others."""
    if (coords is None) != (labels is None):
        given, missing = ("labels", "coords") if coords is None else ("coords", "labels")
        raise PromptError(f"point_{given} were given without point_{missing}; pass both.")
    places, marks = _read_points(coords, labels)
    if box is not None:
        corners = _read_boxes(box)
        if coords is None:
            places, marks = places.repeat(len(corners), 0), marks.repeat(len(corners), 0)
        if len(corners) != len(places):
            raise PromptError(
                f"{len(corners)} boxes were given with {len(places)} sets of points; expected equally many."
            )
        places = np.concatenate([corners, places], axis=1)
        marks = np.concatenate([np.tile(np.array(BOX_LABELS, np.int64), (len(corners), 1)), marks], axis=1)
    return _Prompts(places, marks, None if mask is None else _read_logits(mask, len(places), side))


def _read_points(coords: Any, labels: Any) -> tuple[Floats, NDArray[np.int64]]:
    """``[B, P, 2]`` and ``[B, P]``; one prompt without points when none are given."""
    if coords is None:
        return np.zeros((1, 0, 2), np.float32), np.zeros((1, 0), np.int64)
    places = to_array(coords, np.float32, "point_coords")
    marks = to_labels(labels, "point_labels")
    if places.ndim == 2:
        places, marks = places[None], marks[None]
    if places.ndim != 3 or not len(places) or places.shape[2] != 2 or marks.shape != places.shape[:2]:
        raise PromptError(
            f"point_coords have shape {places.shape} and point_labels {marks.shape}; "
            "expected (P, 2) and (P,), or (B, P, 2) and (B, P)."
        )
    return places, marks


def _read_boxes(box: Any) -> Floats:
    """``[B, 2, 2]``."""
    corners = to_array(box, np.float32, "box")
    if not corners.size or corners.shape[-1] != 4:
        raise PromptError(f"box has shape {corners.shape}; expected (4,) or (B, 4).")
    return corners.reshape(-1, 2, 2)


def _read_logits(mask: Any, batch: int, side: int) -> Floats:
    """``[B, 1, 4g, 4g]``."""
    logits = to_array(mask, np.float32, "mask_input")
    if logits.ndim == 3:
        logits = logits[None]
    if logits.shape not in ((1, 1, side, side), (batch, 1, side, side)):
        raise PromptError(f"mask_input has shape {logits.shape}; expected (1, {side}, {side}).")
    return logits.repeat(batch, 0) if len(logits) == 1 else logits
