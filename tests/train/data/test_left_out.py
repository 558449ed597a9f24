"""What readers leave out is counted, whichever of the two is missing: the picture or its annotation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgetam.train.data.registry import open_collection
from tests.train.data import fabricate
from tests.train.data.fabricate import jpeg, scene, write


def notes(kind: str, root: Path, **more: str) -> tuple[str, ...]:
    return open_collection({"kind": kind, "root": str(root), **more}).notes


def test_videos_count_frames_and_masks_that_are_alone(tmp_path: Path) -> None:
    fabricate.palette_videos(tmp_path, videos=4)
    for video, tree in ((0, "JPEGImages"), (1, "Annotations")):
        file = next((tmp_path / tree / f"video{video}").iterdir())
        file.unlink()
    for folder in ("JPEGImages/video2", "Annotations/video3"):
        (tmp_path / folder).rename(tmp_path / "elsewhere" if folder[0] == "J" else tmp_path / "nowhere")
    assert notes("mose", tmp_path) == (
        "6 frames are of videos without annotations",
        "1 frames have no annotation",
        "7 masks have no picture",
    )


def test_videos_that_have_no_frame_in_common_are_counted(tmp_path: Path) -> None:
    fabricate.palette_videos(tmp_path, videos=2, frames=2)
    masks = tmp_path / "Annotations" / "video1"
    for file in sorted(masks.iterdir()):
        file.rename(masks / f"9{file.name}")
    assert notes("mose", tmp_path) == ("2 frames have no annotation", "2 masks have no picture")


def test_videos_that_are_not_listed_are_not_counted(tmp_path: Path) -> None:
    fabricate.palette_videos(tmp_path, videos=3, frames=2)
    (tmp_path / "JPEGImages" / "video1").rename(tmp_path / "nowhere")
    (tmp_path / "Annotations" / "video2").rename(tmp_path / "elsewhere")
    write(tmp_path / "ImageSets" / "2017" / "train.txt", "video0\n")
    assert notes("davis", tmp_path) == ()


@pytest.mark.parametrize("make", [fabricate.static_images, fabricate.side_by_side])
def test_static_images_count_masks_without_image(make: object, tmp_path: Path) -> None:
    assert callable(make)
    make(tmp_path, count=4)
    for path in ("p0.jpg", "p1.jpg", "p2.png"):
        next(tmp_path.rglob(path)).unlink()
    assert notes("static", tmp_path) == ("1 images have no mask", "2 masks have no image")


def test_sa1b_counts_annotations_without_image(tmp_path: Path) -> None:
    fabricate.sa1b(tmp_path, count=4)
    for path in ("sa_0.jpg", "sa_1.jpg", "sa_2.json"):
        (tmp_path / path).unlink()
    assert notes("sa1b", tmp_path) == ("1 images have no JSON file", "2 JSON files have no image")


def test_coco_counts_images_without_objects(tmp_path: Path) -> None:
    file = fabricate.coco_images(tmp_path, count=3) / "annotations" / "instances_train.json"
    found = json.loads(file.read_text())
    # of image 1 a speck and a crowd stay, of image 2 nothing
    found["annotations"] = [
        one
        for one in found["annotations"]
        if one["image_id"] == 0 or (one["image_id"] == 1 and (one["area"] < 64 or one["iscrowd"]))
    ]
    file.write_text(json.dumps(found))
    write(tmp_path / "train" / "stranger.jpg", jpeg(scene(0)[0]))
    assert notes("coco", tmp_path) == (
        "1 images are missing",
        "2 images have no object of 64 pixels or more",
        "1 pictures are not in the annotations",
    )


def test_coco_counts_boxes_alone(tmp_path: Path) -> None:
    file = fabricate.coco_images(tmp_path, count=1) / "annotations" / "instances_train.json"
    found = json.loads(file.read_text())
    box = {"image_id": 0, "iscrowd": 0, "bbox": [1, 1, 30, 30]}
    found["annotations"] += [box, {**box, "segmentation": []}, {**box, "segmentation": [[]], "area": 900}]
    file.write_text(json.dumps(found))
    collection = open_collection({"kind": "coco", "root": str(tmp_path)})
    assert "3 annotations have no mask" in collection.notes
    assert len(collection[0].objects(0).areas()) == 2


def test_sav_counts_videos_without_masklets(tmp_path: Path) -> None:
    fabricate.sav_training(tmp_path, videos=3, as_video=False)
    (tmp_path / "sav_000000_manual.json").rename(tmp_path / "sav_000000_auto.json")
    (tmp_path / "sav_000001").rename(tmp_path / "sav_000009")
    assert notes("sav", tmp_path) == ("1 annotated videos are missing", "2 videos have no manual masklets")
    assert notes("sav", tmp_path, masklets="both") == (
        "1 annotated videos are missing",
        "1 videos have no manual or auto masklets",
    )


def test_sav_for_validation_counts_both_ways(tmp_path: Path) -> None:
    fabricate.sav_validation(tmp_path)
    images = tmp_path / "JPEGImages_24fps"
    (images / "sav_000001" / "00004.jpg").unlink()
    write(images / "sav_000002" / "00000.jpg", jpeg(scene(0)[0]))
    assert notes("sav", tmp_path) == ("1 annotated frames have no picture", "1 videos have no annotation")
