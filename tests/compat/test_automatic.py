"""The automatic mask generator's arguments and records, on a small network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as rle

from edgetam.compat.sam2 import SAM2AutomaticMaskGenerator, SAM2VideoPredictor
from edgetam.errors import ConfigError
from tests.compat.conftest import HEIGHT, WIDTH

Video = NDArray[np.uint8]
LENIENT: dict[str, Any] = {"points_per_side": 3, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}


def generate(predictor: SAM2VideoPredictor, video: Video, **options: Any) -> list[dict[str, Any]]:
    return SAM2AutomaticMaskGenerator(predictor, **{**LENIENT, **options}).generate(video[0])


def test_records_are_the_published_ones(predictor: SAM2VideoPredictor, video: Video) -> None:
    records = generate(predictor, video)
    assert records
    for record in records:
        mask = record["segmentation"]
        assert mask.shape == (HEIGHT, WIDTH)
        assert mask.dtype == bool
        assert record["area"] == mask.sum() > 0
        rows, columns = np.nonzero(mask)
        x, y, width, height = record["bbox"]
        assert (x, y) == (columns.min(), rows.min())
        assert (x + width, y + height) == (columns.max(), rows.max())  # as published
        assert record["crop_box"] == [0, 0, WIDTH, HEIGHT]
        assert len(record["point_coords"]) == 1
        assert isinstance(record["predicted_iou"], float)
        assert isinstance(record["stability_score"], float)


@pytest.mark.parametrize("mode", ["uncompressed_rle", "coco_rle"])
def test_run_lengths_hold_the_same_masks(predictor: SAM2VideoPredictor, video: Video, mode: str) -> None:
    plain = generate(predictor, video)
    coded = generate(predictor, video, output_mode=mode)
    assert len(coded) == len(plain)
    for one, two in zip(plain, coded, strict=True):
        run_lengths = two["segmentation"]
        if mode == "uncompressed_rle":
            assert sum(run_lengths["counts"]) == WIDTH * HEIGHT
            run_lengths = rle.frPyObjects(run_lengths, HEIGHT, WIDTH)
        assert np.array_equal(rle.decode(run_lengths).astype(bool), one["segmentation"])


def test_points_instead_of_a_grid(predictor: SAM2VideoPredictor, video: Video) -> None:
    grids = [np.array([[0.5, 0.5]])]
    records = generate(predictor, video, points_per_side=None, point_grids=grids)
    assert {tuple(record["point_coords"][0]) for record in records} == {(WIDTH / 2, HEIGHT / 2)}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"points_per_side": None}, "points_per_side"),
        ({"point_grids": [np.array([[0.5, 0.5]])]}, "point_grids"),
        ({"output_mode": "png"}, "coco_rle"),
        ({"pred_iou_thresh": 2}, "min_score"),
    ],
)
def test_arguments_that_cannot_be(predictor: SAM2VideoPredictor, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        SAM2AutomaticMaskGenerator(predictor, **wrong)
