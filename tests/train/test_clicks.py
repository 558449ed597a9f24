"""Simulated clicks and boxes, on masks small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edgetam.errors import PromptError
from edgetam.train.clicks import (
    box_from_mask,
    centre_click,
    centre_click_from_error,
    click_from_error,
    first_click,
    training_click,
)

Mask = NDArray[np.bool_]
masks = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def draw(*rows: str) -> Mask:
    return np.array([[c == "#" for c in row] for row in rows])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


EMPTY, FULL = np.zeros((5, 5), bool), np.ones((5, 5), bool)
BLOCK = draw(".....", ".###.", ".###.", ".###.", ".....")


def test_first_click_reaches_every_pixel_of_the_object_and_no_other() -> None:
    mask = draw("#....", ".....", "..##.", ".....", "....#")
    found = {first_click(mask, rng(seed)) for seed in range(80)}
    assert found == {(0, 0, 1), (2, 2, 1), (3, 2, 1), (4, 4, 1)}


def test_first_click_is_uniform() -> None:
    mask = draw("##...", ".....", ".....", ".....", "...##")
    source = rng()
    counts = np.zeros((5, 5))
    for _ in range(2000):
        x, y, _ = first_click(mask, source)
        counts[y, x] += 1
    assert counts[mask].min() > 400 and counts[~mask].sum() == 0


def test_click_from_error_covers_missed_and_extra_pixels() -> None:
    target = draw(".....", ".##..", ".##..", ".....", ".....")
    answer = draw(".....", ".#...", ".##..", ".....", "...##")
    found = {click_from_error(answer, target, rng(seed)) for seed in range(80)}
    assert found == {(2, 1, 1), (3, 4, 0), (4, 4, 0)}


def test_click_on_a_perfect_answer_is_negative_and_in_the_background() -> None:
    for seed in range(40):
        x, y, label = click_from_error(BLOCK, BLOCK, rng(seed))
        assert label == 0 and not BLOCK[y, x]


def test_click_on_a_perfect_answer_without_background_is_positive() -> None:
    assert click_from_error(FULL, FULL, rng()).label == 1
    assert centre_click_from_error(FULL, FULL) == (2, 2, 1)


def test_training_click_sometimes_ignores_the_answer() -> None:
    answer = BLOCK.copy()
    answer[1, 1] = False
    source = rng()
    clicks = [training_click(answer, BLOCK, source) for _ in range(2000)]
    assert all(click.label == 1 for click in clicks)
    elsewhere = sum((click.x, click.y) != (1, 1) for click in clicks)
    assert 0.06 < elsewhere / 2000 < 0.12  # a tenth, and one in nine of those meets the error


def test_training_click_without_an_object_is_negative() -> None:
    assert all(training_click(FULL, EMPTY, rng(seed)).label == 0 for seed in range(30))


def test_centre_click_by_hand() -> None:
    assert centre_click(BLOCK) == (2, 2, 1)
    assert centre_click(draw("###..", "###..", "###..", ".....", ".....")) == (1, 1, 1)
    assert centre_click(draw(".....", ".....", "....#", ".....", ".....")) == (4, 2, 1)


def test_centre_click_counts_the_border_as_outside() -> None:
    """Were the border not outside, every pixel of a full mask would be equally deep."""
    assert centre_click(FULL) == (2, 2, 1)


def test_centre_click_from_error_takes_the_deeper_region() -> None:
    target = draw(".....", "###..", "###..", "###..", ".....")
    missed = draw("....#", "....#", ".....", ".....", ".....")
    assert centre_click_from_error(missed, target) == (1, 2, 1)
    column = draw(".....", "#....", "#....", "#....", ".....")
    extra = draw("..###", "#.###", "..###", "#....", ".....")
    assert centre_click_from_error(extra, column) == (3, 1, 0)


def test_centre_click_from_error_prefers_extra_pixels_on_ties() -> None:
    target = draw("#....", ".....", ".....", ".....", ".....")
    answer = draw(".....", ".....", ".....", ".....", "...#.")
    assert centre_click_from_error(answer, target) == (3, 4, 0)


def test_centre_click_on_a_perfect_answer_is_in_the_background() -> None:
    target = draw("##...", "##...", ".....", ".....", ".....")
    x, y, label = centre_click_from_error(target, target)
    assert label == 0 and not target[y, x]


def test_tight_box_by_hand() -> None:
    assert box_from_mask(BLOCK).tolist() == [1, 1, 3, 3]
    assert box_from_mask(draw("....#", ".....", "#....")).tolist() == [0, 0, 4, 2]
    assert box_from_mask(draw(".....", "..#..")).tolist() == [2, 1, 2, 1]


def test_box_jitter_is_bounded_by_share_and_by_pixels() -> None:
    small = np.zeros((100, 100), bool)
    small[40:60, 30:70] = True  # 40 x 20: off by at most 4 and 2
    wide = np.zeros((1000, 1000), bool)
    wide[300:700, 100:900] = True  # 800 x 400: a tenth would be 80 and 40, the limit is 20
    off = np.array([box_from_mask(small, rng(s)) - [30, 40, 69, 59] for s in range(200)])
    assert (np.abs(off).max(0) <= [4, 2, 4, 2]).all() and (np.abs(off).max(0) > [3, 1.5, 3, 1.5]).all()
    off = np.array([box_from_mask(wide, rng(s)) - [100, 300, 899, 699] for s in range(60)])
    assert 15 < np.abs(off).max() <= 20


@given(masks, st.integers(0, 2**32 - 1))
def test_boxes_stay_inside_the_image(mask: Mask, seed: int) -> None:
    if not mask.any():
        return
    x0, y0, x1, y1 = box_from_mask(mask, rng(seed), jitter=0.5)
    assert 0 <= x0 <= mask.shape[1] - 1 and 0 <= x1 <= mask.shape[1] - 1
    assert 0 <= y0 <= mask.shape[0] - 1 and 0 <= y1 <= mask.shape[0] - 1


@given(masks, st.data())
def test_labels_always_tell_the_truth(target: Mask, data: st.DataObject) -> None:
    answer = data.draw(arrays(bool, target.shape))
    source = rng(data.draw(st.integers(0, 1000)))
    clicks = [click_from_error(answer, target, source), training_click(answer, target, source)]
    clicks.append(centre_click_from_error(answer, target))
    for x, y, label in clicks:
        assert label == target[y, x]


def test_masks_of_numbers_are_read_as_non_zero() -> None:
    assert centre_click(BLOCK.astype(np.uint8) * 255) == (2, 2, 1)


UNKNOWN = draw("..###", "...##", "...##", ".....", ".....")


def test_clicks_avoid_what_nothing_is_said_about() -> None:
    """Whatever the answer says there is right; so are clicks beside an object, or where there is none."""
    target = draw(".....", ".##..", ".##..", ".....", ".....")
    spilt = draw(".....", ".####", ".##.#", ".....", ".....")
    for truth, answer in ((target, target), (target, spilt), (EMPTY, EMPTY), (EMPTY, UNKNOWN)):
        for seed in range(40):
            clicks = [
                click_from_error(answer, truth, rng(seed), UNKNOWN),
                training_click(answer, truth, rng(seed), UNKNOWN),
                centre_click_from_error(answer, truth, UNKNOWN),
            ]
            assert not any(UNKNOWN[y, x] for x, y, _ in clicks)
            assert all(label == truth[y, x] for x, y, label in clicks)


def test_without_known_background_clicks_are_on_the_object() -> None:
    assert click_from_error(BLOCK, BLOCK, rng(), ~BLOCK).label == 1
    assert centre_click_from_error(FULL, BLOCK, ~BLOCK) == (2, 2, 1)
    assert click_from_error(EMPTY, EMPTY, rng(), FULL).label == 0  # nothing is known: anywhere


def test_void_that_is_nowhere_changes_nothing() -> None:
    nowhere = np.zeros((7, 9), bool)
    for seed in range(60):
        share = rng(seed).random(2)[:, None, None]
        answer, target = rng(seed).random((2, 7, 9)) < share.round(1)
        for rule in (click_from_error, training_click):
            assert rule(answer, target, rng(seed)) == rule(answer, target, rng(seed), nowhere)
            assert rule(target, target, rng(seed)) == rule(target, target, rng(seed), nowhere)
        assert centre_click_from_error(answer, target) == centre_click_from_error(answer, target, nowhere)


def test_wrong_masks_are_refused() -> None:
    for rule in (lambda m: first_click(m, rng()), centre_click, box_from_mask):
        with pytest.raises(PromptError, match="empty"):
            rule(EMPTY)
        with pytest.raises(PromptError, match="shape"):
            rule(np.ones((1, 5, 5), bool))
    with pytest.raises(PromptError, match="one size"):
        click_from_error(EMPTY, np.ones((4, 5), bool), rng())
    with pytest.raises(PromptError, match="jitter"):
        box_from_mask(BLOCK, rng(), jitter=0.9)
