"""Grey masks: 255 is void beside ids and an object without any, which is decided for a whole data set."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgetam.errors import ConfigError, MediaError
from edgetam.train.data.registry import open_collection
from tests.train.data.fabricate import jpeg, scene, write

VOID_SIDE = 6
UNSEEN = 4
"""One of 40 masks that is not among those that are looked at."""


def grey(
    root: Path, frames: list[NDArray[np.uint8]] | list[NDArray[np.uint16]], kind: str = "mose"
) -> dict[str, str]:
    """One video, or as many images, with grey masks."""
    image = jpeg(scene(0)[0])
    pictures, masks = ("images", "masks") if kind == "static" else ("JPEGImages/v", "Annotations/v")
    for t, labels in enumerate(frames):
        write(root / pictures / f"{t:05d}.jpg", image)
        (root / masks).mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels).save(root / masks / f"{t:05d}.png")
    return {"kind": kind, "root": str(root)}


def with_void(*ids: int) -> NDArray[np.uint8]:
    """Objects by these ids, and a stripe of 255."""
    labels = np.zeros_like(scene(0)[1])
    for k, identity in enumerate(ids, 1):
        labels[scene(0)[1] == k] = identity
    labels[:, -VOID_SIDE:] = 255
    return labels


def black_and_white() -> NDArray[np.uint8]:
    return np.where(scene(0)[1] == 1, 255, 0).astype(np.uint8)


def areas(given: dict[str, str], number: int) -> dict[int, int]:
    """Of the objects on a frame of the video, or on an image."""
    found = open_collection(given)
    item, frame = (found[number], 0) if given["kind"] == "static" else (found[0], number)
    return item.objects(frame).areas()


@pytest.mark.parametrize("kind", ["mose", "static"])
def test_masks_of_both_kinds_must_be_explained(kind: str, tmp_path: Path) -> None:
    given = grey(tmp_path, [with_void(3), with_void(), np.zeros_like(with_void())], kind)
    with pytest.raises(ConfigError, match=r"00001\.png' is black and white alone and .*00000\.png' is not"):
        open_collection(given)
    assert areas({**given, "masks": "ids"}, 0).keys() == {3}
    assert areas({**given, "masks": "ids"}, 1) == {}
    assert areas({**given, "masks": "binary"}, 1) == {1: VOID_SIDE * 72}


@pytest.mark.parametrize("kind", ["mose", "static"])
def test_void_is_no_object_where_it_is_all_that_is_seen(kind: str, tmp_path: Path) -> None:
    """An object that left would come back on the void: the few masks that are looked at do not show it."""
    frames = [with_void(3)] * 40
    frames[UNSEEN] = with_void()
    assert areas(grey(tmp_path, frames, kind), UNSEEN) == {}


def test_masks_that_are_not_as_black_and_white_as_the_others_are_named(tmp_path: Path) -> None:
    frames = [black_and_white()] * 40
    frames[UNSEEN] = with_void(3)
    given = grey(tmp_path, frames)
    assert areas(given, 0) == {1: int((scene(0)[1] == 1).sum())}
    with pytest.raises(
        MediaError, match=r"00004\.png' holds values between .* set 'masks' to 'ids' or 'binary'"
    ):
        areas(given, UNSEEN)
    assert areas({**given, "masks": "ids"}, UNSEEN).keys() == {3}


def test_soft_masks_of_videos_can_be_cut_at_half(tmp_path: Path) -> None:
    soft = black_and_white()
    soft[0, :2] = 100, 200
    given = grey(tmp_path, [soft])
    assert areas({**given, "masks": "binary"}, 0) == {1: int((scene(0)[1] == 1).sum()) + 1}


@pytest.mark.parametrize(
    ("kind", "white"),
    [(np.uint8, 1), (np.uint8, 255), (np.uint16, 1), (np.uint16, 255), (np.uint16, 65535)],
)
def test_half_is_half_of_what_binary_masks_show(kind: type, white: int, tmp_path: Path) -> None:
    place = scene(0)[1] == 1
    masks = [np.where(place, white, 0).astype(kind) for _ in range(3)]
    masks[1][place] = white // 3  # dim where nothing is
    given = {**grey(tmp_path, masks), "masks": "binary"}
    assert areas(given, 0) == {1: int(place.sum())}
    assert areas(given, 1) == {}


def test_masks_of_both_depths_have_a_half_each(tmp_path: Path) -> None:
    deep = np.where(black_and_white(), 65535, 0).astype(np.uint16)
    given = {**grey(tmp_path, [black_and_white(), deep]), "masks": "binary"}
    assert areas(given, 0) == areas(given, 1) == {1: int((deep > 0).sum())}


def blurred(side: int) -> NDArray[np.uint8]:
    """A disc whose edge fades over so many pixels."""
    disc = cv2.circle(np.zeros((288, 416), np.uint8), (200, 140), 100, 255, -1)
    return np.asarray(cv2.blur(disc, (side, side)))


@pytest.mark.parametrize("kind", ["mose", "static"])
@pytest.mark.parametrize("side", [2, 13])  # few shades around much white, and dozens of them
def test_masks_with_soft_edges_must_be_explained(kind: str, side: int, tmp_path: Path) -> None:
    soft = "00000.png' and others look like masks with soft edges"
    given = grey(tmp_path, [blurred(side)] * 3, kind)
    with pytest.raises(ConfigError, match=f"{soft}.*'binary'"):
        open_collection(given)
    assert areas({**given, "masks": "binary"}, 0).keys() == {1}
    assert len(areas({**given, "masks": "ids"}, 0)) > 1


def test_numbers_are_none_the_softer_for_much_void_or_many_objects(tmp_path: Path) -> None:
    little = np.full_like(with_void(), 255)
    little[:4, :40] = 2
    assert areas(grey(tmp_path / "void", [little]), 0) == {2: 160}
    many = np.zeros_like(little)
    for k in range(40):
        many[6 * (k // 10) : 6 * (k // 10) + 4, 10 * (k % 10) : 10 * (k % 10) + 4] = k + 1
    assert len(areas(grey(tmp_path / "many", [many]), 0)) == 40


def test_damaged_and_empty_masks_say_nothing_about_others(tmp_path: Path) -> None:
    given = grey(tmp_path, [np.zeros_like(with_void()), black_and_white(), black_and_white()])
    (tmp_path / "Annotations" / "v" / "00002.png").write_bytes(b"broken")
    assert areas(given, 1).keys() == {1}
    with pytest.raises(MediaError, match="cannot be decoded"):
        areas(given, 2)
