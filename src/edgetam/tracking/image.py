"""Segment single images from clicks, boxes or masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.config import check_whole
from edgetam.engine.base import DecodeMode, Engine
from edgetam.errors import InputError, PromptError
from edgetam.io.arrays import as_rgb
from edgetam.io.images import read_image
from edgetam.structs import Decoded, DecoderPrompt, ImageFeatures, Prompt
from edgetam.tracking.geometry import Floats, prepare_image, resize_logits, resize_mask_logits
from edgetam.tracking.limits import check_engine
from edgetam.tracking.masks import fill_holes, remove_specks
from edgetam.tracking.prompts import Clicks, check_prompt, mask_array, read_mask, read_prompt
from edgetam.tracking.results import sigmoid

__all__ = ["ImageResult", "ImageSegmenter"]

LOGIT_LIMIT = 32.0
MASK_PROMPT_LOGIT = 10.0
"""A true-or-false mask given as a prompt becomes logits of plus and minus this."""


@dataclass(frozen=True)
class ImageResult:
    """Mask candidates for one prompt, best-scored first only if you sort them.

    Attributes:
        masks: bool ``[M, H, W]`` at the size of the image.
        scores: estimated IoU, float32 ``[M]``.
        logits: float32 ``[M, 4g, 4g]``, clamped to +-32; can be given back as ``mask``.
        presence: probability that the object is there at all, 0..1.
    """

    masks: NDArray[np.bool_]
    scores: Floats
    logits: Floats
    presence: float

    @property
    def best(self) -> int:
        """Index of the candidate with the highest score."""
        return int(self.scores.argmax())


class ImageSegmenter:
    """Encodes an image once and answers any number of prompts on it.

    Args:
        model: an engine, from `edgetam.load_model`.
        fill_holes: fill background specks of at most this many logit cells.
        remove_specks: remove foreground specks of at most this many logit cells.

    Raises:
        InputError: ``model`` is no engine.
        ConfigError: a number of cells is none.
    """

    def __init__(self, model: Engine, *, fill_holes: int = 0, remove_specks: int = 0) -> None:
        check_engine(model)
        self.model = model
        self.hole_area = check_whole("fill_holes", fill_holes, 0)
        self.speck_area = check_whole("remove_specks", remove_specks, 0)
        self._features: ImageFeatures[Any] | None = None
        self._size = (0, 0)

    def set_image(self, image: Any) -> None:
        """Encode an image: a path, RGB uint8 ``[H, W, 3]``, or another picture (`edgetam.io.arrays.as_rgb`).

        A file or PIL image is turned upright by its EXIF orientation, and prompts and masks are about it as
        it is shown; pass ``np.asarray(image)`` for the pixels as they are stored.

        Raises:
            MediaError: anything else, or a file that cannot be read.
        """
        rgb = read_image(image) if isinstance(image, (str, Path)) else as_rgb(image)
        self._features = self.model.encode(prepare_image(rgb, self.model.config.image_size, "image"))
        self._size = (rgb.shape[1], rgb.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image that is set."""
        return self._size

    @property
    def features(self) -> ImageFeatures[Any]:
        """Features of the image that is set.

        Raises:
            InputError: no image is set.
        """
        if self._features is None:
            raise InputError("No image is set; call set_image(image) first.")
        return self._features

    def reset(self) -> None:
        """Forget the image."""
        self._features = None

    def predict(
        self,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
        *,
        multimask: bool = True,
    ) -> ImageResult:
        """Answer one prompt.

        Args:
            points: ``[[x, y], ...]`` in pixels.
            labels: one per point, 1 for the object and 0 for anything else; all 1 when left out.
            box: ``[x0, y0, x1, y1]`` in pixels.
            mask: a bool mask ``[H, W]``, or logits ``[4g, 4g]`` of an earlier answer, to be refined.
            multimask: return three candidates (good for a single click) instead of one.

        Raises:
            InputError: no image is set, or the prompt does not fit it.
        """
        self.features  # noqa: B018 - complains first if there is no image
        clicks = Clicks()
        if points is not None or box is not None or labels is not None or mask is None:
            clicks = read_prompt(Prompt(points, labels, box), *self._size)
        logits = None if mask is None else self._mask_prompt(mask)[None, None]
        return self.answer(clicks.points[None], clicks.labels[None], logits, multimask=multimask)[0]

    def predict_batch(self, prompts: Sequence[Prompt], *, multimask: bool = True) -> list[ImageResult]:
        """Answer many prompts; those with the same number of points and no mask share one decoder call.

        Raises:
            InputError: no image is set, these are no prompts, or one does not fit the image.
        """
        self.features  # noqa: B018 - complains first if there is no image
        prompts = _listed(prompts)
        if any(p.mask is not None for p in prompts):
            return [self.predict(p.points, p.labels, p.box, p.mask, multimask=multimask) for p in prompts]
        clicks = [read_prompt(p, *self._size) for p in prompts]
        results: dict[int, ImageResult] = {}
        for count in {len(c.points) for c in clicks}:
            rows = [i for i, c in enumerate(clicks) if len(c.points) == count]
            points = np.stack([clicks[i].points for i in rows])
            labels = np.stack([clicks[i].labels for i in rows])
            results |= dict(zip(rows, self.answer(points, labels, None, multimask=multimask), strict=True))
        return [results[i] for i in range(len(prompts))]

    def answer(
        self, points: Floats, labels: NDArray[np.int64], logits: Floats | None, *, multimask: bool
    ) -> list[ImageResult]:
        """Answer checked prompts: points ``[B, P, 2]`` in pixels, labels, mask logits ``[B, 1, 4g, 4g]``."""
        decoded = self.decode(points, labels, logits, "several" if multimask else "stable")
        return [self._result(decoded, b) for b in range(len(decoded.masks))]

    def decode(
        self, points: Floats, labels: NDArray[np.int64], logits: Floats | None, mode: DecodeMode
    ) -> Decoded[Any]:
        """The decoder's own answer to checked prompts; see `answer`."""
        scale = self.model.config.image_size / np.array(self._size, np.float32)
        prompt = DecoderPrompt((points * scale).astype(np.float32), labels, logits)
        return self.model.decode(self.model.attend(self.features, None), self.features, prompt, mode)

    def to_image_size(self, logits: Floats) -> Floats:
        """Clean logits ``[4g, 4g]`` and enlarge them to the image, ``[H, W]``."""
        cleaned = remove_specks(fill_holes(logits, self.hole_area), self.speck_area)
        return resize_logits(cleaned, *self._size)

    def _result(self, decoded: Decoded[Any], row: int) -> ImageResult:
        logits = decoded.masks[row]
        masks = np.stack([self.to_image_size(plane) > 0 for plane in logits])
        clamped = np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT)
        return ImageResult(masks, decoded.scores[row], clamped, sigmoid(float(decoded.presence[row, 0])))

    def _mask_prompt(self, mask: Any) -> Floats:
        array = mask_array(mask)
        side = self.model.config.mask_size
        if array.ndim == 3 and len(array) == 1:
            array = array[0]
        if array.dtype.kind == "f" and array.shape == (side, side):
            if not np.isfinite(array).all():
                raise PromptError("mask holds NaN or infinity; expected logits of an earlier answer.")
            return array.astype(np.float32)
        if array.shape != self._size[::-1]:
            raise PromptError(
                f"mask has shape {array.shape}; expected {self._size[::-1]} like the image, or logits of "
                f"shape {(side, side)} from an earlier answer."
            )
        inside = read_mask(array, *self._size)
        signed = np.where(inside, MASK_PROMPT_LOGIT, -MASK_PROMPT_LOGIT).astype(np.float32)
        return resize_mask_logits(signed, side)


def _listed(prompts: Any) -> list[Prompt]:
    if isinstance(prompts, (Prompt, Mapping)) or not isinstance(prompts, Iterable):
        raise PromptError(
            f"prompts is a {type(prompts).__name__}; expected a list, so pass [Prompt(points=...), ...]."
        )
    return [check_prompt(prompt) for prompt in prompts]
