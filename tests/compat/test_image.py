"""The image predictor's calls and answers, on a small network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from edgetam.compat.sam2 import SAM2ImagePredictor, SAM2VideoPredictor
from edgetam.errors import InputError, PromptError
from tests.compat.conftest import HEIGHT, WIDTH

Video = NDArray[np.uint8]
POINT = {"point_coords": np.array([[54.0, 33.0]]), "point_labels": np.array([1])}
BOXES = np.array([[42.0, 49.0, 78.0, 76.0], [10.0, 10.0, 60.0, 50.0]])


@pytest.fixture
def image_predictor(predictor: SAM2VideoPredictor, video: Video) -> SAM2ImagePredictor:
    """With an image; published video predictors may be used for images too."""
    made = SAM2ImagePredictor(predictor)
    made.set_image(video[0])
    return made


@pytest.mark.parametrize(("multimask", "candidates"), [(True, 3), (False, 1)])
def test_answers_have_the_published_shapes(
    image_predictor: SAM2ImagePredictor, multimask: bool, candidates: int
) -> None:
    masks, scores, low = image_predictor.predict(**POINT, multimask_output=multimask)  # type: ignore[arg-type]
    assert masks.shape == (candidates, HEIGHT, WIDTH)
    assert scores.shape == (candidates,)
    assert low.shape == (candidates, 64, 64)
    assert masks.dtype == scores.dtype == low.dtype == np.float32
    assert set(np.unique(masks)) <= {0.0, 1.0}
    assert np.abs(low).max() <= 32


def test_several_boxes_are_a_batch_equal_to_one_by_one(image_predictor: SAM2ImagePredictor) -> None:
    masks, scores, low = image_predictor.predict(box=BOXES, multimask_output=False, return_logits=True)
    assert masks.shape == (2, 1, HEIGHT, WIDTH)
    assert scores.shape == (2, 1)
    for i, box in enumerate(BOXES):
        one = image_predictor.predict(box=box, multimask_output=False, return_logits=True)
        assert np.abs(masks[i] - one[0]).max() < 1e-4
        assert np.abs(low[i] - one[2]).max() < 1e-4


def test_logits_are_those_the_masks_are_cut_from(image_predictor: SAM2ImagePredictor) -> None:
    masks, _, _ = image_predictor.predict(**POINT)  # type: ignore[arg-type]
    logits, _, _ = image_predictor.predict(**POINT, return_logits=True)  # type: ignore[arg-type]
    assert np.array_equal(masks == 1, logits > 0)


def test_fractions_instead_of_pixels(image_predictor: SAM2ImagePredictor) -> None:
    pixels = image_predictor.predict(**POINT, return_logits=True)[0]  # type: ignore[arg-type]
    fractions = image_predictor.predict(
        POINT["point_coords"] / [WIDTH, HEIGHT],
        POINT["point_labels"],
        return_logits=True,
        normalize_coords=False,
    )[0]
    assert np.abs(pixels - fractions).max() < 1e-3


def test_an_answer_can_be_refined(image_predictor: SAM2ImagePredictor) -> None:
    _, scores, low = image_predictor.predict(**POINT)  # type: ignore[arg-type]
    best = low[scores.argmax()][None]
    refined = image_predictor.predict(**POINT, mask_input=best, multimask_output=False)[0]  # type: ignore[arg-type]
    assert refined.shape == (1, HEIGHT, WIDTH)
    rounded = torch.from_numpy(best).bfloat16()
    for given, same in ((torch.from_numpy(best), best), (rounded, rounded.float().numpy())):
        from_tensor, from_array = (
            image_predictor.predict(**POINT, mask_input=mask, multimask_output=False)[0]  # type: ignore[arg-type]
            for mask in (given, same)
        )
        assert np.array_equal(from_tensor, from_array)
    assert image_predictor.predict(mask_input=best)[0].shape == (3, HEIGHT, WIDTH)


def test_no_prompt_at_all_is_answered_as_published(image_predictor: SAM2ImagePredictor) -> None:
    assert image_predictor.predict()[0].shape == (3, HEIGHT, WIDTH)


def test_images_of_several_kinds_mean_the_same(predictor: SAM2VideoPredictor, video: Video) -> None:
    made = SAM2ImagePredictor(predictor)
    embeddings = []
    for image in (video[0], Image.fromarray(video[0]), video[0].astype(np.float32) / 255):
        made.set_image(image)
        embeddings.append(made.get_image_embedding())
    assert embeddings[0].shape == (1, 256, 16, 16)
    assert torch.equal(embeddings[0], embeddings[1])
    assert torch.equal(embeddings[0], embeddings[2])


def test_a_batch_of_images_equals_one_by_one(predictor: SAM2VideoPredictor, video: Video) -> None:
    made = SAM2ImagePredictor(predictor)
    images = [video[0], video[3][:60]]
    made.set_image_batch(images)
    assert made.get_image_embedding().shape == (2, 256, 16, 16)
    masks, scores, low = made.predict_batch([POINT["point_coords"]] * 2, [POINT["point_labels"]] * 2)
    assert [m.shape for m in masks] == [(3, HEIGHT, WIDTH), (3, 60, WIDTH)]
    for i, image in enumerate(images):
        made.set_image(image)
        alone = made.predict(**POINT)  # type: ignore[arg-type]
        for together, single in zip((masks[i], scores[i], low[i]), alone, strict=True):
            assert np.array_equal(together, single)


def test_holes_are_filled_and_specks_removed(predictor: SAM2VideoPredictor, video: Video) -> None:
    plain = SAM2ImagePredictor(predictor)
    clean = SAM2ImagePredictor(predictor, max_hole_area=100.0, max_sprinkle_area=100.0)
    everything = SAM2ImagePredictor(predictor, mask_threshold=1e6)
    for each in (plain, clean, everything):
        each.set_image(video[0])
    rough, smooth = (each.predict(**POINT, return_logits=True) for each in (plain, clean))  # type: ignore[arg-type]
    assert np.array_equal(rough[2], smooth[2]), "returned low-resolution logits stay as they are"
    changed = rough[0] != smooth[0]
    assert changed.any()
    assert (everything.predict(**POINT)[0] == 0).all()  # type: ignore[arg-type]


def test_calls_at_the_wrong_time_are_runtime_errors(predictor: SAM2VideoPredictor, video: Video) -> None:
    made = SAM2ImagePredictor(predictor)
    for call in (made.predict, made.predict_batch, made.get_image_embedding):
        with pytest.raises(RuntimeError, match="set_image"):
            call()
    made.set_image_batch([video[0]])
    with pytest.raises(RuntimeError, match="set_image"):
        made.predict()
    made.set_image(video[0])
    with pytest.raises(RuntimeError, match="set_image_batch"):
        made.predict_batch()
    made.reset_predictor()
    with pytest.raises(RuntimeError, match="set_image"):
        made.predict()


@pytest.mark.parametrize(
    "prompt",
    [
        {"point_coords": [[1, 2]]},
        {"point_labels": [1]},
        {"point_coords": [[1, 2]], "point_labels": [1, 0]},
        {"point_coords": [[1, 2, 3]], "point_labels": [1]},
        {"box": [1, 2, 3]},
        {"box": [1, 2, float("inf"), 4]},
        {"point_coords": [[float("nan"), 2]], "point_labels": [1]},
        {"point_coords": [[1, 2]], "point_labels": [-2]},
        {"mask_input": np.full((1, 64, 64), np.nan, np.float32)},
        {"box": BOXES, **POINT},
        {"mask_input": np.zeros((64, 64), np.float32)},
        {"mask_input": np.zeros((1, 7, 9), np.float32)},
        {"mask_input": "mask"},
        {"point_coords": np.zeros((0, 1, 2)), "point_labels": np.zeros((0, 1))},
        {"box": [10**400, 2, 3, 4]},
    ],
)
def test_wrong_prompts_are_errors(image_predictor: SAM2ImagePredictor, prompt: dict[str, object]) -> None:
    with pytest.raises(PromptError):
        image_predictor.predict(**prompt)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.full((4, 4, 3), 200.0),
        "file.jpg",
        None,
        np.zeros((4, 4, 3), int),
        np.zeros((0, 4, 3)),
    ],
)
def test_wrong_images_are_errors(predictor: SAM2VideoPredictor, image: object) -> None:
    with pytest.raises(InputError):
        SAM2ImagePredictor(predictor).set_image(image)


def test_wrong_batches_are_errors(predictor: SAM2VideoPredictor, video: Video) -> None:
    made = SAM2ImagePredictor(predictor)
    for images in ([], video[0], "images"):
        with pytest.raises(InputError):
            made.set_image_batch(images)  # type: ignore[arg-type]
    made.set_image_batch([video[0]])
    with pytest.raises(PromptError, match="2 prompts for 1 images"):
        made.predict_batch([POINT["point_coords"]] * 2, [POINT["point_labels"]] * 2)
    with pytest.raises(PromptError, match="one entry per image"):
        made.predict_batch(5)  # type: ignore[arg-type]


def test_pictures_lie_as_stored(image_predictor: SAM2ImagePredictor) -> None:
    image = Image.new("RGB", (40, 30))
    image.getexif()[0x0112] = 6
    image_predictor.set_image(image)
    assert image_predictor.predict(np.array([[5.0, 5.0]]), np.array([1]))[0].shape[1:] == (30, 40)
