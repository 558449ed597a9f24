"""Every layout: the right pixels with the right objects, and what is wrong is named."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetam.errors import ConfigError, MediaError
from edgetam.train.data import Ask, open_source
from edgetam.train.data.decode import decode_image
from edgetam.train.data.items import Collection, check_size
from edgetam.train.data.registry import open_collection
from tests.train.data import fabricate
from tests.train.data.fabricate import BLUE, RED, packed, scene, write

Maker = Callable[[Path], dict[str, Any]]


def davis(root: Path) -> dict[str, Any]:
    fabricate.palette_videos(root, resolution="480p")
    write(root / "ImageSets" / "2017" / "train.txt", "video0\nvideo1\n")
    write(root / "ImageSets" / "2017" / "val.txt", "video1\n")
    return {"kind": "davis", "root": str(root)}


def in_tar(root: Path) -> dict[str, Any]:
    return {"kind": "davis", "root": str(packed(fabricate.palette_videos(root), root.with_suffix(".tar")))}


LAYOUTS: dict[str, Maker] = {
    "davis": davis,
    "tar": in_tar,
    "mose": lambda root: {"kind": "mose", "root": str(fabricate.palette_videos(root, split="train"))},
    "ytvos": lambda root: {"kind": "ytvos", "root": str(fabricate.palette_videos(root, "train", step=5))},
    "sav mp4": lambda root: {"kind": "sav", "root": str(fabricate.sav_training(root))},
    "sav frames": lambda root: {"kind": "sav", "root": str(fabricate.sav_training(root, as_video=False))},
    "sav val": lambda root: {"kind": "sav", "root": str(fabricate.sav_validation(root))},
    "static": lambda root: {"kind": "static", "root": str(fabricate.static_images(root))},
    "coco": lambda root: {"kind": "coco", "root": str(fabricate.coco_images(root))},
    "sa1b": lambda root: {"kind": "sa1b", "root": str(fabricate.sa1b(root))},
}
IMAGES = ("static", "coco", "sa1b")


@pytest.fixture(scope="module", params=LAYOUTS)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Any]]:
    root = tmp_path_factory.mktemp(request.param.replace(" ", "_")) / "data"
    return request.param, LAYOUTS[request.param](root)


def colours(collection: Collection, item: int, frame: int, identity: int) -> list[float]:
    """The mean colour of what a mask covers."""
    one = collection[item]
    picture, objects = one.picture(frame, 10_000), one.objects(frame)
    check_size(one, frame, picture, objects)
    mask = objects.mask(identity) > 0
    assert int(mask.sum()) == pytest.approx(objects.areas()[identity], rel=0.05)
    return picture.pixels[mask].mean(0).tolist()


def test_masks_lie_on_their_objects(made: tuple[str, dict[str, Any]]) -> None:
    collection = open_collection(made[1])
    for item in range(len(collection)):
        last = len(collection[item]) - 1
        assert last == (0 if made[0] in IMAGES else 5)
        ids = sorted(collection[item].objects(0).areas())[:2]
        for frame in {0, last}:
            assert colours(collection, item, frame, ids[0]) == pytest.approx(RED, abs=25)
        assert colours(collection, item, 0, ids[1]) == pytest.approx(BLUE, abs=25)


def test_clips_can_be_drawn(made: tuple[str, dict[str, Any]]) -> None:
    source = open_source({**made[1], "augment": "none"})
    clip = source.sample(np.random.default_rng(1), Ask(1 if made[0] in IMAGES else 4, 2, 64))
    for row in range(2):
        if clip.present[row]:
            shown = clip.frames[0][clip.masks[0, row]].float().mean(0)
            assert min(float((shown - shown.new_tensor(c)).norm()) for c in (RED, BLUE)) < 60


def test_sources_reach_workers_that_are_started_afresh(made: tuple[str, dict[str, Any]]) -> None:
    ask = Ask(1 if made[0] in IMAGES else 3, 2, 64)
    source = open_source(made[1])
    copy = pickle.loads(pickle.dumps(source))
    clips = [one.sample(np.random.default_rng(3), ask) for one in (source, copy)]
    assert bool((clips[0].frames == clips[1].frames).all())
    pickle.dumps(source)  # nothing that was opened stays behind


def test_masks_follow_the_official_lists(tmp_path: Path) -> None:
    given = davis(tmp_path)
    assert len(open_collection(given)) == 2
    assert len(open_collection({**given, "split": "val"})) == 1
    assert len(open_collection({**given, "split": "2017/val"})) == 1
    with pytest.raises(ConfigError, match="no split 'test', expected one of '2017/train', '2017/val'"):
        open_collection({**given, "split": "test"})


def test_hidden_objects_of_sav_are_empty_masks(tmp_path: Path) -> None:
    video = open_collection({"kind": "sav", "root": str(fabricate.sav_training(tmp_path, as_video=False))})[0]
    assert sorted(video.objects(0).areas()) == [1, 2]
    assert sorted(video.objects(5).areas()) == [1]
    assert not video.objects(5).mask(2).any()


def test_annotations_may_lie_apart(tmp_path: Path) -> None:
    fabricate.sa1b(tmp_path / "all")
    (tmp_path / "notes").mkdir()
    for file in (tmp_path / "all").glob("*.json"):
        file.rename(tmp_path / "notes" / file.name)
    given = {"kind": "sa1b", "root": str(tmp_path / "all"), "annotations": str(tmp_path / "notes")}
    assert len(open_collection(given)) == 3


def test_images_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        fabricate.sa1b(tmp_path / folder, count=1)
    fabricate.sa1b(tmp_path / "c", count=1)
    (tmp_path / "c" / "sa_0.json").unlink()
    collection = open_collection({"kind": "sa1b", "root": str(tmp_path)})
    assert sorted(collection.pairs) == [(f"{f}/sa_0.jpg", f"{f}/sa_0.json") for f in "ab"]
    assert collection.notes == ("1 images have no JSON file",)


def test_frames_pair_up_by_number_and_bare_ones_are_noted(tmp_path: Path) -> None:
    fabricate.palette_videos(tmp_path, videos=1)
    masks = tmp_path / "Annotations" / "video0"
    (masks / "00002.png").rename(masks / "0000002.png")
    (masks / "00004.png").unlink()
    collection = open_collection({"kind": "mose", "root": str(tmp_path)})
    assert len(collection[0]) == 5
    assert collection.notes == ("1 frames have no annotation",)


def test_void_is_no_object(tmp_path: Path) -> None:
    objects = open_collection({"kind": "static", "root": str(fabricate.static_images(tmp_path))})[0].objects(
        0
    )
    assert sorted(objects.areas()) == [1, 2]
    void = objects.void()
    assert void is not None and void.any(0).sum() == 6 and void[:, -6:].all()


def test_ids_above_255_stay_apart(tmp_path: Path) -> None:
    image, labels = scene(0)
    write(tmp_path / "images" / "a.jpg", fabricate.jpeg(image))
    (tmp_path / "masks").mkdir()
    Image.fromarray((labels.astype(np.uint16)) * 300).save(tmp_path / "masks" / "a.png")
    objects = open_collection({"kind": "static", "root": str(tmp_path)})[0].objects(0)
    assert objects.areas() == {300: int((labels == 1).sum()), 600: int((labels == 2).sum())}
    assert (objects.mask(600) > 0).tolist() == (labels == 2).tolist()


def test_label_255_of_16_bits_is_an_object(tmp_path: Path) -> None:
    image, labels = scene(0)
    write(tmp_path / "images" / "a.jpg", fabricate.jpeg(image))
    (tmp_path / "masks").mkdir()
    Image.fromarray((labels.astype(np.uint16)) * 255).save(tmp_path / "masks" / "a.png")
    objects = open_collection({"kind": "static", "root": str(tmp_path)})[0].objects(0)
    assert objects.areas().keys() == {255, 510}


@pytest.mark.parametrize("mode", ["L", "1"])
@pytest.mark.parametrize("kind", ["davis", "static", "side by side"])
def test_black_and_white_masks_are_one_object(mode: str, kind: str, tmp_path: Path) -> None:
    image, labels = scene(0)
    names = {"davis": ("JPEGImages/v/0", "Annotations/v/0"), "static": ("images/0", "masks/0")}
    picture, mask = (tmp_path / name for name in names.get(kind, ("0", "0")))
    write(picture.with_suffix(".jpg"), fabricate.jpeg(image))
    mask.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.where(labels == 1, 255, 0).astype(np.uint8)).convert(mode).save(f"{mask}.png")
    collection = open_collection(
        {"kind": kind.partition(" ")[0].replace("side", "static"), "root": str(tmp_path)}
    )
    objects = collection[0].objects(0)
    assert objects.areas() == {1: int((labels == 1).sum())}
    assert (objects.mask(1) > 0).tolist() == (labels == 1).tolist()


def test_palettes_beside_images_hold_ids(tmp_path: Path) -> None:
    image, labels = scene(0)
    write(tmp_path / "a.jpg", fabricate.jpeg(image))
    write(tmp_path / "a.png", fabricate.palette_png(labels))
    assert open_collection({"kind": "static", "root": str(tmp_path)})[0].objects(0).areas().keys() == {1, 2}


def test_equal_names_in_other_folders_are_kept_apart(tmp_path: Path) -> None:
    images, found = [], []
    for number, folder in enumerate(("train", "val")):
        image, labels = scene(2 * number, number)
        write(tmp_path / "static" / folder / "images" / "a.jpg", fabricate.jpeg(image))
        write(tmp_path / "static" / folder / "masks" / "a.png", fabricate.palette_png(labels))
        write(tmp_path / "coco" / "videos" / folder / "a.jpg", fabricate.jpeg(image))
        size = {"height": fabricate.HEIGHT, "width": fabricate.WIDTH}
        images.append({"id": number, "file_name": f"{folder}/a.jpg", **size})
        areas = {i: int((labels == i).sum()) for i in (1, 2)}
        masks = [{"area": areas[i], "segmentation": fabricate.rle(labels == i)} for i in (1, 2)]
        found += [{"image_id": number, **mask} for mask in masks]
    notes = json.dumps({"images": images, "annotations": found})
    write(tmp_path / "coco" / "instances_all.json", notes)
    for kind in ("static", "coco"):
        collection = open_collection({"kind": kind, "root": str(tmp_path / kind)})
        assert len(collection) == 2
        for item in (0, 1):
            assert colours(collection, item, 0, 1) == pytest.approx(RED, abs=25)
    write(tmp_path / "coco" / "instances_all.json", notes.replace("train/a.jpg", "a.jpg"))
    with pytest.raises(ConfigError, match="expected one such image"):
        open_collection({"kind": "coco", "root": str(tmp_path / "coco")})


def test_listed_videos_that_are_missing_are_noted(tmp_path: Path) -> None:
    fabricate.palette_videos(tmp_path, resolution="480p")
    write(tmp_path / "ImageSets" / "2017" / "train.txt", "video0\nvideo1\nvideo7\n")
    assert open_collection({"kind": "davis", "root": str(tmp_path)}).notes == ("1 listed videos are missing",)


def test_grey_masks_beside_images_are_cut_at_half(tmp_path: Path) -> None:
    fabricate.side_by_side(tmp_path)
    objects = open_collection({"kind": "static", "root": str(tmp_path)})[0].objects(0)
    assert objects.areas().keys() == {1}
    assert objects.areas()[1] == pytest.approx(int((scene(0)[1] == 1).sum()), rel=0.05)


@pytest.mark.parametrize("kind", ["davis", "mose", "ytvos", "sav", "static", "coco", "sa1b"])
def test_a_wrong_layout_says_what_was_expected_and_found(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "pictures" / "one.bmp", b"x")
    write(tmp_path / ".hidden.jpg", b"x")
    with pytest.raises(ConfigError) as caught:
        open_collection({"kind": kind, "root": str(tmp_path)})
    text = str(caught.value)
    assert "found 1 .bmp in pictures; the first is pictures/one.bmp; bring them into one of the known" in text
    for known in ("JPEGImages/", "VIDEO_manual.json", "masks/NAME.png", "instances_SPLIT.json", "NAME.json"):
        assert known in text


@pytest.mark.parametrize(("kind", "right"), [("davis", "static"), ("static", "davis, mose, ytvos")])
def test_another_known_layout_is_recognised(kind: str, right: str, tmp_path: Path) -> None:
    make = fabricate.static_images if kind == "davis" else fabricate.palette_videos
    with pytest.raises(ConfigError, match=f"this is the layout of {right}: set 'kind'"):
        open_collection({"kind": kind, "root": str(make(tmp_path))})


def test_a_folder_of_tar_files_is_recognised(tmp_path: Path) -> None:
    packed(fabricate.static_images(tmp_path / "images"), tmp_path / "tars" / "one.tar")
    with pytest.raises(ConfigError, match=r"name the tar files, as in root: '.*tars/\*\.tar'"):
        open_collection({"kind": "static", "root": str(tmp_path / "tars")})


def test_tar_files_must_be_plain(tmp_path: Path) -> None:
    write(tmp_path / "data.tar.gz", b"\x1f\x8b not plain")
    with pytest.raises(MediaError, match="uncompressed tar"):
        open_collection({"kind": "davis", "root": str(tmp_path / "data.tar.gz")})
    with pytest.raises(MediaError, match="does not exist"):
        open_collection({"kind": "davis", "root": str(tmp_path / "nowhere")})


def damaged(data: bytes, way: str) -> bytes:
    return {"empty": b"", "cut": data[: len(data) // 2], "text": b"not a picture" * 9}[way]


@pytest.mark.parametrize("way", ["empty", "cut", "text"])
@pytest.mark.parametrize("which", ["images/p0.jpg", "masks/p0.png"])
def test_damaged_files_are_named(which: str, way: str, tmp_path: Path) -> None:
    path = fabricate.static_images(tmp_path, count=1) / which
    path.write_bytes(damaged(path.read_bytes(), way))
    source = open_source({"kind": "static", "root": str(tmp_path)})
    with pytest.raises(MediaError, match=f"{Path(which).name}' cannot be decoded"):
        source.sample(np.random.default_rng(0), Ask(1, 2, 64))


def test_truncated_pictures_are_damaged_even_where_opencv_fills_them(monkeypatch: pytest.MonkeyPatch) -> None:
    data = fabricate.jpeg(scene(0)[0])
    assert decode_image(data + b"trailing bytes", "a.jpg", 1).size == (72, 104)
    monkeypatch.setattr("cv2.imdecode", lambda *_: np.full((72, 104, 3), 128, np.uint8))
    with pytest.raises(MediaError, match=r"'a\.jpg' cannot be decoded"):
        decode_image(data[: len(data) * 9 // 10], "a.jpg", 1)


@pytest.mark.parametrize(
    ("least", "side"), [(200, 256), (129, 256), (128, 128), (65, 128), (64, 64), (32, 32), (8, 32)]
)
def test_pictures_are_decoded_no_larger_than_needed(least: int, side: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (256, 300, 3), dtype=np.uint8)
    picture = decode_image(fabricate.jpeg(image), "a.jpg", least)
    assert picture.size == (256, 300) and picture.pixels.shape[0] == side


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    fabricate.static_images(tmp_path, count=1)
    write(tmp_path / "masks" / "p0.png", fabricate.palette_png(scene(0)[1][:50]))
    source = open_source({"kind": "static", "root": str(tmp_path)})
    with pytest.raises(MediaError, match="p0' is 104x72 and its mask 104x50"):
        source.sample(np.random.default_rng(0), Ask(1, 2, 64))


def test_masks_in_colours_are_refused(tmp_path: Path) -> None:
    fabricate.static_images(tmp_path, count=1)
    Image.fromarray(scene(0)[0]).save(tmp_path / "masks" / "p0.png")
    with pytest.raises(MediaError, match="mode RGB, expected object numbers"):
        open_collection({"kind": "static", "root": str(tmp_path)})[0].objects(0)


@pytest.mark.parametrize(
    ("kind", "make", "file"),
    [
        ("sa1b", fabricate.sa1b, "sa_0.json"),
        ("sav", fabricate.sav_training, "sav_000000_manual.json"),
        ("coco", fabricate.coco_images, "annotations/instances_train.json"),
    ],
)
@pytest.mark.parametrize("text", ["", "{", "[]", '{"image": {}}', '{"masklet": 3}', "[" * 100_000])
def test_damaged_annotations_are_named(
    kind: str, make: Callable[[Path], Path], file: str, text: str, tmp_path: Path
) -> None:
    make(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(MediaError, match=Path(file).name):
        open_collection({"kind": kind, "root": str(tmp_path)})[0].objects(0)


@pytest.mark.parametrize("segmentation", ["[" * 900 + "]" * 900, "1e999"])
def test_annotations_that_only_json_can_hold_are_named(segmentation: str, tmp_path: Path) -> None:
    """Lists so deep that it depends on the caller whether they can be read, and endless numbers."""
    fabricate.coco_images(tmp_path / "coco", count=1)
    fabricate.sa1b(tmp_path / "sa1b", count=1)
    size = f'"height": {fabricate.HEIGHT}, "width": {fabricate.WIDTH}'
    mask = f'"segmentation": {segmentation}, "area": {"1e999" if segmentation == "1e999" else "900"}'
    images = f'[{{"id": 0, "file_name": "{0:012d}.jpg", {size}}}]'
    write(
        tmp_path / "coco" / "annotations" / "instances_train.json",
        f'{{"images": {images}, "annotations": [{{"image_id": 0, {mask}}}]}}',
    )
    write(tmp_path / "sa1b" / "sa_0.json", f'{{"image": {{{size}}}, "annotations": [{{{mask}}}]}}')
    for kind in ("coco", "sa1b"):
        with pytest.raises(MediaError):
            open_collection({"kind": kind, "root": str(tmp_path / kind)})[0].objects(0).mask(1)


def test_a_video_that_breaks_off_is_named(tmp_path: Path) -> None:
    fabricate.sav_training(tmp_path, videos=1)
    video = tmp_path / "sav_000000.mp4"
    video.write_bytes(video.read_bytes()[:900])
    with pytest.raises(MediaError, match="sav_000000"):
        open_source({"kind": "sav", "root": str(tmp_path)}).sample(np.random.default_rng(0), Ask(2, 1, 64))


def test_a_video_inside_a_tar_file_must_be_unpacked(tmp_path: Path) -> None:
    archive = packed(fabricate.sav_training(tmp_path / "sav", videos=1), tmp_path / "sav.tar")
    with pytest.raises(MediaError, match="unpack the tar"):
        open_source({"kind": "sav", "root": str(archive)}).sample(np.random.default_rng(0), Ask(2, 1, 64))


@pytest.mark.parametrize("file", ["sa_0.jpg", "sa_0.json"])
def test_changed_bytes_give_a_clip_or_an_error_that_names_the_file(file: str, tmp_path: Path) -> None:
    path = fabricate.sa1b(tmp_path, count=1) / file
    whole = path.read_bytes()
    dice = np.random.default_rng(0)
    named = 0
    for _ in range(60):
        start, end = np.sort(dice.integers(0, len(whole), 2))
        inserted = dice.integers(0, 256, dice.integers(0, 4), dtype=np.uint8).tobytes()
        path.write_bytes(whole[:start] + inserted + whole[min(end, start + 9) :])
        try:
            clip = open_source({"kind": "sa1b", "root": str(tmp_path)}).sample(dice, Ask(1, 2, 32))
        except MediaError as error:
            named += "sa_0" in str(error) or "no object" in str(error)
        else:
            assert bool(clip.masks[0, clip.present].flatten(1).any(1).all())
            named += 1
    assert named == 60


def test_nothing_is_said_about_crowds_of_coco(tmp_path: Path) -> None:
    collection = open_collection({"kind": "coco", "root": str(fabricate.coco_images(tmp_path))})
    objects = collection[0].objects(0)
    void = objects.void()
    assert void is not None
    assert sorted(objects.areas()) == [1, 2]  # neither the crowd nor the speck
    known = objects.mask(1) | objects.mask(2)
    assert ((void > 0) == (known == 0)).all()
