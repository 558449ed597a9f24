"""Cases of automatic masks: whole images, and the rules they are made of."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.compat.automatic import SAM2AutomaticMaskGenerator
from tests.parity.golden import Golden
from tests.parity.images import picture
from tests.parity.models import Models
from tests.parity.report import Report

SCORE = 1e-4
STABILITY = 1e-3
"""A pixel or two of those that are counted may change sides."""
AREA, BOX, POINT = 4, 1, 1e-3


def run_automatic(golden: Golden, models: Models) -> list[Report]:
    """Masks of everything in one image, under several options."""
    cases = [key.removesuffix("_kw") for key in golden if key.endswith("_kw")]
    model = models.image()
    reports = []
    for case in cases:
        report = Report(f"{golden.name} {case}")
        image = picture(golden, report=report)
        options = json.loads(str(golden[f"{case}_kw"]))
        compare(report, golden, case, SAM2AutomaticMaskGenerator(model, **options).generate(image))
        reports.append(report)
    return reports


def compare(report: Report, golden: Golden, case: str, found: list[dict[str, Any]]) -> None:
    """The same masks, in the same order."""
    expected = {key: golden[f"{case}_{key}"] for key in ("area", "bbox", "predicted_iou", "stability_score")}
    report.exact("masks", len(found), len(expected["area"]))
    for i, one in enumerate(found[: len(expected["area"])]):
        report.add("area", abs(one["area"] - int(expected["area"][i])), AREA, f"mask {i}")
        report.add("box", _largest(one["bbox"], expected["bbox"][i]), BOX, f"mask {i}")
        report.add("iou", abs(one["predicted_iou"] - expected["predicted_iou"][i]), SCORE, f"mask {i}")
        off = abs(one["stability_score"] - expected["stability_score"][i])
        report.add("stability", off, STABILITY, f"mask {i}")
        report.add(
            "point", _largest(one["point_coords"], golden[f"{case}_point_coords"][i]), POINT, f"mask {i}"
        )
        report.exact(f"crop of mask {i}", one["crop_box"], golden[f"{case}_crop_box"][i])
        pixels = np.unpackbits(golden[f"{case}_bits"][i])[: one["segmentation"].size].astype(bool)
        report.add("px", int((one["segmentation"].ravel() != pixels).sum()), AREA, f"mask {i}")


def _largest(got: Any, expected: NDArray[Any]) -> float:
    return float(np.abs(np.asarray(got) - expected).max())
