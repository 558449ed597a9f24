"""Images, folders, patterns and arrays as sources of frames."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgetam.errors import MediaError
from edgetam.io import FrameSource, open_frames, read_image
from edgetam.io.arrays import as_rgb
from edgetam.io.images import natural_key
from tests.io.clips import number, picture


def save(path: Path, index: int, **size: int) -> Path:
    Image.fromarray(picture(index, **size)).save(path)
    return path


def test_folder_in_natural_order(tmp_path: Path) -> None:
    for index, name in enumerate(["f1.png", "f2.jpg", "F3.JPEG", "f10.bmp", "f100.webp"]):
        save(tmp_path / name, index)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".f0.png").write_bytes(b"hidden")
    (tmp_path / "sub.png").mkdir()
    with open_frames(tmp_path) as source:
        assert isinstance(source, FrameSource)
        assert source.names == ("f1.png", "f2.jpg", "F3.JPEG", "f10.bmp", "f100.webp")  # type: ignore[attr-defined]
        assert [number(source[index]) for index in range(len(source))] == list(range(5))
        assert (source.name, source.fps, source.time(1)) == (tmp_path.name, None, None)
        with pytest.raises(IndexError):
            source[5]


@given(st.lists(st.text(min_size=0, max_size=8)))
def test_any_names_can_be_sorted(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)


def test_numbers_in_names_sort_as_numbers() -> None:
    names = [f"a{index}b{index % 3}" for index in range(120)]
    backwards = names[::-1]
    assert sorted(backwards, key=natural_key) == names


def test_frames_are_what_pil_gives(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (31, 45, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg", quality=80)
    with open_frames(tmp_path) as source, Image.open(tmp_path / "a.jpg") as image:
        assert np.array_equal(source[0], np.asarray(image.convert("RGB")))


def test_every_kind_of_pixels_becomes_rgb(tmp_path: Path) -> None:
    grey = np.arange(0, 240, 5, dtype=np.uint8).reshape(6, 8)
    as_grey = np.repeat(grey[..., None], 3, axis=2)
    rgba = np.dstack([as_grey, np.full_like(grey, 7)])
    wide = grey.astype(np.uint16) * 256 + 200
    palette = Image.fromarray(as_grey).quantize(64)
    saved = {"L": Image.fromarray(grey), "RGBA": Image.fromarray(rgba), "I16": Image.fromarray(wide)}
    for name, image in saved.items():
        image.save(tmp_path / f"{name}.png")
        assert np.array_equal(read_image(tmp_path / f"{name}.png"), as_grey), name
    palette.save(tmp_path / "P.png")
    assert np.array_equal(read_image(tmp_path / "P.png"), np.asarray(palette.convert("RGB")))
    Image.fromarray(grey > 100).save(tmp_path / "1.png")
    assert np.array_equal(read_image(tmp_path / "1.png")[..., 0], np.where(grey > 100, 255, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    image = Image.fromarray(picture(3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    turned = {1: 0, 3: 2, 6: 3, 8: 1}
    with open_frames(tmp_path) as source:
        sideways = orientation >= 5
        assert (source.width, source.height) == ((48, 64) if sideways else (64, 48))
        assert source[0].shape == (source.height, source.width, 3)
        if orientation in turned:
            assert np.array_equal(source[0], np.rot90(picture(3), turned[orientation]))


def test_mixed_sizes_name_both_files(tmp_path: Path) -> None:
    save(tmp_path / "a1.png", 0)
    save(tmp_path / "a2.png", 1, width=66)
    with pytest.raises(MediaError, match=r"'a2\.png' is 66x48 but 'a1\.png' is 64x48"):
        open_frames(tmp_path)


def test_damaged_image_in_the_middle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for index in range(5):
        save(tmp_path / f"{index}.jpg", index)
    whole = (tmp_path / "2.jpg").read_bytes()
    (tmp_path / "2.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    (tmp_path / "3.jpg").write_bytes(b"")
    with open_frames(tmp_path) as source:
        assert number(source[1]) == 1
        for index in (2, 3):
            with pytest.raises(MediaError, match=f"Frame {index} of"):
                source[index]
    with caplog.at_level(logging.WARNING, "edgetam"), open_frames(tmp_path, on_bad_frame="skip") as source:
        assert [number(source[index]) for index in range(5)] == [0, 1, 1, 1, 4]
        assert source.bad_frames == (2, 3)  # type: ignore[attr-defined]
    assert len(caplog.records) == 1


def test_folders_and_files_that_are_no_use(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"not a png")
    cases = {
        tmp_path / "empty": "holds no images",
        tmp_path / "broken": "No image of 'broken' can be read",
        tmp_path / "broken" / "a.png": "can be read",
        tmp_path / "missing": "There is no file or folder",
        str(tmp_path / "empty" / "*.png"): "No image matches",
        " ": "The path is empty",
    }
    for source, message in cases.items():
        with pytest.raises(MediaError, match=message):
            open_frames(source)


@pytest.mark.parametrize(
    ("name", "data"), [("none.png", None), ("empty.png", b""), ("bad.png", b"\x89PNG\r\n\x1a\nxx")]
)
def test_images_that_cannot_be_read(tmp_path: Path, name: str, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(MediaError, match=name):
        read_image(tmp_path / name)


def test_pattern_list_and_single_image(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"x{index}.png", index) for index in (1, 2, 10)]
    save(tmp_path / "y1.png", 7)
    for source in (str(tmp_path / "x*.png"), paths, [str(path) for path in paths]):
        assert [number(frame) for frame in open_frames(source)] == [1, 2, 10]  # type: ignore[attr-defined]
    assert [number(frame) for frame in open_frames(tmp_path / "y1.png")] == [7]  # type: ignore[attr-defined]


def test_a_folder_may_look_like_a_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "take[1]"
    folder.mkdir()
    save(folder / "a.png", 4)
    assert len(open_frames(folder)) == 1


def test_arrays_and_pil_images() -> None:
    stack = np.stack([picture(index) for index in range(4)])
    for source in (stack, list(stack), tuple(Image.fromarray(frame) for frame in stack)):
        frames = open_frames(source)
        assert isinstance(frames, FrameSource)
        assert (len(frames), frames.width, frames.height) == (4, 64, 48)
        assert np.array_equal(frames[2], stack[2])
        assert open_frames(frames) is frames
        with pytest.raises(IndexError):
            frames[4]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "no frames"),
        (np.zeros((0, 4, 4, 3), np.uint8), "no frames"),
        (np.zeros((4, 4, 3), np.uint8), "one image"),
        (np.zeros((4, 4), np.uint8), r"expected \[T, H, W, 3\]"),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)], "Frame 1 is 5x4 but frame 0 is 4x4"),
        (["a.png", np.zeros((4, 4, 3), np.uint8)], "shape"),
        (np.zeros((2, 4, 4, 3)), "type float64; expected uint8"),
        ([np.zeros((4, 4, 3), np.uint8), [[1], [2, 3]]], "not a rectangle"),
        (12, "Cannot read frames from a int"),
        (None, "NoneType"),
        (b"abc", "bytes"),
    ],
)
def test_things_that_are_no_frames(source: object, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        open_frames(source)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4, 3)), "expected uint8"),
        (np.zeros((4, 4, 2), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
        ([[1], [2, 3]], "not a rectangle"),
    ],
)
def test_frames_of_another_type_or_shape(array: np.ndarray, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        as_rgb(array)


def test_io_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import edgetam.io"
    subprocess.run([sys.executable, "-c", code], check=True)
