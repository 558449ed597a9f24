"""What a user may point at, and how mistakes are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgetam.errors import PromptError
from edgetam.structs import Prompt
from edgetam.tracking.prompts import LARGEST, check_number, read_prompt

WIDTH, HEIGHT = 40, 30
MASK = np.ones((HEIGHT, WIDTH), bool)


def read(**prompt: Any) -> Any:
    return read_prompt(Prompt(**prompt), WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("prompt", "points", "labels"),
    [
        ({"points": [[1, 2]]}, [[1, 2]], [1]),
        ({"points": (1.5, 2)}, [[1.5, 2]], [1]),
        ({"points": np.array([[1, 2], [3, 4]]), "labels": [0, 1]}, [[1, 2], [3, 4]], [0, 1]),
        ({"points": torch.tensor([[1, 2]]), "labels": torch.tensor([0])}, [[1, 2]], [0]),
        ({"points": [[1, 2]], "labels": 0}, [[1, 2]], [0]),
        ({"points": [[1, 2]], "labels": [True]}, [[1, 2]], [1]),
        ({"points": [[0, 0], [40, 30]]}, [[0, 0], [40, 30]], [1, 1]),
        ({"box": [1, 2, 3, 4]}, [[1, 2], [3, 4]], [2, 3]),
        ({"box": [[1, 2], [3, 4]]}, [[1, 2], [3, 4]], [2, 3]),
        ({"box": [1, 2, 3, 4], "points": [[5, 6]], "labels": [0]}, [[1, 2], [3, 4], [5, 6]], [2, 3, 0]),
    ],
)
def test_points_and_boxes(prompt: dict[str, Any], points: list[Any], labels: list[int]) -> None:
    clicks = read(**prompt)
    assert clicks.points.tolist() == points
    assert clicks.points.dtype == np.float32
    assert clicks.labels.tolist() == labels
    assert clicks.labels.dtype == np.int64
    assert clicks.mask is None


@pytest.mark.parametrize("mask", [MASK, MASK.astype(np.uint8) * 255, MASK.astype(float), MASK.tolist()])
def test_masks(mask: Any) -> None:
    clicks = read(mask=mask)
    assert clicks.mask.dtype == bool
    assert clicks.mask.all()
    assert len(clicks.points) == len(clicks.labels) == 0


BAD = [
    ({}, "prompt is empty"),
    ({"labels": [1]}, "prompt is empty"),
    ({"labels": [1], "box": [1, 1, 2, 2]}, "Labels were given without points"),
    ({"mask": MASK, "points": [[1, 1]]}, "together with points"),
    ({"mask": MASK, "box": [1, 1, 2, 2]}, "together with box"),
    ({"points": []}, r"shape \(0,\)"),
    ({"points": [[1, 2, 3]]}, r"shape \(1, 3\)"),
    ({"points": [1, 2, 3]}, r"shape \(3,\)"),
    ({"points": [[[1, 2]]]}, r"shape \(1, 1, 2\)"),
    ({"points": np.zeros((0, 2))}, r"shape \(0, 2\)"),
    ({"points": 5}, r"shape \(\)"),
    ({"points": "ab"}, "points is 'ab'"),
    ({"points": [[1, "b"]]}, "points is"),
    ({"points": [[1, 2], [3]]}, r"points is \[\[1, 2\], \[3\]\]"),
    ({"points": [[None, 1]]}, "points is"),
    ({"points": {"x": 1}}, "points is"),
    ({"points": [[1j, 1]]}, "points is"),
    ({"points": [[float("nan"), 1]]}, "NaN or infinity"),
    ({"points": [[float("inf"), 1]]}, "NaN or infinity"),
    ({"points": [[1e300, 1]]}, "NaN or infinity"),
    ({"points": [[10**400, 1]]}, "points is"),
    ({"points": [[-1, 5]]}, r"Point \(-1, 5\) is outside the frame of 40 x 30"),
    ({"points": [[41, 5]]}, r"Point \(41, 5\)"),
    ({"points": [[1, 1], [5, 30.5]]}, r"Point \(5, 30.5\)"),
    ({"points": [[1, 1]], "labels": [1, 0]}, "2 labels were given for 1 points"),
    ({"points": [[1, 1]], "labels": []}, "0 labels"),
    ({"points": [[1, 1]], "labels": [2]}, r"labels are \[2.0\]"),
    ({"points": [[1, 1]], "labels": [-1]}, r"labels are \[-1.0\]"),
    ({"points": [[1, 1]], "labels": [0.5]}, r"labels are \[0.5\]"),
    ({"points": [[1, 1]], "labels": ["yes"]}, r"labels is \['yes'\]"),
    ({"points": [[1, 1]], "labels": [float("nan")]}, "NaN"),
    ({"box": [1, 1, 2]}, "box has 3 numbers"),
    ({"box": []}, "box has 0 numbers"),
    ({"box": [[1, 1, 2, 2], [1, 1, 3, 3]]}, "box has 8 numbers"),
    ({"box": [5, 5, 5, 9]}, r"box \(5, 5, 5, 9\) has no area"),
    ({"box": [9, 9, 5, 5]}, r"box \(9, 9, 5, 5\) has no area"),
    ({"box": [-1, 1, 5, 5]}, r"Box corner \(-1, 1\)"),
    ({"box": [1, 1, 5, 31]}, r"Box corner \(5, 31\)"),
    ({"box": [1, 1, float("nan"), 5]}, "box is"),
    ({"box": "all"}, "box is 'all'"),
    ({"mask": MASK.T}, r"shape \(40, 30\); expected \(30, 40\)"),
    ({"mask": MASK[None]}, r"shape \(1, 30, 40\)"),
    ({"mask": 1}, r"shape \(\)"),
    ({"mask": np.zeros_like(MASK)}, "no pixel set"),
    ({"mask": np.full((HEIGHT, WIDTH), np.nan)}, "NaN"),
    ({"mask": np.full((HEIGHT, WIDTH), "x")}, "mask has type <U1"),
    ({"mask": np.full((HEIGHT, WIDTH), None)}, "mask has type object"),
    ({"mask": [[1], [1, 2]]}, "not a rectangle"),
]


@pytest.mark.parametrize(("prompt", "message"), BAD)
def test_mistakes_are_named(prompt: dict[str, Any], message: str) -> None:
    with pytest.raises(PromptError, match=message) as caught:
        read(**prompt)
    assert type(caught.value) is PromptError
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize("prompt", [None, [[1, 2]], {"points": [[1, 2]]}, "click"])
def test_other_things_are_no_prompts(prompt: Any) -> None:
    with pytest.raises(PromptError, match=type(prompt).__name__):
        read_prompt(prompt, WIDTH, HEIGHT)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(points=ANYTHING, labels=ANYTHING, box=ANYTHING, mask=ANYTHING)
def test_any_nonsense_is_read_or_refused(points: Any, labels: Any, box: Any, mask: Any) -> None:
    """Never another error, and what is read is inside the frame."""
    try:
        clicks = read(points=points, labels=labels, box=box, mask=mask)
    except PromptError:
        return
    assert clicks.mask is None, "no such mask has the size of the frame"
    assert clicks.points.shape == (len(clicks.labels), 2)
    assert (clicks.points >= 0).all()
    assert (clicks.points <= [WIDTH, HEIGHT]).all()
    assert set(clicks.labels.tolist()) <= {0, 1, 2, 3}


def test_prompts_follow_each_other() -> None:
    box, point, other, mask = (
        read(**p)
        for p in (
            {"box": [1, 1, 5, 5]},
            {"points": [[2, 2]]},
            {"points": [[3, 3]], "labels": [0]},
            {"mask": MASK},
        )
    )
    assert box.followed_by(point).followed_by(other).labels.tolist() == [2, 3, 1, 0]
    assert point.followed_by(mask) is mask
    assert mask.followed_by(point) is point
    with pytest.raises(PromptError, match="replace=True"):
        point.followed_by(box)
    with pytest.raises(PromptError, match="replace=True"):
        box.followed_by(box)


def test_ids_fit_into_files() -> None:
    assert check_number("object_id", LARGEST) == LARGEST == np.iinfo(np.int64).max
    with pytest.raises(PromptError, match=f"object_id is {LARGEST + 1}; expected at most {LARGEST}"):
        check_number("object_id", LARGEST + 1)
