"""Run-length masks: what goes in comes out, and damage is caught before it is decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edgetam.errors import MediaError
from edgetam.train.data.objects import LabelMap, RleObjects, decode_rle
from tests.train.data.fabricate import rle

masks = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(lambda shape: arrays(np.bool_, shape))


def runs(mask: NDArray[np.bool_]) -> list[int]:
    """Plain run lengths by columns, zeros first."""
    flat = mask.flatten("F")
    ends = np.flatnonzero(np.diff(flat.astype(np.int8))) + 1
    lengths = np.diff([0, *ends, flat.size]).tolist()
    return [0, *lengths] if flat[0] else lengths


@given(masks)
def test_compressed_and_plain_runs_decode_alike(mask: NDArray[np.bool_]) -> None:
    expected = (mask * 255).tolist()
    assert decode_rle(rle(mask), mask.shape, "m").tolist() == expected
    plain = {"size": list(mask.shape), "counts": runs(mask)}
    assert decode_rle(plain, mask.shape, "m").tolist() == expected
    assert RleObjects({5: plain}, mask.shape, "m").areas() == ({5: int(mask.sum())} if mask.any() else {})


@given(masks, st.text(st.characters(min_codepoint=40, max_codepoint=125), max_size=12))
def test_any_text_is_a_mask_of_this_size_or_an_error(mask: NDArray[np.bool_], counts: str) -> None:
    try:
        decoded = decode_rle({"size": list(mask.shape), "counts": counts}, mask.shape, "m")
    except MediaError as error:
        assert "'m' has a mask that cannot be decoded" in str(error)
    else:
        assert decoded.shape == mask.shape


@pytest.mark.parametrize(
    "damaged",
    [{}, {"size": [4, 4]}, {"size": [4, 4], "counts": [3, 2]}, {"size": [4, 4], "counts": [-4, 20]}, 7, None],
)
def test_damage_is_named(damaged: Any) -> None:
    with pytest.raises(MediaError, match=r"'picture.json' has a mask that cannot be decoded"):
        decode_rle(damaged, (4, 4), "picture.json")


def test_masks_of_another_size_are_refused() -> None:
    with pytest.raises(MediaError, match="mask of 5x4 for an image of 6x4"):
        decode_rle(rle(np.ones((4, 5), bool)), (4, 6), "m")


@given(arrays(np.uint8, (9, 7)))
def test_areas_are_the_pixels_of_masks(labels: NDArray[np.uint8]) -> None:
    for stored, last in ((labels, 254), (labels.astype(np.int32), 255)):
        objects = LabelMap(stored)
        areas = objects.areas()
        assert all(1 <= i <= last for i in areas)
        assert areas == {i: int((objects.mask(i) > 0).sum()) for i in areas}
        assert sum(areas.values()) == int(((labels > 0) & (labels <= last)).sum())


@given(masks, st.integers(0, 2**32 - 1))
def test_crowds_are_void_but_for_the_objects_in_them(mask: NDArray[np.bool_], seed: int) -> None:
    crowd = np.random.default_rng(seed).random(mask.shape) < 0.5
    found = RleObjects({1: rle(mask)}, mask.shape, "m", crowds=[rle(crowd)])
    void = found.void()
    assert void is not None
    assert (void > 0).tolist() == (crowd & ~mask).tolist()
    assert found.areas().keys() <= {1}
    assert RleObjects({1: rle(mask)}, mask.shape, "m").void() is None
