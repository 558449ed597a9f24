"""``edgetam segment``."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle

from edgetam.io import read_mask
from tests.cli.conftest import HEIGHT, WIDTH, refused, tree


def test_several_objects(run, engine, image, tmp_path):
    words = ("--point", "20,20", "--object", 2, "--box", "5,5,30,30")
    result = run("segment", image, *words, "-o", "res", "--save", "png,objects,overlay,cutout,coco")
    assert result.exit_code == 0, result.output
    masks = read_mask(tmp_path / "res/masks/photo.png")
    content = json.loads((tmp_path / "res/masks.json").read_text())
    assert [a["track_id"] for a in content["annotations"]] == [1, 2]
    assert content["annotations"][0]["score"] == pytest.approx(0.8)  # the best of three for one click
    assert content["annotations"][1]["score"] == pytest.approx(0.5)  # the only one for a box
    first = rle.decode(content["annotations"][0]["segmentation"]).astype(bool)
    assert np.array_equal(first, masks[1])
    assert (cv2.imread(str(tmp_path / "res/objects/001/photo.png"), 0) > 0).sum() == first.sum()
    cutout = cv2.imread(str(tmp_path / "res/cutout/photo.png"), cv2.IMREAD_UNCHANGED)
    assert cutout.shape == (HEIGHT, WIDTH, 4)
    assert ((cutout[..., 3] > 0) >= first).all()
    assert cv2.imread(str(tmp_path / "res/overlay.png")).shape == (HEIGHT, WIDTH, 3)
    for text in ("object 1: score 0.80", "object 2: score 0.50", "res/overlay.png", "res/masks.json"):
        assert text in result.stdout


def test_only_an_overlay(run, engine, image, tmp_path):
    result = run("segment", image, "--point", "20,20", "--save", "overlay", "-q")
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "out/photo/overlay.png").is_file()
    assert engine.loads[0][1]["partial"] == "image"


def test_a_mask_is_refined(run, engine, image, tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:20, 5:20] = 255
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    assert run("segment", image, "--mask", "m.png", "-o", "res", "-q").exit_code == 0
    prompt, mode = engine.prompts[0]
    assert prompt.mask is not None
    assert mode == "stable"


def test_again_with_other_prompts(run, engine, image):
    assert run("segment", image, "--point", "20,20", "-o", "res").exit_code == 0
    assert run("segment", image, "--point", "20,20", "-o", "res").exit_code == 0
    refused(run("segment", image, "--point", "21,20", "-o", "res"), 4, "--overwrite")
    refused(run("segment", image, "--point", "20,20", "-o", "res", "--imgsz", 512), 4, "other model")
    assert run("segment", image, "--point", "21,20", "-o", "res", "--overwrite").exit_code == 0


def test_again_with_another_kind(run, engine, image, tmp_path):
    for kind in ("png", "cutout"):
        assert run("segment", image, "--point", "20,20", "-o", "res", "--save", kind).exit_code == 0
    assert {"masks/photo.png", "cutout/photo.png"} <= tree(tmp_path / "res")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--point"),
        (("--point", "65,1"), "outside"),
        (("--box", "1,1,1,5"), "no area"),
        (("--object", "0", "--point", "1,1"), "Object 0"),
        (("--point", "1,1", "--save", "gif"), "gif"),
    ],
)
def test_bad_prompts(run, engine, image, tmp_path, words, told):
    before = tree(tmp_path)
    refused(run("segment", image, *words), 2, told)
    assert tree(tmp_path) == before
    assert not engine.loads


@pytest.mark.parametrize("content", [None, b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_bad_images(run, engine, tmp_path, content):
    path = tmp_path / "bad.png"
    if content is not None:
        path.write_bytes(content)
    before = tree(tmp_path)
    refused(run("segment", path, "--point", "1,1"), 2, "bad.png")
    assert tree(tmp_path) == before
