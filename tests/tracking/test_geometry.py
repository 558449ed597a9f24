"""Pixels and logits against PIL, torch and hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from edgetam.tracking.geometry import prepare_image, resize_logits, resize_mask, resize_mask_logits
from edgetam.tracking.masks import fill_holes, from_bf16, keep_highest, remove_specks, to_bf16

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
SHAPES = [(30, 40), (100, 64), (7, 300), (64, 64), (1, 1), (97, 33)]


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
def test_video_frames_are_resized_as_bytes_by_pil(shape: tuple[int, int]) -> None:
    rgb = picture(*shape)
    bytes_ = np.asarray(Image.fromarray(rgb).resize((256, 256), Image.Resampling.BICUBIC))
    expected = ((bytes_.astype(np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1)[None]
    got = prepare_image(rgb, 256, "video")
    assert got.dtype == np.float32
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("shape", [*SHAPES, (600, 500)])
def test_images_are_resized_as_floats_like_torch(shape: tuple[int, int]) -> None:
    rgb = picture(*shape)
    unit = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    resized = F.interpolate(unit, (256, 256), mode="bilinear", antialias=True, align_corners=False)
    expected = (resized - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    got = prepare_image(rgb, 256, "image")
    assert got.dtype == np.float32
    assert np.abs(got - expected.numpy()).max() < 1e-4


def test_both_ways_of_resizing_differ() -> None:
    rgb = picture(300, 400)
    assert np.abs(prepare_image(rgb, 256, "image") - prepare_image(rgb, 256, "video")).max() > 0.1


@pytest.mark.parametrize(("height", "width"), [(30, 40), (480, 854), (32, 32), (1, 1), (65, 1), (128, 128)])
def test_logits_are_resized_like_torch(height: int, width: int) -> None:
    logits = noise(64, 64)
    expected = F.interpolate(torch.from_numpy(logits)[None, None], (height, width), mode="bilinear")[0, 0]
    got = resize_logits(logits, width, height)
    assert got.shape == (height, width)
    assert np.abs(got - expected.numpy()).max() < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_mask_prompts_are_resized_like_torch_and_cut_at_one_half(shape: tuple[int, int]) -> None:
    mask = F.interpolate(torch.from_numpy(noise(1, 1, 6, 5)), shape, mode="bilinear")[0, 0].numpy() > 0
    tensor = torch.from_numpy(mask).float()[None, None]
    smooth = F.interpolate(tensor, (256, 256), mode="bilinear", antialias=True)[0, 0].numpy()
    got = resize_mask(mask, 256)
    clear = np.abs(smooth - 0.5) > 1e-4
    assert np.array_equal(got[clear], (smooth >= 0.5)[clear])
    assert set(np.unique(got)) <= {0.0, 1.0}


def test_masks_of_the_right_size_are_taken_as_they_are() -> None:
    mask = noise(256, 256) > 0
    assert np.array_equal(resize_mask(mask, 256), mask)
    logits = noise(64, 64)
    assert np.array_equal(resize_mask_logits(logits, 64), logits)


@pytest.mark.parametrize("shape", SHAPES)
def test_mask_logits_are_resized_like_torch_and_can_be_written_to(shape: tuple[int, int]) -> None:
    logits = noise(*shape) * 10
    tensor = torch.from_numpy(logits)[None, None]
    expected = F.interpolate(tensor, (64, 64), mode="bilinear", antialias=True)[0, 0]
    got = resize_mask_logits(logits, 64)
    assert np.abs(got - expected.numpy()).max() < 1e-4
    assert got.flags.writeable, "torch takes no read-only arrays"


def test_small_holes_are_filled() -> None:
    logits = np.full((12, 12), 3.0, np.float32)
    logits[1, 1] = logits[2, 2] = -5  # two cells that touch at a corner
    logits[6:9, 6:9] = -4  # nine cells
    logits[0, 11] = 0  # zero is background, at a border too
    filled = fill_holes(logits, 8)
    assert filled[1, 1] == filled[2, 2] == filled[0, 11] == np.float32(0.1)
    assert (filled[6:9, 6:9] == -4).all()
    assert (fill_holes(logits, 9)[6:9, 6:9] == np.float32(0.1)).all()
    assert (fill_holes(logits, 1)[[1, 2], [1, 2]] == -5).all()
    assert np.array_equal(fill_holes(logits, 0), logits)
    assert logits[1, 1] == -5, "the caller's logits stay"


def test_small_specks_are_removed() -> None:
    logits = np.full((10, 10), -3.0, np.float32)
    logits[2, 2:5] = 4
    logits[6:, 6:] = 5
    cleaned = remove_specks(logits, 3)
    assert (cleaned[2, 2:5] == np.float32(-0.1)).all()
    assert (cleaned[6:, 6:] == 5).all()
    assert np.array_equal(remove_specks(logits, 2), logits)


def test_masks_without_a_hole_stay_as_they_are() -> None:
    for value in (-1024.0, 5.0):
        logits = np.full((64, 64), value, np.float32)
        assert np.array_equal(fill_holes(logits, 8), logits)


def test_the_highest_logit_wins_and_the_first_on_ties() -> None:
    logits = np.array([[[3, 1, -20, 5]], [[3, 2, -30, -40]]], np.float32)
    expected = np.array([[[3, -10, -20, 5]], [[-10, 2, -30, -40]]], np.float32)
    assert np.array_equal(keep_highest(logits), expected)


@settings(max_examples=50)
@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_bfloat16_rounds_like_torch(values: list[float]) -> None:
    array = np.array(values, np.float32)
    expected = torch.from_numpy(array).bfloat16()
    got = from_bf16(to_bf16(array))
    assert got.dtype == np.float32
    assert np.array_equal(got, expected.float().numpy(), equal_nan=True)
    assert np.array_equal(from_bf16(to_bf16(got)), got, equal_nan=True), "a second time changes nothing"


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_bfloat16_rounds_all_bit_patterns_like_torch(bits: int) -> None:
    array = np.array([bits], np.uint32).view(np.float32)
    expected = torch.from_numpy(array).bfloat16().float().numpy()
    assert np.array_equal(from_bf16(to_bf16(array)), expected, equal_nan=True)


@pytest.mark.parametrize("bits", [0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0xFF800001, 0x7FC00000])
def test_nan_stays_nan(bits: int) -> None:
    array = np.array([bits], np.uint32).view(np.float32)
    assert np.isnan(from_bf16(to_bf16(array))).all()


@pytest.mark.parametrize(
    "value", [0.0, -0.0, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, 1.00390625, 1.01171875]
)
def test_bfloat16_of_special_numbers(value: float) -> None:
    array = np.array([value], np.float32)
    expected = torch.from_numpy(array).bfloat16().float().numpy()
    assert from_bf16(to_bf16(array)).tobytes() == expected.tobytes()


@pytest.mark.parametrize("width", [1, 2, 3])
def test_masks_that_are_too_thin_do_not_vanish(width: int) -> None:
    pole = np.zeros((600, 3000), bool)
    pole[100:500, 1500 : 1500 + width] = True
    got = resize_mask(pole, 256)
    assert got.any()
    assert abs(np.nonzero(got)[1].mean() - 1500 / 3000 * 256) < 1
    assert got.sum(1).max() <= 2
