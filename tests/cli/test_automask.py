"""``edgetam automask``."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle

from edgetam.train.data import Ask, open_mixture
from tests.cli.conftest import HEIGHT, WIDTH, refused, tree

FEW = ("--points-per-side", 4, "--min-score", 0, "--min-stability", 0)


def test_a_picture(run, engine, image, tmp_path):
    result = run("automask", image, "-o", "res", *FEW, "--save", "json,overlay,objects")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "res/photo.json").read_text())
    assert content["image"] == {"file_name": "photo.png", "width": WIDTH, "height": HEIGHT}
    found = content["annotations"]
    assert f"photo.png: {len(found)} masks" in result.stdout
    assert [one["id"] for one in found] == list(range(1, len(found) + 1))
    for one in found:
        mask = rle.decode(one["segmentation"])
        assert one["area"] == mask.sum() > 0
        assert one["crop_box"] == [0, 0, WIDTH, HEIGHT]
        saved = cv2.imread(str(tmp_path / f"res/objects/photo/{one['id']:03d}.png"), 0)
        assert np.array_equal(saved > 0, mask > 0)
    assert cv2.imread(str(tmp_path / "res/overlay/photo.png")).shape == (HEIGHT, WIDTH, 3)
    assert engine.loads[0][1]["partial"] == "image"


def test_a_folder_is_completed_and_can_be_trained_on(run, engine, image, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    pixels = cv2.imread(str(image))
    for name in ("a.jpg", "b.jpg"):
        cv2.imwrite(str(pictures / name), pixels)
    assert run("automask", pictures, "-o", "res", *FEW, "--save", "json").exit_code == 0
    assert {"a.json", "b.json"} <= tree(tmp_path / "res")
    before = (tmp_path / "res/a.json").stat().st_mtime_ns
    (tmp_path / "res/b.json").unlink()
    again = run("automask", pictures, "-o", "res", *FEW, "--save", "json")
    assert "a.jpg: already there" in again.stdout
    assert "b.jpg: already" not in again.stdout
    assert (tmp_path / "res/b.json").exists()
    assert (tmp_path / "res/a.json").stat().st_mtime_ns == before

    for name in ("a.jpg", "b.jpg"):
        shutil.copy(pictures / name, tmp_path / "res" / name)
    mixture = open_mixture([{"kind": "sa1b", "root": str(tmp_path / "res")}], 0, Ask(1, 2, 64))
    assert mixture[0].present.any()
    assert not any(mixture.broken.values())


def test_a_damaged_picture_costs_no_other(run, engine, image, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        shutil.copy(image, pictures / name)
    (pictures / "a.png").write_bytes(b"")
    words = ("automask", pictures, "-o", "res", *FEW, "--save", "json")
    result = run(*words)
    refused(result, 2, "1 of 3 pictures", "a.png")
    assert "warning: Cannot read the image" in result.stderr
    assert {"b.json", "c.json"} <= tree(tmp_path / "res")
    (pictures / "a.png").unlink()
    again = run(*words)
    assert (again.exit_code, "b.png: already there" in again.stdout) == (0, True)
    for name in ("b.png", "c.png"):
        (pictures / name).write_bytes(b"")
    refused(run("automask", pictures, "-o", "none", *FEW), 2, "None of the 2 pictures")
    assert not (tmp_path / "none").exists()


def test_fewer_masks_than_before_leave_none_of_those_behind(run, engine, image, tmp_path):
    words = ("automask", image, "-o", "res", "--save", "objects", "--overwrite")
    assert run(*words, *FEW, "--max-overlap", 1).exit_code == 0
    before = len(list((tmp_path / "res/objects/photo").iterdir()))
    assert run(*words, "--points-per-side", 1, "--min-score", 0, "--min-stability", 0).exit_code == 0
    left = sorted(path.name for path in (tmp_path / "res/objects/photo").iterdir())
    assert 0 < len(left) < before
    assert left[0] == "001.png"


def test_nothing_found_is_said(run, engine, image):
    result = run("automask", image, "--points-per-side", 2, "--min-score", 0.99)
    assert result.exit_code == 0
    assert "photo.png: 0 masks; no answer had a score above 0.99" in result.stdout


def test_other_options_need_another_folder(run, engine, image):
    assert run("automask", image, "-o", "res", *FEW).exit_code == 0
    refused(run("automask", image, "-o", "res", *FEW, "--refine"), 4, "--overwrite")
    assert run("automask", image, "-o", "res", *FEW, "--refine", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("gone.png",), 2, "gone.png"),
        (("photo.png", "--min-score", "2"), 2, "min_score"),
        (("photo.png", "--points-per-side", "0"), 2, "points_per_side"),
        (("photo.png", "--save", "gif"), 2, "gif"),
        (("empty",), 2, "no images"),
        (("twins",), 2, "same name"),
    ],
)
def test_bad_input_writes_nothing(run, engine, image, tmp_path, words, code, told):
    (tmp_path / "empty").mkdir()
    (tmp_path / "twins").mkdir()
    for name in ("x.png", "x.jpg"):
        shutil.copy(image, tmp_path / "twins" / name)
    before = tree(tmp_path)
    refused(run("automask", *words, "-o", "res"), code, told)
    assert tree(tmp_path) == before
