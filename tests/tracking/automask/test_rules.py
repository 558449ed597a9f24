"""Crops, grids, edges, overlaps and small regions, against numbers of the published code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgetam.tracking.automask.crops import at_inner_edge, list_crops, point_grid, points_of_layer
from edgetam.tracking.automask.masker import stability_of, without_small_regions
from edgetam.tracking.automask.overlap import suppress
from edgetam.tracking.automask.record import AutoMask, bounding_box, cut
from edgetam.tracking.automask.regions import fill_small_holes, remove_small_islands

PUBLISHED = np.load(Path(__file__).parents[2] / "parity" / "data" / "amg_rules.npz")
NUMBERS = [key.removeprefix("rsr_meta_") for key in PUBLISHED.files if key.startswith("rsr_meta_")]
OVERLAPS = [key.removeprefix("nms_keep_") for key in PUBLISHED.files if key.startswith("nms_keep_")]


def bits(key: str, height: int, width: int) -> NDArray[np.bool_]:
    return np.unpackbits(PUBLISHED[key])[: height * width].reshape(height, width).astype(bool)


def found(mask: NDArray[np.bool_], score: float = 1.0) -> AutoMask:
    height, width = mask.shape
    box = bounding_box(mask)
    return AutoMask(cut(mask, box), box, (width, height), score, 1.0, (0.0, 0.0), (0, 0, width, height))


def test_crops_are_the_published_ones() -> None:
    cases = json.loads(str(PUBLISHED["crop_boxes"]))
    assert len(cases) > 100
    for case in cases:
        height, width = case["im_size"]
        crops = list_crops(width, height, case["n_layers"], case["overlap"])
        assert [list(crop.box) for crop in crops] == case["boxes"]
        assert [crop.layer for crop in crops] == case["layers"]


def test_points_lie_in_the_middle_of_cells_row_by_row() -> None:
    assert point_grid(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    assert [points_of_layer(32, 2, layer) for layer in range(7)] == [32, 16, 8, 4, 2, 1, 1]


def test_what_the_edge_of_a_crop_cuts_off() -> None:
    crop, (_, _, width, height) = tuple(PUBLISHED["edge_crop"].tolist()), PUBLISHED["edge_orig"].tolist()
    boxes = PUBLISHED["uncrop_boxes_y"]
    assert np.array_equal(at_inner_edge(boxes, crop, width, height), PUBLISHED["edge_y"])
    assert not at_inner_edge(boxes, (0, 0, width, height), width, height).any()


@pytest.mark.parametrize("number", OVERLAPS)
def test_overlaps_are_settled_as_published(number: str) -> None:
    boxes, scores = PUBLISHED[f"nms_boxes_{number}"], PUBLISHED[f"nms_scores_{number}"]
    kept = suppress(boxes, scores, float(PUBLISHED[f"nms_thr_{number}"]))
    assert np.array_equal(kept, PUBLISHED[f"nms_keep_{number}"])


boxes_of = st.lists(st.tuples(*[st.integers(0, 30)] * 4), max_size=20)


@given(boxes_of, st.floats(0, 1, width=32))
def test_what_stays_does_not_overlap_and_what_goes_does(sides: list[tuple[int, ...]], limit: float) -> None:
    corners = np.array(sides, np.float64).reshape(-1, 2, 2)
    boxes = np.concatenate([corners.min(1), corners.max(1) + 1], axis=1)
    scores = np.arange(len(boxes))[::-1] / 20
    kept = suppress(boxes, scores, limit)
    for i in range(len(boxes)):
        better = [j for j in kept if j < i]
        assert (i in kept) == all(iou(boxes[i], boxes[j]) <= limit for j in better)


def iou(a: NDArray[Any], b: NDArray[Any]) -> np.float32:
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    both = np.float32(sides.prod())
    return both / np.float32((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both)


@pytest.mark.parametrize("number", NUMBERS)
def test_small_regions_go_as_published(number: str) -> None:
    height, width, area, holes, changed, source = PUBLISHED[f"rsr_meta_{number}"].astype(int).tolist()
    mask = bits(f"rsr_in_{height}_{source}", height, width)
    clean = fill_small_holes if holes else remove_small_islands
    cleaned, was_changed = clean(mask, area)
    assert np.array_equal(cleaned, bits(f"rsr_y_{number}", height, width))
    assert was_changed == bool(changed)


def test_stability_is_the_published_one() -> None:
    for number in range(2):
        threshold, offset = PUBLISHED[f"stab_args_{number}"].tolist()
        logits = PUBLISHED[f"stab_x_{number}"].astype(np.float32)
        stability = [stability_of(plane, threshold, offset) for plane in logits]
        assert np.allclose(stability, PUBLISHED[f"stab_y_{number}"], atol=1e-6, equal_nan=True)


def test_duplicates_after_cleaning_go() -> None:
    masks = [found(mask, score=i) for i, mask in enumerate(PUBLISHED["psr_masks"])]
    left = without_small_regions(masks, 60, 0.7)
    assert [mask.score for mask in left] == PUBLISHED["psr_60_ids"].tolist()
    assert [list(mask.box) for mask in left] == PUBLISHED["psr_60_boxes"].tolist()
    assert without_small_regions(masks, 0, 0.7) == masks


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**31))
def test_a_mask_survives_being_cut_out(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.2
    record = found(mask)
    assert np.array_equal(record.mask, mask)
    assert record.area == mask.sum()
