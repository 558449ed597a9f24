"""J and F of one frame."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgetam.errors import InputError
from edgetam.eval.metrics import boundary_similarity, frame_scores, region_similarity, statistics
from edgetam.eval.metrics.disks import disk
from edgetam.eval.metrics.similarity import match_boundaries, pack_pair, reach
from tests.eval import plain


@st.composite
def pairs(draw: st.DrawFn) -> tuple[plain.Mask, plain.Mask, plain.Mask]:
    """A prediction, a ground truth and void pixels, often with flat areas and often on the border."""
    height, width = draw(st.integers(1, 14)), draw(st.integers(1, 20))
    masks = []
    for _ in range(3):
        mask = draw(arrays(np.bool_, (height, width), fill=st.just(False)))
        top, left = draw(st.integers(0, height)), draw(st.integers(0, width))
        mask[top : top + draw(st.integers(0, 14)), left : left + draw(st.integers(0, 20))] = draw(
            st.booleans()
        )
        masks.append(mask)
    return masks[0], masks[1], masks[2]


@settings(max_examples=150)
@given(pairs(), st.sampled_from([0.008, 1, 2, 3, 7]))
def test_fast_equals_plain(masks: tuple[plain.Mask, plain.Mask, plain.Mask], bound: float) -> None:
    pred, gt, void = masks
    radius = math.ceil(bound * math.hypot(*gt.shape)) if bound < 1 else int(bound)
    assert region_similarity(pred, gt) == plain.region(pred, gt)
    assert boundary_similarity(pred, gt, bound_th=bound) == plain.contour(pred, gt, radius)
    masked = pred & ~void, gt & ~void
    assert region_similarity(pred, gt, void) == plain.region(*masked)
    assert boundary_similarity(pred, gt, void, bound) == plain.contour(*masked, radius)


@settings(max_examples=100)
@given(pairs())
def test_a_tolerance_of_nothing(masks: tuple[plain.Mask, plain.Mask, plain.Mask]) -> None:
    """Of a fractional disk just below 1 only the centre is left, so nothing keeps rows apart by chance."""
    pred, gt, _ = masks
    element = disk(0.95)
    pair = pack_pair(pred, gt, reach(element))
    assert pair is None or match_boundaries(pair, element) == plain.contour(pred, gt, 0)


@settings(max_examples=50)
@given(pairs())
def test_both_at_once_equals_one_by_one(masks: tuple[plain.Mask, plain.Mask, plain.Mask]) -> None:
    pred, gt, void = masks
    assert frame_scores(pred, gt) == (region_similarity(pred, gt), boundary_similarity(pred, gt))
    expected = region_similarity(pred, gt, void), boundary_similarity(pred, gt, void)
    assert frame_scores(pred, gt, void) == expected


@settings(max_examples=50)
@given(pairs())
def test_perfect_is_one_and_swapping_changes_nothing(
    masks: tuple[plain.Mask, plain.Mask, plain.Mask],
) -> None:
    pred, gt, _ = masks
    assert frame_scores(gt, gt) == (1.0, 1.0)
    assert frame_scores(pred, gt) == pytest.approx(frame_scores(gt, pred), abs=1e-15)


def test_a_shift_by_one_pixel_by_hand() -> None:
    gt, pred = np.zeros((2, 5, 6), bool)
    gt[1:3, 1:3] = True  # four pixels; the boundary is the eight around their upper left ones
    pred[1:3, 2:4] = True
    assert region_similarity(pred, gt) == 2 / 6
    assert boundary_similarity(pred, gt, bound_th=1) == 1.0


def test_the_image_border_is_no_boundary() -> None:
    full, empty = np.ones((4, 5), bool), np.zeros((4, 5), bool)
    assert frame_scores(full, empty) == (0.0, 1.0)
    assert frame_scores(empty, empty) == (1.0, 1.0)


def test_masks_may_be_of_any_type_and_layout() -> None:
    gt = np.zeros((30, 40), np.uint8)
    gt[3:20, 5:30] = 255
    assert frame_scores(gt[::-1, ::-1], gt[::-1, ::-1].astype(bool)) == (1.0, 1.0)


@pytest.mark.parametrize("shape", [(4, 6), (5, 5, 1)])
def test_sizes_must_agree(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="one size"):
        frame_scores(np.zeros(shape, bool), np.zeros((5, 5), bool))


def test_statistics_by_hand() -> None:
    mean, recall, decay = statistics([1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.0, 0.0])
    assert (mean, recall) == (0.4375, 0.25)
    assert decay == pytest.approx((1 + 1 + 0.5) / 3 - (0.25 + 0 + 0) / 3)
    assert statistics([0.7]) == (0.7, 1.0, 0.0)
    assert np.isnan(statistics([])).all()


def test_frames_that_do_not_count_are_nan() -> None:
    mean, recall, _ = statistics([np.nan, 0.6, 0.8, np.nan])
    assert mean == pytest.approx(0.7)
    assert recall == 0.5  # as published: of all frames
