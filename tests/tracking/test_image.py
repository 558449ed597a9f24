"""Images without a network: what reaches the decoder, what comes back, and how mistakes are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgetam.errors import ConfigError, InputError, MediaError, PromptError
from edgetam.structs import Prompt
from edgetam.tracking import ImageSegmenter
from tests.tracking.fake_engine import SIDE, FakeEngine

WIDTH, HEIGHT = 50, 20
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
MASK = np.zeros((HEIGHT, WIDTH), bool)
MASK[4:12, 10:30] = True


def segmenter(**options: Any) -> ImageSegmenter:
    seg = ImageSegmenter(FakeEngine(), **options)
    seg.set_image(RGB)
    return seg


def asked(seg: ImageSegmenter) -> tuple[Any, str]:
    assert isinstance(seg.model, FakeEngine)
    return seg.model.prompts[-1]


def test_one_click_gives_three_candidates() -> None:
    seg = segmenter()
    out = seg.predict(points=[[25, 10]])
    assert out.masks.shape == (3, HEIGHT, WIDTH)
    assert out.masks.dtype == bool
    assert out.scores.tolist() == pytest.approx([0.5, 0.8, 0.6])
    assert out.best == 1
    assert out.logits.shape == (3, SIDE, SIDE)
    prompt, mode = asked(seg)
    assert mode == "several"
    assert prompt.points.tolist() == [[[128, 128]]]
    assert prompt.labels.tolist() == [[1]]
    assert prompt.mask is None


def test_one_mask_on_request() -> None:
    seg = segmenter()
    out = seg.predict(box=[5, 5, 20, 15], points=[[6, 6]], labels=[0], multimask=False)
    assert out.masks.shape == (1, HEIGHT, WIDTH)
    prompt, mode = asked(seg)
    assert mode == "stable"
    assert prompt.labels.tolist() == [[2, 3, 0]]


def test_an_answer_can_be_refined() -> None:
    seg = segmenter()
    first = seg.predict(points=[[25, 10]])
    for mask in (first.logits[1], first.logits[1:2]):
        seg.predict(points=[[5, 5]], labels=[0], mask=mask, multimask=False)
        assert np.array_equal(asked(seg)[0].mask[0, 0], first.logits[1])


def test_a_mask_may_be_all_there_is() -> None:
    seg = segmenter()
    seg.predict(mask=MASK)
    prompt, _ = asked(seg)
    assert prompt.points.shape == (1, 0, 2)
    assert prompt.mask.shape == (1, 1, SIDE, SIDE)
    assert prompt.mask.max() == pytest.approx(10)
    assert prompt.mask.min() == pytest.approx(-10)
    inside = prompt.mask[0, 0] > 0
    assert inside.mean() == pytest.approx(MASK.mean(), abs=0.03)


def test_the_image_is_encoded_once() -> None:
    seg = segmenter()
    for x in range(5):
        seg.predict(points=[[x, x]])
    assert isinstance(seg.model, FakeEngine)
    assert seg.model.encoded == 1
    assert seg.size == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(RGB),
        Image.fromarray(RGB).convert("RGBA"),
        np.dstack([RGB, RGB[..., 0]]),
        RGB.astype(np.uint16) * 257,
    ],
)
def test_pictures_are_taken_in_any_mode(image: Any) -> None:
    seg = segmenter()
    expected = seg.predict(points=[[5, 5]])
    seg.set_image(image)
    assert np.array_equal(seg.predict(points=[[5, 5]]).logits, expected.logits)


@pytest.mark.parametrize(
    "image",
    [
        RGB[..., 0],
        Image.fromarray(RGB[..., 0]),
        Image.fromarray(RGB[..., 0].astype(np.uint16) * 257),  # PIL itself would clip 16 bits at 255
    ],
)
def test_grey_pictures_are_taken_too(image: Any) -> None:
    seg = segmenter()
    seg.set_image(np.dstack([RGB[..., 0]] * 3))
    expected = seg.predict(points=[[5, 5]])
    seg.set_image(image)
    assert np.array_equal(seg.predict(points=[[5, 5]]).logits, expected.logits)


def test_a_batch_equals_one_by_one_with_one_call_per_number_of_points() -> None:
    prompts = [
        Prompt(points=[[1, 1]]),
        Prompt(points=[[2, 2], [3, 3]]),
        Prompt(box=[1, 1, 9, 9]),
        Prompt(points=[[9, 9]], labels=[0]),
        Prompt(box=[2, 2, 9, 9], points=[[4, 4]]),
    ]
    seg = segmenter()
    assert isinstance(seg.model, FakeEngine)
    batch = seg.predict_batch(prompts)
    assert sorted(len(p.points) for p, _ in seg.model.prompts) == [1, 2, 2]
    for prompt, got in zip(prompts, batch, strict=True):
        alone = seg.predict(prompt.points, prompt.labels, prompt.box)
        assert np.array_equal(got.logits, alone.logits)
        assert np.array_equal(got.masks, alone.masks)
    assert seg.predict_batch([]) == []
    with pytest.raises(PromptError, match="is a dict"):
        seg.predict_batch([{"points": [[1, 1]]}])  # type: ignore[list-item]
    with_mask = seg.predict_batch([*prompts[:1], Prompt(mask=MASK)])
    assert np.array_equal(with_mask[0].logits, batch[0].logits)
    assert np.array_equal(with_mask[1].logits, seg.predict(mask=MASK).logits)


def test_logits_are_clamped_but_masks_are_not_made_from_them() -> None:
    seg = segmenter()
    engine = seg.model
    assert isinstance(engine, FakeEngine)
    plain = engine.decode

    def strong(*arguments: Any) -> Any:
        decoded = plain(*arguments)
        decoded.masks[:] = -30
        decoded.masks[..., : SIDE // 2] = 1000
        return decoded

    engine.decode = strong  # type: ignore[method-assign]
    seg.set_image(np.zeros((1, 8 * SIDE, 3), np.uint8))
    out = seg.predict(points=[[5, 0]])
    assert out.logits.max() == 32
    # half-way between the cells if 1000 were clamped to 32, close to the second one as it is
    assert out.masks[0].sum() == 4 * SIDE + 4


def test_holes_and_specks_are_cleaned_on_request() -> None:
    logits = np.full((SIDE, SIDE), -3, np.float32)
    logits[10:40, 10:40] = 3
    logits[20, 20] = -3
    logits[60, 60] = 3
    plain, cleaned = segmenter(), segmenter(fill_holes=1, remove_specks=1)
    side = (SIDE, SIDE)
    for seg in (plain, cleaned):
        seg.set_image(np.zeros((*side, 3), np.uint8))
    assert np.array_equal(plain.to_image_size(logits) > 0, logits > 0)
    got = cleaned.to_image_size(logits) > 0
    assert got[20, 20]
    assert not got[60, 60]
    assert got.sum() == 900


@pytest.mark.parametrize(
    "call", [lambda s: s.predict(points=[[1, 1]]), lambda s: s.predict_batch([Prompt(points=[[1, 1]])])]
)
def test_an_image_must_be_set(call: Any) -> None:
    seg = ImageSegmenter(FakeEngine())
    with pytest.raises(InputError, match="No image is set"):
        call(seg)
    seg.set_image(RGB)
    call(seg)
    seg.reset()
    with pytest.raises(InputError, match="No image is set"):
        call(seg)


def test_a_photo_is_turned_upright() -> None:
    photo = Image.new("RGB", (40, 30))
    photo.getexif()[0x0112] = 6
    seg = segmenter()
    seg.set_image(photo)
    assert seg.size == (30, 40)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (RGB[..., :2], r"shape \(20, 50, 2\)"),
        (RGB.astype(np.float32) / 255, "type float32"),
        (RGB.transpose(2, 0, 1), r"shape \(3, 20, 50\)"),
        (np.zeros((0, 5, 3), np.uint8), r"shape \(0, 5, 3\)"),
        (None, r"shape \(\)"),
        ("cat.jpg", "cat.jpg"),
        ([[1], [1, 2]], "not a rectangle"),
        (torch.zeros(4, 4, 3, requires_grad=True), "requires grad"),
    ],
)
def test_what_is_no_image_is_refused_and_the_one_before_stays(image: Any, message: str) -> None:
    seg = segmenter()
    with pytest.raises(MediaError, match=message):
        seg.set_image(image)
    assert seg.predict(points=[[49, 19]]).masks.shape == (3, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "prompt is empty"),
        ({"points": [[51, 3]]}, r"Point \(51, 3\) is outside the frame of 50 x 20"),
        ({"mask": MASK, "labels": [1]}, "prompt is empty"),
        (
            {"mask": MASK.T},
            r"shape \(50, 20\); expected \(20, 50\) like the image, or logits of shape \(64, 64\)",
        ),
        ({"mask": np.zeros((SIDE, SIDE), bool)}, r"shape \(64, 64\)"),
        ({"mask": np.full((SIDE, SIDE), np.nan, np.float32)}, "NaN"),
        ({"mask": np.zeros_like(MASK)}, "no pixel set"),
        ({"mask": np.full(MASK.shape, np.nan)}, "NaN"),
        ({"mask": [[1], [1, 2]]}, "not a rectangle"),
        ({"mask": np.full(MASK.shape, "x")}, "type <U1"),
    ],
)
def test_mistakes_are_named(prompt: dict[str, Any], message: str) -> None:
    seg = segmenter()
    with pytest.raises(PromptError, match=message) as caught:
        seg.predict(**prompt)
    assert type(caught.value) is PromptError


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (
            Prompt(points=[[1, 1]]),
            r"prompts is a Prompt; expected a list, so pass \[Prompt\(points",
        ),
        ({1: Prompt(points=[[1, 1]])}, "prompts is a dict; expected a list"),
        (None, "prompts is a NoneType; expected a list"),
        ([[[1, 1]]], r"The prompt is a list; expected Prompt\(points=...\)"),
        ([Prompt(mask=MASK), None], "The prompt is a NoneType"),
    ],
)
def test_what_is_no_list_of_prompts_is_said(prompts: Any, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        segmenter().predict_batch(prompts)


def test_prompts_may_come_one_by_one() -> None:
    seg = segmenter()
    assert len(seg.predict_batch(Prompt(points=[[x, 1]]) for x in (1, 2, 3))) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["points", "box", "mask"])
def test_tensors_that_numpy_cannot_take_are_said(what: str) -> None:
    with pytest.raises(PromptError, match=what):
        segmenter().predict(**{what: torch.ones(HEIGHT, WIDTH, requires_grad=True)})


def test_what_is_no_engine_is_named() -> None:
    with pytest.raises(InputError, match=r"model is a str; pass what edgetam\.load_model\(\) gives"):
        ImageSegmenter("edgetam")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["fill_holes", "remove_specks"])
@pytest.mark.parametrize("cells", ["8", None, 1.5, -1])
def test_cells_that_cannot_be_counted_are_told(name: str, cells: object) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {cells!r}; expected a whole number"):
        segmenter(**{name: cells})
