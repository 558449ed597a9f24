"""Masks of everything, on an engine that sees regions of one brightness."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetam.errors import ConfigError, MediaError
from edgetam.structs import Decoded, DecoderPrompt, ImageFeatures
from edgetam.tracking import AutoMask, AutoMasker, AutoMaskOptions
from tests.tracking.fake_engine import SIDE, FakeEngine

WIDTH, HEIGHT = 96, 64
RECTANGLES = ((8, 8, 32, 24), (48, 8, 88, 24), (8, 36, 40, 60))
"""x0, y0, x1, y1; the last two outside."""


def picture() -> NDArray[np.uint8]:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for number, (x0, y0, x1, y1) in enumerate(RECTANGLES, 1):
        image[y0:y1, x0:x1] = 60 * number
    return image


class RegionEngine(FakeEngine):
    """Answers a click with all cells as bright as the one under it; the three candidates differ in score."""

    def encode(self, image: NDArray[np.float32]) -> ImageFeatures[Any]:
        self.encoded += 1
        plane = image[0, 0, 2::4, 2::4]
        return ImageFeatures(plane, plane, plane)

    def attend(self, features: ImageFeatures[Any], context: Any) -> Any:
        return features.stride16

    def decode(self, fused: Any, features: Any, prompt: DecoderPrompt[Any], mode: str) -> Decoded[Any]:
        self.prompts.append((prompt, mode))
        cells = np.clip((prompt.points[:, 0] / 4).astype(int), 0, SIDE - 1)
        under = fused[cells[:, 1], cells[:, 0]]
        logits = np.where(abs(fused[None] - under[:, None, None]) < 0.2, 8, -8).astype(np.float32)[:, None]
        scores = np.array([[0.7, 0.9, 0.85]] if mode == "several" else [[0.95]], np.float32)
        count = scores.shape[1]
        batch = len(under)
        return Decoded(
            logits.repeat(count, 1),
            scores.repeat(batch, 0),
            np.ones((batch, 1), np.float32),
            np.zeros((batch, 256), np.float32),
            np.zeros(batch, int),
        )


def masker(**options: Any) -> tuple[AutoMasker, RegionEngine]:
    engine = RegionEngine()
    # outlines of a few pixels are never very stable
    return AutoMasker(engine, AutoMaskOptions(**{"min_stability": 0.6, **options})), engine


def assert_close(found: AutoMask, rectangle: tuple[int, ...]) -> None:
    x0, y0, x1, y1 = rectangle
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[y0:y1, x0:x1] = True
    assert (found.mask & expected).sum() / (found.mask | expected).sum() > 0.9


def test_every_region_is_found_once() -> None:
    auto, engine = masker(points_per_side=12, batch=50)
    found = auto.generate(picture())
    rectangles = sorted(found, key=lambda one: one.area)[:3]
    for one, rectangle in zip(rectangles, sorted(RECTANGLES, key=_area), strict=True):
        assert_close(one, rectangle)
        x, y = one.point
        assert one.mask[int(y), int(x)]
    assert len(found) == 4  # and what is around them
    assert [one.score for one in found] == pytest.approx([0.9] * 4)
    assert all(0.6 < one.stability <= 1 for one in found)
    assert [len(prompt.points) for prompt, _ in engine.prompts] == [50, 50, 44]
    assert engine.encoded == 1


def _area(rectangle: tuple[int, ...]) -> int:
    return (rectangle[2] - rectangle[0]) * (rectangle[3] - rectangle[1])


def test_progress_ends_at_the_number_of_clicks() -> None:
    told: list[tuple[int, int]] = []
    masker(points_per_side=6, batch=10)[0].generate(picture(), lambda *done: told.append(done))
    assert [done for done, _ in told] == [10, 20, 30, 36]
    assert {total for _, total in told} == {36}


def test_only_good_and_stable_answers_stay() -> None:
    assert masker(points_per_side=6, min_score=0.95)[0].generate(picture()) == []
    assert (
        len(masker(points_per_side=6, min_score=0, min_stability=0, max_overlap=1.0)[0].generate(picture()))
        == 108
    )
    assert masker(points_per_side=6, stability_offset=9.0)[0].generate(picture()) == []


def test_one_answer_per_click() -> None:
    auto, engine = masker(points_per_side=4, several=False)
    scores = [one.score for one in auto.generate(picture())]
    assert scores == pytest.approx([0.95] * len(scores))
    assert scores
    assert {mode for _, mode in engine.prompts} == {"stable"}
    auto, engine = masker(points_per_side=4, several=False, stable_single=False)
    auto.generate(picture())
    assert {mode for _, mode in engine.prompts} == {"single"}


def test_refining_gives_every_answer_back_as_a_mask() -> None:
    auto, engine = masker(points_per_side=4, batch=16, refine=True)
    auto.generate(picture())
    again = [prompt for prompt, mode in engine.prompts if mode == "stable"]
    assert sum(len(prompt.points) for prompt in again) == 3 * 16
    assert max(len(prompt.points) for prompt in again) == 16
    for prompt in again:
        assert prompt.mask.shape == (len(prompt.points), 1, SIDE, SIDE)


def test_crops_are_encoded_on_their_own_and_placed() -> None:
    auto, engine = masker(points_per_side=8, crop_layers=1, crop_overlap=0.9)
    found = auto.generate(picture())
    assert engine.encoded == 5
    whole = (0, 0, WIDTH, HEIGHT)
    assert all(one.size == (WIDTH, HEIGHT) and one.mask.shape == (HEIGHT, WIDTH) for one in found)
    assert {one.crop for one in found} - {whole}
    for one in found:
        x, y = one.point
        assert one.crop[0] <= x < one.crop[2]
        assert one.crop[1] <= y < one.crop[3]
        around = one.mask[max(0, int(y) - 2) : int(y) + 3, max(0, int(x) - 2) : int(x) + 3]
        assert around.any()


@pytest.mark.parametrize("size", [(1, 1), (40, 3), (2, 200)])
def test_tiny_images_have_no_empty_crops(size: tuple[int, int]) -> None:
    auto, engine = masker(points_per_side=2, crop_layers=2)
    told: list[tuple[int, int]] = []
    found = auto.generate(np.zeros((*size, 3), np.uint8), lambda done, total: told.append((done, total)))
    assert 1 <= engine.encoded < 1 + 4 + 16
    assert told[-1] == (4 * engine.encoded,) * 2
    assert found
    assert all(one.mask.shape == size for one in found)


def test_small_islands_go() -> None:
    image = picture()
    image[20:24, 44:47] = 60  # as bright as the first rectangle
    options = {"points_per_side": 12, "batch": 50}
    smallest = min(masker(**options)[0].generate(image), key=lambda one: one.area)
    cleaned = min(masker(**options, min_region=40)[0].generate(image), key=lambda one: one.area)
    assert smallest.box[2] >= 44
    assert cleaned.box[2] < 36


def test_points_of_ones_own() -> None:
    engine = RegionEngine()
    found = AutoMasker(
        engine, AutoMaskOptions(min_stability=0.6), grids=[[[20 / WIDTH, 16 / HEIGHT]]]
    ).generate(picture())
    assert [one.point for one in found] == [(20.0, 16.0)]
    assert_close(found[0], RECTANGLES[0])


@pytest.mark.parametrize(
    "grids", [[], [[[0.5, 0.5]], [[0.5, 0.5]]], [[[1.5, 0.5]]], [[0.5, 0.5]], [[[float("nan"), 0.5]]]]
)
def test_grids_out_of_range(grids: list[Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        AutoMasker(RegionEngine(), grids=grids)


@pytest.mark.parametrize(
    "wrong",
    [
        {"points_per_side": 0},
        {"points_per_side": 2.5},
        {"batch": 0},
        {"min_score": 1.5},
        {"max_overlap": -0.1},
        {"min_stability": float("nan")},
        {"threshold": float("inf")},
        {"stability_offset": -1.0},
        {"min_region": -1},
    ],
)
def test_options_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        AutoMaskOptions(**wrong)


def test_what_is_no_image() -> None:
    with pytest.raises(MediaError, match="shape"):
        masker()[0].generate(np.zeros((4, 4, 2), np.uint8))


@pytest.mark.parametrize(
    "grids", [5, "ab", {0: [[0.5, 0.5]]}, [[["a", "b"]]], [[[0.5, 0.5], [1]]], [[[1j, 0]]]]
)
def test_grids_that_are_no_arrays_of_points(grids: Any) -> None:
    with pytest.raises(ConfigError, match=r"grid.* is .*; expected .*points \[N, 2\]"):
        AutoMasker(RegionEngine(), grids=grids)
