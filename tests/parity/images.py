"""Cases of the image predictor, of EdgeTAM and of SAM 2.1."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.compat.sam2 import SAM2ImagePredictor
from tests.parity.golden import Golden
from tests.parity.models import Models
from tests.parity.report import Report
from tests.parity.rules import frame

ENCODER, LOW, FULL, IOU = 2e-4, 5e-4, 1e-3, 1e-4
"""Recommended tolerances of single images."""
FLIPS = 4
"""Pixels of the mask logits whose sign may differ."""


def picture(golden: Golden, key: str = "image", report: Report | None = None) -> NDArray[np.uint8]:
    """The image ``KEY_hw_seed`` stands for, checked against its checksum."""
    height, width, seed = golden.integers(f"{key}_hw_seed")
    image = frame(seed, 0, height, width)
    if report is not None and f"{key}_crc32" in golden:
        report.exact(f"checksum of {key}", zlib.crc32(image.tobytes()), golden[f"{key}_crc32"][0])
    return image


def inputs_of(golden: Golden, case: str) -> dict[str, Any]:
    """Arguments of ``predict`` as they are stored."""
    prefix = f"{case}_in_"
    return {key.removeprefix(prefix): golden[key] for key in golden if key.startswith(prefix)}


def cases_of(golden: Golden, prefix: str = "") -> list[str]:
    """Names that have an answer."""
    return [key.removesuffix("_iou") for key in golden if key.endswith("_iou") and key.startswith(prefix)]


def run_image(golden: Golden, models: Models) -> list[Report]:
    """Run the image predictor's cases."""
    report = Report(golden.name)
    predictor = SAM2ImagePredictor(models.image())
    keys = [key.removesuffix("_hw_seed") for key in golden if key.endswith("_hw_seed")]
    pictures = {key: picture(golden, key, report) for key in keys}
    for key, image in pictures.items():
        predictor.set_image(image)
        golden.compare(report, "embedding", f"{key}_embed", predictor.get_image_embedding(), ENCODER)
        for case in cases_of(golden, f"{key}_"):
            arguments = inputs_of(golden, case)
            normalized = bool(arguments.pop("normalize_coords", True))
            multimask = case.endswith("_mm1")
            compare_answer(report, golden, case, predictor, arguments, multimask, normalized)
    run_batch(report, golden, predictor, list(pictures.values()))
    return [report]


def run_batch(
    report: Report, golden: Golden, predictor: SAM2ImagePredictor, pictures: list[NDArray[np.uint8]]
) -> None:
    """One click each on several images at once."""
    points = [np.array([[100.0 + 100 * i, 120.0 + 30 * i]]) for i in range(len(pictures))]
    labels = [np.array([1])] * len(pictures)
    predictor.set_image_batch(pictures)
    full, scores, low = predictor.predict_batch(points, labels, return_logits=True)
    for i in range(len(pictures)):
        golden.compare(report, "iou", f"batch{i}_iou", scores[i], IOU)
        golden.compare(report, "logits", f"batch{i}_lowres", low[i], LOW)
        golden.compare(report, "full", f"batch{i}_logits", full[i], FULL)


def compare_answer(
    report: Report,
    golden: Golden,
    case: str,
    predictor: SAM2ImagePredictor,
    arguments: Mapping[str, Any],
    multimask: bool,
    normalized: bool = True,
) -> None:
    """One answer of the image predictor."""
    full, scores, low = predictor.predict(
        **arguments, multimask_output=multimask, return_logits=True, normalize_coords=normalized
    )
    golden.compare(report, "iou", f"{case}_iou", scores, IOU)
    golden.compare(report, "logits", f"{case}_lowres", low, LOW)
    golden.compare(report, "full", f"{case}_logits", full, FULL)
    golden.compare_bits(report, f"{case}_lowres_bits", low, FLIPS)
    areas = (full > 0).reshape(-1, full.shape[-2] * full.shape[-1]).sum(1)
    for area, expected in zip(areas, golden[f"{case}_area"].ravel(), strict=True):
        report.add("area", abs(int(area) - int(expected)), 20, case)
