"""Masks of everything in an image (SAM 2's automatic mask generator)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.engine.base import DecodeMode, Engine
from edgetam.errors import ConfigError
from edgetam.io.arrays import as_rgb
from edgetam.tracking.automask.crops import Crop, at_inner_edge, list_crops, point_grid, points_of_layer
from edgetam.tracking.automask.options import AutoMaskOptions
from edgetam.tracking.automask.overlap import suppress
from edgetam.tracking.automask.record import AutoMask, bounding_box, cut
from edgetam.tracking.automask.regions import fill_small_holes, remove_small_islands
from edgetam.tracking.geometry import Floats
from edgetam.tracking.image import LOGIT_LIMIT, ImageSegmenter

__all__ = ["AutoMasker", "stability_of", "without_small_regions"]

Grid = NDArray[np.float64]
Progress = Callable[[int, int], None]


class AutoMasker:
    """Clicks on a regular grid and keeps the answers that are good, stable and not there already.

    Args:
        model: an engine, from `edgetam.load_model`.
        options: where to click and what to keep.
        grids: points ``[N, 2]`` as parts of the sides, one array per crop layer and one for the whole image,
            instead of regular grids.

    Raises:
        InputError: ``model`` is no engine.
        ConfigError: grids that are none, or not as many as there are layers.
    """

    def __init__(
        self, model: Engine, options: AutoMaskOptions | None = None, *, grids: Sequence[Any] | None = None
    ) -> None:
        self.segmenter = ImageSegmenter(model)
        if options is not None and not isinstance(options, AutoMaskOptions):
            raise ConfigError(f"options is a {type(options).__name__}; expected AutoMaskOptions(...).")
        self.options = options or AutoMaskOptions()
        self.grids = _regular(self.options) if grids is None else _checked(grids, self.options.crop_layers)

    def generate(self, image: Any, progress: Progress | None = None) -> list[AutoMask]:
        """Mask everything in an image.

        Args:
            image: RGB uint8 ``[H, W, 3]``, or another picture (`edgetam.io.arrays.as_rgb`).
            progress: told after every batch how many clicks are done, and how many there are.

        Returns:
            Masks, the best scored first; with crops, those of smaller crops first.

        Raises:
            MediaError: not an image.
        """
        rgb = as_rgb(image)
        size = (rgb.shape[1], rgb.shape[0])
        crops = [
            crop
            for crop in list_crops(*size, self.options.crop_layers, self.options.crop_overlap)
            # sides of a few pixels leave nothing for the last parts, which published code stumbles over
            if crop.box[0] < crop.box[2] and crop.box[1] < crop.box[3]
        ]
        total = sum(len(self.grids[crop.layer]) for crop in crops)
        done = 0
        found: list[AutoMask] = []
        for crop in crops:
            here: list[AutoMask] = []
            for clicks, masks in self._in_crop(rgb, crop):
                here += masks
                done += clicks
                if progress is not None:
                    progress(done, total)
            found += [mask.placed(size) for mask in self._best(here)]
        self.segmenter.reset()
        if len(crops) > 1:
            found = _smaller_crops_first(found, self.options.crop_max_overlap)
        return without_small_regions(found, self.options.min_region, self.options.max_overlap)

    def _in_crop(self, rgb: NDArray[np.uint8], crop: Crop) -> Iterator[tuple[int, list[AutoMask]]]:
        """Clicks of each batch, and the masks they gave, in pixels of the crop."""
        x0, y0, x1, y1 = crop.box
        self.segmenter.set_image(rgb[y0:y1, x0:x1])
        points = (self.grids[crop.layer] * self.segmenter.size).astype(np.float32)
        inside = rgb.shape[1], rgb.shape[0]
        for start in range(0, len(points), self.options.batch):
            clicks = points[start : start + self.options.batch]
            yield len(clicks), _uncut(list(self._answers(clicks, crop)), crop, *inside)

    def _answers(self, clicks: Floats, crop: Crop) -> Iterator[AutoMask]:
        """Answers to clicks ``[B, 2]`` that are good and stable."""
        options = self.options
        logits, scores = self._ask(clicks, None, "several" if options.several else self._single)
        clicks = clicks.repeat(logits.shape[1], axis=0)
        logits, scores = logits.reshape(-1, 1, *logits.shape[2:]), scores.ravel()
        if options.refine:
            logits, scores = self._refined(clicks, logits)
        for click, plane, score in zip(clicks, logits[:, 0], scores, strict=True):
            if options.min_score > 0 and not score > options.min_score:
                continue
            full = self.segmenter.to_image_size(plane)
            stability = stability_of(full, options.threshold, options.stability_offset)
            if options.min_stability > 0 and not stability >= options.min_stability:
                continue
            mask = full > options.threshold
            box = bounding_box(mask)
            if mask.any():
                point = (float(click[0]), float(click[1]))
                size = self.segmenter.size
                yield AutoMask(cut(mask, box), box, size, float(score), stability, point, crop.box)

    @property
    def _single(self) -> DecodeMode:
        return "stable" if self.options.stable_single else "single"

    def _ask(self, clicks: Floats, logits: Floats | None, mode: DecodeMode) -> tuple[Floats, Floats]:
        """Logits ``[B, M, 4g, 4g]`` and scores ``[B, M]`` for clicks ``[B, 2]``."""
        labels = np.ones((len(clicks), 1), np.int64)
        decoded = self.segmenter.decode(clicks[:, None], labels, logits, mode)
        return decoded.masks, decoded.scores

    def _refined(self, clicks: Floats, logits: Floats) -> tuple[Floats, Floats]:
        """Ask once more, with every answer ``[N, 1, 4g, 4g]`` as a prompt beside its click."""
        given = np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT)
        step = self.options.batch
        parts = [
            self._ask(clicks[i : i + step], given[i : i + step], self._single)
            for i in range(0, len(clicks), step)
        ]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1][:, 0] for p in parts])

    def _best(self, masks: list[AutoMask]) -> list[AutoMask]:
        scores = np.array([mask.score for mask in masks])
        return [masks[i] for i in suppress(_boxes(masks), scores, self.options.max_overlap)]


def without_small_regions(masks: list[AutoMask], area: int, limit: float) -> list[AutoMask]:
    """Remove holes and islands of fewer than ``area`` pixels; what then overlaps too much goes.

    Masks that needed no change are preferred.
    """
    if area <= 0:
        return masks
    changed, cleaned = [], []
    for each in masks:
        filled, holes = fill_small_holes(each.mask, area)
        mask, islands = remove_small_islands(filled, area)
        changed.append(holes or islands)
        cleaned.append(each.with_mask(mask) if changed[-1] else each)
    kept = suppress(_boxes(cleaned), 1.0 - np.array(changed, np.float64), limit)
    return [cleaned[i] for i in kept]


def _regular(options: AutoMaskOptions) -> list[Grid]:
    per_side, divisor = options.points_per_side, options.crop_points_divisor
    return [point_grid(points_of_layer(per_side, divisor, i)) for i in range(options.crop_layers + 1)]


def _checked(grids: Any, layers: int) -> list[Grid]:
    if isinstance(grids, (str, bytes, Mapping)) or not isinstance(grids, Iterable):
        raise ConfigError(f"grids is a {type(grids).__name__}; expected a list of arrays of points [N, 2].")
    grids = list(grids)
    if len(grids) != layers + 1:
        raise ConfigError(f"{len(grids)} grids were given for {layers} crop layers; expected {layers + 1}.")
    try:
        arrays = [np.asarray(grid, np.float64) for grid in grids]
    # the last are tensors' words for memory elsewhere, gradients and types that NumPy lacks
    except (ValueError, OverflowError, TypeError, RuntimeError) as error:
        raise ConfigError(f"A grid is no array of numbers ({error}); expected points [N, 2].") from error
    for grid in arrays:
        if grid.ndim != 2 or grid.shape[1] != 2 or not ((grid >= 0) & (grid <= 1)).all():
            raise ConfigError(f"A grid has shape {grid.shape}; expected points [N, 2] from 0 to 1.")
    return arrays


def _boxes(masks: Sequence[AutoMask]) -> NDArray[np.int64]:
    return np.array([mask.box for mask in masks], np.int64).reshape(-1, 4)


def _uncut(masks: list[AutoMask], crop: Crop, width: int, height: int) -> list[AutoMask]:
    """Leave out what the edge of a crop has cut off."""
    boxes = _boxes(masks) + np.array(crop.box[:2] * 2)
    return [
        mask
        for mask, off in zip(masks, at_inner_edge(boxes, crop.box, width, height), strict=True)
        if not off
    ]


def stability_of(logits: Floats, threshold: float, offset: float) -> float:
    """IoU of the masks cut above and below the threshold; NaN where both are empty."""
    inner = int((logits > threshold + offset).sum())
    outer = int((logits > threshold - offset).sum())
    return inner / outer if outer else float("nan")


def _smaller_crops_first(masks: list[AutoMask], limit: float) -> list[AutoMask]:
    """Of overlapping masks of several crops keep that of the smaller crop, which saw it larger."""
    areas = np.array([(m.crop[2] - m.crop[0]) * (m.crop[3] - m.crop[1]) for m in masks])
    return [masks[i] for i in suppress(_boxes(masks), 1 / areas, limit)]
