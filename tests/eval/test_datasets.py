"""Every benchmark is found in its published layout, and anything else is told what was expected."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetam.errors import ConfigError, MediaError
from edgetam.eval.datasets import BENCHMARKS, Dataset, get_benchmark, open_dataset
from edgetam.eval.datasets.images import open_images
from edgetam.eval.datasets.patterns import FileKey, FilePattern
from tests.eval.scenes import HEIGHT, WIDTH, make_dataset, make_video, save_frame, save_ids, square

ZERO_SHOT = {
    *("endovis2018", "esd", "lvosv2", "lvvis", "uvo", "vost", "pumavos", "vkitti2", "vipseg", "wildfires"),
    *("visor", "fbms", "egoexo4d", "cityscapes", "lindenthal", "ht1080wt", "drosophila"),
}


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def opened(root: Path, name: str, split: str | None = None) -> Dataset:
    return open_dataset(get_benchmark(name), root, split)


def test_patterns_name_videos_objects_and_frames(tmp_path: Path) -> None:
    pattern = FilePattern("A/{video}/{object}/m_{frame}.png")
    touch(*(tmp_path / "A" / v / o / f"m_{t}.png" for v in ("x", "y") for o in "12" for t in (2, 10)))
    touch(tmp_path / "A/x/1/notes.txt", tmp_path / "A/x/1/other_3.png", tmp_path / "A/.hidden/1/m_1.png")
    assert pattern.videos(tmp_path) == ["x", "y"]
    assert list(pattern.files(tmp_path, "x")) == [
        FileKey("1", "2"), FileKey("1", "10"), FileKey("2", "2"), FileKey("2", "10"),
    ]  # fmt: skip
    assert pattern.per_object and pattern.files(tmp_path, "z") == {}


def test_two_folders_may_name_a_video(tmp_path: Path) -> None:
    pattern = FilePattern("{scene}/{video}/rgb/rgb_{frame}.*")
    touch(tmp_path / "s1/fog/rgb/rgb_0.jpg", tmp_path / "s2/rain/rgb/rgb_0.png")
    assert pattern.videos(tmp_path) == ["s1__fog", "s2__rain"]
    assert pattern.files(tmp_path, "s2__rain") == {FileKey("", "0"): tmp_path / "s2/rain/rgb/rgb_0.png"}


def test_two_files_of_one_frame_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "v/1.jpg", tmp_path / "v/1.png")
    with pytest.raises(MediaError, match=r"'1.jpg' and '1.png'.*both frame 1 of 'v'"):
        FilePattern("{video}/{frame}.*").files(tmp_path, "v")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{clip}/{frame}.png", "unknown place {clip}"),
        ("{video}/mask.png", "does not say where"),
        ("{frame}.png", "does not say where"),
        ("{frame}/{video}/x.png", "before or in the name of the video"),
        ("{video}_{frame}.png", "before or in the name of the video"),
    ],
)
def test_patterns_that_make_no_sense(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FilePattern(text)
    assert words in str(caught.value)


def test_all_the_sets_of_the_paper_are_known() -> None:
    assert len(ZERO_SHOT) == 17 and set(BENCHMARKS) >= ZERO_SHOT
    for benchmark in BENCHMARKS.values():
        for layouts in benchmark.splits.values():
            assert layouts
            for layout in layouts:
                FilePattern(layout.frames), FilePattern(layout.masks)
    documented = (Path(__file__).parents[2] / "docs/evaluation.md").read_text()
    assert [name for name in BENCHMARKS if f"`{name}`" not in documented] == []
    with pytest.raises(ConfigError, match=r"no data set 'davis'.*davis2016"):
        get_benchmark("davis")


def test_generic(tmp_path: Path) -> None:
    dataset = opened(make_dataset(tmp_path), "generic")
    assert dataset.names == ("a", "b") and dataset.kind == "ids" and not dataset.per_object
    video = dataset.video("b")
    assert video.frame_names == tuple(f"{t:05d}" for t in range(5))
    assert video.annotated == video.written == (0, 1, 2, 3, 4)
    assert video.masks(2).keys() == {1} and (video.masks(2)[1] == square(6, 8)).all()
    assert video.first_frames(late=True) == {1: 0}


def test_generic_with_a_folder_per_object(tmp_path: Path) -> None:
    for t in range(3):
        save_frame(tmp_path / f"JPEGImages/a/{t:05d}.jpg", t)
        for name, mask in (("000", square(2, 2)), ("007", square(4, 4))):
            save_ids(tmp_path / f"Annotations/a/{name}/{t:05d}.png", {1: mask})
    dataset = opened(tmp_path, "generic")
    assert dataset.per_object
    video = dataset.video("a")
    assert video.object_names() == {0: "000", 7: "007"}
    assert (video.masks(1)[0] & video.masks(1)[7]).any()


def test_objects_that_appear_later(tmp_path: Path) -> None:
    truth = {0: {2: square(1, 1)}, 1: {2: square(1, 1)}, 2: {2: square(1, 1), 1: square(12, 12)}}
    make_video(tmp_path, "a", truth, 3)
    video = opened(tmp_path, "generic").video("a")
    assert video.first_frames(late=True) == {1: 2, 2: 0}
    assert video.first_frames(late=False) == {2: 0}


def davis(root: Path, listed: str, lines: str) -> Path:
    masks = {t: {1: square(2, 2), 2: square(12, 2)} for t in range(3)}
    make_video(root, "dog", masks, 3, images="JPEGImages/480p", masks="Annotations/480p")
    make_video(root, "other", masks, 3, images="JPEGImages/480p", masks="Annotations/480p")
    (root / listed).parent.mkdir(parents=True)
    (root / listed).write_text(lines)
    return root


def test_davis_2017(tmp_path: Path) -> None:
    dataset = opened(davis(tmp_path, "ImageSets/2017/val.txt", "dog\n\n"), "davis2017")
    assert dataset.names == ("dog",)
    assert dataset.video("dog").first_frames(late=False) == {1: 0, 2: 0}


def test_davis_2016_has_one_object(tmp_path: Path) -> None:
    lines = "".join(f"/JPEGImages/480p/dog/{t:05d}.jpg /Annotations/480p/dog/{t:05d}.png\n" for t in range(3))
    dataset = opened(davis(tmp_path, "ImageSets/480p/val.txt", lines), "davis2016")
    assert dataset.names == ("dog",)
    (mask,) = dataset.video("dog").masks(0).values()
    assert (mask == (square(2, 2) | square(12, 2))).all()


def test_davis_2016_in_black_and_white(tmp_path: Path) -> None:
    root = davis(tmp_path, "ImageSets/2016/val.txt", "dog")
    Image.fromarray(square(2, 2).astype(np.uint8) * 255).save(root / "Annotations/480p/dog/00000.png")
    assert (opened(root, "davis2016").video("dog").masks(0)[1] == square(2, 2)).all()


@pytest.mark.parametrize("name", ["mose", "mosev2", "lvos", "lvosv2"])
@pytest.mark.parametrize("folder", ["valid/", ""])
def test_sets_with_a_folder_per_split(tmp_path: Path, name: str, folder: str) -> None:
    where = {"images": f"{folder}JPEGImages", "masks": f"{folder}Annotations"}
    make_video(tmp_path, "v", {0: {1: square(1, 1)}}, 3, **where)
    dataset = opened(tmp_path, name)
    assert dataset.names == ("v",)
    assert dataset.layout.truth is name.startswith("lvos")
    assert dataset.video("v").annotated == (0,)


def test_sav(tmp_path: Path) -> None:
    for t in range(6):
        save_frame(tmp_path / f"sav_test/JPEGImages_24fps/v/{t:05d}.jpg", t)
    for t in (0, 4):
        save_ids(tmp_path / f"sav_test/Annotations_6fps/v/000/{t:05d}.png", {1: square(1, 1)})
    (tmp_path / "sav_test/sav_test.txt").write_text("v\n")
    dataset = opened(tmp_path, "sav", "test")
    assert dataset.per_object
    video = dataset.video("v")
    assert (len(video.frame_names), video.annotated, video.first_frames(late=True)) == (6, (0, 4), {0: 0})


def test_youtube_with_all_frames_writes_every_fifth(tmp_path: Path) -> None:
    make_video(
        tmp_path,
        "v",
        {5: {1: square(1, 1)}},
        11,
        images="valid_all_frames/JPEGImages",
        masks="valid/Annotations",
    )
    for t in (5, 10):
        save_frame(tmp_path / f"valid/JPEGImages/v/{t:05d}.jpg", t)
    video = opened(tmp_path, "youtube2019", "val-all-frames").video("v")
    assert (len(video.frame_names), video.written, video.first_frames(late=True)) == (11, (5, 10), {1: 5})
    sparse = opened(tmp_path, "youtube2018").video("v")
    assert sparse.frame_names == ("00005", "00010")


def test_virtual_kitti(tmp_path: Path) -> None:
    folder = tmp_path / "Scene01/fog/frames"
    save_frame(folder / "rgb/Camera_0/rgb_00000.jpg", 0)
    save_ids(folder / "instanceSegmentation/Camera_0/instancegt_00000.png", {3: square(1, 1)})
    dataset = opened(tmp_path, "vkitti2")
    assert dataset.names == ("Scene01__fog",)
    assert dataset.video("Scene01__fog").first_frames(late=True) == {3: 0}


def test_the_wrong_layout_says_what_was_expected_and_found(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    with pytest.raises(MediaError) as caught:
        opened(tmp_path, "davis2017")
    for words in (
        "DAVIS 2017",
        "JPEGImages/480p/{video}/{frame}.jpg",
        "ImageSets/2017/val.txt",
        "found Annotations/",
    ):
        assert words in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="found an empty folder"):
        opened(tmp_path / "empty", "generic")
    with pytest.raises(MediaError, match="no folder"):
        opened(tmp_path / "nowhere", "generic")
    with pytest.raises(ConfigError, match="no split 'test'"):
        opened(tmp_path, "davis2017", "test")
    with pytest.raises(ConfigError, match=r"no sequence 'c'.*it has a, b"):
        opened(tmp_path, "generic").select(["a", "c"])


def test_a_sequence_without_masks_is_named(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    save_frame(tmp_path / "JPEGImages/c/00000.jpg", 0)
    with pytest.raises(MediaError, match="Sequence 'c' has frames and no masks"):
        opened(tmp_path, "generic")


def test_a_mask_without_a_frame_is_named(tmp_path: Path) -> None:
    make_dataset(tmp_path, ("a",))
    save_ids(tmp_path / "Annotations/a/7.png", {1: square(1, 1)})
    with pytest.raises(
        MediaError, match=r"Sequence 'a', frame 7.*no frame of that name; the frames are 00000"
    ):
        opened(tmp_path, "generic").video("a")


def test_masks_that_cannot_be_used_name_sequence_and_frame(tmp_path: Path) -> None:
    make_dataset(tmp_path, ("a",))
    masks = tmp_path / "Annotations/a"
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(masks / "00000.png")
    (masks / "00001.png").write_bytes((masks / "00002.png").read_bytes()[:60])
    video = opened(tmp_path, "generic").video("a")
    with pytest.raises(
        MediaError, match=r"Sequence 'a', frame 00000: .* is a picture of type RGB; expected a palette"
    ):
        video.masks(0)
    with pytest.raises(MediaError, match=r"Sequence 'a', frame 00001: .* damaged"):
        video.masks(1)
    with pytest.raises(MediaError, match="frame 00002: the mask is 32x24 and the frames are 20x24"):
        video.check_size(2, video.masks(2)[1], (20, 24))


def test_void_is_no_object_and_a_mask_of_nothing_else_is_explained(tmp_path: Path) -> None:
    make_video(tmp_path, "a", {0: {1: square(1, 1), 255: square(12, 1)}}, 2)
    assert opened(tmp_path, "generic").video("a").masks(0).keys() == {1}
    make_video(tmp_path, "a", {0: {255: square(1, 1)}}, 2)
    with pytest.raises(MediaError, match=r"frame 00000: the mask shows no object.*255 is void"):
        opened(tmp_path, "generic").video("a").first_frames(late=True)


def test_object_folders_are_numbers(tmp_path: Path) -> None:
    save_frame(tmp_path / "JPEGImages/a/00000.jpg", 0)
    save_ids(tmp_path / "Annotations/a/cat/00000.png", {1: square(1, 1)})
    with pytest.raises(MediaError, match=r"Sequence 'a', frame 00000: .*object folder 'cat'"):
        opened(tmp_path, "generic").video("a").masks(0)


def turned_copy(path: Path, orientation: int) -> None:
    """Say in the EXIF data of a picture that it is to be turned."""
    with Image.open(path) as image:
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save(path, exif=exif, quality=95)


@pytest.mark.parametrize("orientation", [3, 6])
def test_pictures_are_what_their_masks_are_of_whatever_their_exif_says(
    tmp_path: Path, orientation: int
) -> None:
    make_video(tmp_path / "set", "v", {0: {1: square(4, 8)}}, 2)
    save_ids(tmp_path / "set/masks/00000.png", {1: square(4, 8)})
    frames = sorted((tmp_path / "set/JPEGImages/v").iterdir())
    (tmp_path / "set/images").mkdir()
    for path in frames:
        turned_copy(path, orientation)
    shutil.copy(frames[0], tmp_path / "set/images")
    with Image.open(frames[0]) as image:
        stored = np.asarray(image)
    video = opened(tmp_path / "set", "generic").video("v").open()
    assert (video.width, video.height) == (WIDTH, HEIGHT)
    assert np.array_equal(video[0], stored)
    images = open_images(tmp_path / "set")
    assert np.array_equal(images[images.names[0]].pixels(), stored)
