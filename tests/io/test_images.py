"""Images, folders, patterns and arrays as sources of frames."""

from __future__ import annotations

import logging
import struct
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


def test_names_sort_alike_with_suffix_and_without() -> None:
    stems = ["a", "a1", "a1.5", "a2", "a 3"]
    by_name = sorted((f"{stem}.png" for stem in stems), key=natural_key)
    assert [name.removesuffix(".png") for name in by_name] == sorted(stems, key=natural_key)


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


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_dark_frames_of_16_bits_stay_dark(tmp_path: Path, suffix: str) -> None:
    for index, brightest in enumerate((200, 256, 60000)):
        wide = np.linspace(0, brightest, 48).astype(np.uint16).reshape(6, 8)
        Image.fromarray(wide).save(tmp_path / f"{index}.{suffix}")
    with open_frames(tmp_path) as source:
        assert [int(source[index].max()) for index in range(3)] == [0, 1, 60000 >> 8]
        assert np.array_equal(source[0], as_rgb(np.full((6, 8), 200, np.uint16)))  # as arrays are read


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels as they are to be shown."""
    image = image.transpose(1, 0, 2) if orientation >= 5 else image
    image = image[::-1] if orientation in (3, 4, 7, 8) else image
    return image[:, ::-1] if orientation in (2, 3, 6, 7) else image


@pytest.mark.parametrize("name", ["a.png", "a.tif", "packed.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, name: str) -> None:
    image = Image.fromarray(picture(3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    packed = {"compression": "tiff_lzw"} if name == "packed.tif" else {}
    image.save(tmp_path / name, exif=exif, **packed)
    shown = turned(picture(3), orientation)
    with open_frames(tmp_path) as source:
        assert (source.width, source.height) == ((48, 64) if orientation >= 5 else (64, 48))
        assert np.array_equal(source[0], shown)
    assert np.array_equal(read_image(tmp_path / name), shown)
    with Image.open(tmp_path / name) as opened:
        frames = open_frames([shown, opened])  # sizes are compared before anything is decoded
        assert np.array_equal(frames[1], shown)
        assert np.array_equal(frames[1], shown)  # PIL has turned the TIFF by now
        assert len(open_frames([shown, opened])) == 2


def exif_of(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF data of (tag, type, count, value)."""
    data = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + data + bytes(4)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize(
    ("exif", "sideways"),
    [
        (b"Exif\0\0II*\0\x08", False),
        (b"Exif\0\0garbage!", False),
        (b"Exif\0\0II*\0\xff\xff\xff\x7f", False),
        (exif_of((0x0112, 2, 4, b"abc\0")), False),
        (exif_of((0x0112, 3, 2, struct.pack("<HH", 6, 6))), True),
        (exif_of((0x0112, 3, 1, struct.pack("<HH", 9, 0))), False),
        (exif_of((0x0112, 3, 1, struct.pack("<HH", 6, 0)), (0x8769, 2, 4, b"abc\0")), True),
        (exif_of((0x0112, 3, 1, struct.pack("<HH", 6, 0)), (0x8825, 4, 1, b"\x03\0\0\0")), True),
    ],
)
def test_odd_exif_costs_no_picture(tmp_path: Path, name: str, exif: bytes, sideways: bool) -> None:
    Image.fromarray(picture(3)).save(tmp_path / name, exif=exif)
    with open_frames(tmp_path) as source:
        assert source[0].shape == ((64, 48, 3) if sideways else (48, 64, 3))
        assert read_image(tmp_path / name).shape == source[0].shape


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
        (["a.png", np.zeros((4, 4, 3), np.uint8)], "The picture is the path 'a.png'"),
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
