"""Mask files and drawing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from edgetam.errors import InputError, MediaError, OutputError
from edgetam.io import overlay, read_image, read_mask
from edgetam.io.draw import colour
from edgetam.io.masks import binary_png, palette, palette_png, read_union, rgba_png
from tests.io.clips import picture


def test_palette_is_that_of_davis() -> None:
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 8: (64, 0, 0)}
    known |= {16: (0, 64, 0), 22: (0, 192, 128), 255: (224, 224, 192)}
    assert {index: tuple(map(int, palette()[index])) for index in known} == known
    assert len(np.unique(palette(), axis=0)) == 256


@given(labels=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_masks_survive_a_palette_png(tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray) -> None:
    path = tmp_path_factory.getbasetemp() / "labels.png"
    masks = {int(value): labels == value for value in np.unique(labels) if value}
    path.write_bytes(palette_png(masks, *labels.shape))
    read = read_mask(path)
    assert read.keys() == masks.keys()
    assert all(np.array_equal(read[identity], masks[identity]) for identity in masks)
    with Image.open(path) as image:
        assert image.mode == "P"
        assert image.getpalette()[3:6] == [128, 0, 0]  # type: ignore[index]


def test_smaller_ids_win_overlaps(tmp_path: Path) -> None:
    whole = np.ones((4, 6), bool)
    left = whole & (np.arange(6) < 3)
    (tmp_path / "m.png").write_bytes(palette_png({5: whole, 2: left}, 4, 6))
    read = read_mask(tmp_path / "m.png")
    assert np.array_equal(read[2], left)
    assert np.array_equal(read[5], ~left)


@pytest.mark.parametrize("identity", [0, -1, 256])
def test_ids_that_do_not_fit_into_a_palette(identity: int) -> None:
    with pytest.raises(OutputError, match="'objects' or 'coco'"):
        palette_png({identity: np.ones((2, 2), bool)}, 2, 2)


def test_masks_in_other_pictures(tmp_path: Path) -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:12, 8:20] = True
    grey = mask.astype(np.uint8) * 3
    bold = mask.astype(np.uint8) * 255
    pictures = {
        "grey.png": Image.fromarray(grey),
        "wide.png": Image.fromarray(grey.astype(np.uint16) * 100),
        "bits.png": Image.fromarray(mask),
        "rgb.png": Image.fromarray(np.repeat(grey[..., None], 3, axis=2)),
        "opaque.png": Image.fromarray(np.dstack([bold, bold, bold, np.full_like(bold, 255)])),
        "alpha.png": Image.fromarray(np.dstack([bold * 0 + 9, bold * 0, bold * 0, bold])),
        "photo.jpg": Image.fromarray(bold),
    }
    for name, image in pictures.items():
        image.save(tmp_path / name)
        read = read_mask(tmp_path / name)
        assert list(read) == [1], name
        agree = np.array_equal(read[1], mask) if name != "photo.jpg" else (read[1] == mask).mean() > 0.98
        assert agree, name
        assert read_union(tmp_path / name).any()
    (tmp_path / "binary.png").write_bytes(binary_png(mask))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "binary.png")), bold)


def test_masks_that_cannot_be_used(tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "photo.png")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "black.png")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(MediaError, match="has colours"):
        read_mask(tmp_path / "photo.png")
    with pytest.raises(MediaError, match="Cannot read the mask"):
        read_mask(tmp_path / "empty.png")
    with pytest.raises(MediaError, match="no file"):
        read_mask(tmp_path / "none.png")
    assert read_mask(tmp_path / "black.png") == {}
    with pytest.raises(MediaError, match="marks nothing"):
        read_union(tmp_path / "black.png")


def test_cut_out_is_transparent_outside(tmp_path: Path) -> None:
    mask = np.zeros((48, 64), bool)
    mask[:10, :20] = True
    (tmp_path / "cut.png").write_bytes(rgba_png(picture(5), mask))
    pixels = np.asarray(Image.open(tmp_path / "cut.png"))
    assert np.array_equal(pixels[..., :3][mask], picture(5)[mask])
    assert np.array_equal(pixels[..., 3], np.where(mask, 255, 0))
    assert not pixels[~mask].any()


def test_overlay_changes_the_object_and_leaves_the_rest() -> None:
    image = np.full((120, 160, 3), 90, np.uint8)
    mask = np.zeros((120, 160), bool)
    mask[40:80, 50:110] = True
    drawn = overlay(image, {1: mask}, opacity=0.5)
    assert (image == 90).all()
    middle = drawn[60, 80].astype(int)
    assert np.abs(middle - (np.array(colour(1)) + 90) / 2).max() <= 1
    far = np.ones_like(mask)
    far[36:84, 46:114] = False
    assert (drawn[far] == 90).all()
    tagged = overlay(image, {1: mask}, labels={1: "1  98%"})
    assert (tagged[20:36] != drawn[20:36]).any()


@given(
    hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)),
    st.integers(1, 10_000),
)
def test_any_mask_can_be_drawn(mask: np.ndarray, identity: int) -> None:
    image = np.zeros((*mask.shape, 3), np.uint8)
    drawn = overlay(image, {identity: mask}, labels={identity: str(identity)})
    assert drawn.shape == image.shape
    assert drawn.any() == mask.any()


def test_masks_of_other_kinds_are_drawn_alike() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:50] = True
    drawn = overlay(image, {1: mask})
    for other in (mask.astype(np.uint8), 255 * mask.astype(np.uint8), mask.tolist(), mask.astype(float)):
        assert np.array_equal(overlay(image, {1: other}), drawn)
    assert np.array_equal(overlay(Image.fromarray(image), {1: mask}), drawn)


def test_what_cannot_be_drawn_is_said() -> None:
    image, mask = np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), bool)
    with pytest.raises(MediaError, match=r"is the path 'a.png'; expected pixels, so pass read_image"):
        overlay("a.png", {1: mask})  # type: ignore[arg-type]
    with pytest.raises(MediaError, match="type float64"):
        overlay(image / 255, {1: mask})
    with pytest.raises(InputError, match=r"masks is a ndarray; expected \{object_id: mask\}"):
        overlay(image, mask)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"mask of object 1 has shape \(30, 80\)"):
        overlay(image, {1: mask[:30]})
    for read in (read_image, read_mask):
        with pytest.raises(MediaError, match="to read is a ndarray; expected a path"):
            read(image)


def test_strided_masks_and_images_can_be_drawn() -> None:
    image = np.zeros((60, 80, 3), np.uint8)[::-1, ::2]
    mask = np.ones((60, 80), bool)[::2].repeat(2, axis=0)[:, ::2]
    assert overlay(image, {1: mask}).any()


def test_colours_are_stable_and_differ_between_neighbours() -> None:
    assert len({colour(identity) for identity in range(1, 22)}) == 21
    assert colour(3) == colour(24)
