"""Real images as a source of clips: two layouts, damaged files, and cut-outs that keep their colours."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgetam.errors import MediaError
from edgetam.train.synthetic import SynthConfig, open_bank, sample_clip
from edgetam.train.synthetic.bank import Picture
from edgetam.train.synthetic.cutouts import cut_out, object_masks, without
from edgetam.train.synthetic.dice import Dice

CONFIG = SynthConfig(size=64, frames=3, objects=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture_bytes(seed: int) -> tuple[bytes, bytes]:
    """A noisy grey image with a red box (object 3) and a 255 stripe; its palette reverses the numbers."""
    noise = np.random.default_rng(seed).integers(90, 160, (80, 120, 3), dtype=np.uint8)
    mask = np.zeros((80, 120), np.uint8)
    mask[20:60, 30:90], mask[:, -4:] = 3, 255
    noise[mask == 3] = (220, 20, 20)
    image, numbers = io.BytesIO(), io.BytesIO()
    Image.fromarray(noise).save(image, "JPEG", quality=95)
    palette = Image.fromarray(mask, "P")
    palette.putpalette([255 - i // 3 for i in range(768)])
    palette.save(numbers, "PNG")
    return image.getvalue(), numbers.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bank")
    for part in ("images", "masks"):
        (root / part).mkdir()
    for seed in range(3):
        image, mask = picture_bytes(seed)
        (root / "images" / f"p.{seed}.jpg").write_bytes(image)
        (root / "masks" / f"p.{seed}.png").write_bytes(mask)
    (root / "images" / "alone.jpg").write_bytes(picture_bytes(9)[0])
    return root


@pytest.fixture(scope="module")
def archive(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tar") / "bank.tar"
    with tarfile.open(path, "w") as tar:
        for part in ("images", "masks"):
            tar.add(folder / part, part)
    return path


def test_folder_and_tar_hold_the_same_pairs(folder: Path, archive: Path) -> None:
    one, other = open_bank([folder]), open_bank([archive])
    assert len(one) == len(other) == 3
    for index in range(3):
        for a, b in zip(one.load(index), other.load(index), strict=True):
            assert np.array_equal(np.array(a), np.array(b))


def test_sources_add_up(folder: Path, archive: Path) -> None:
    assert len(open_bank([folder, str(archive)])) == 6


def test_palette_masks_give_object_numbers(folder: Path) -> None:
    mask = np.array(open_bank([folder]).load(0)[1])
    assert set(np.unique(mask)) == {0, 3, 255}


def test_pictures_keep_image_and_labels_aligned(folder: Path) -> None:
    bank = open_bank([folder])
    for seed in range(10):
        picture = bank.picture(Dice(seed), 64)
        assert picture.colour.shape == (3, 64, 64) and picture.labels.shape == (64, 64)
        red = (picture.colour[0] - picture.colour[1]) > 0.4
        agree = (red == (picture.labels == 3)).float().mean()
        assert agree > 0.95


def test_clips_from_a_bank_are_deterministic_and_labelled(folder: Path, archive: Path) -> None:
    for seed in range(6):
        one = sample_clip(CONFIG, seed, bank=open_bank([folder]))
        other = sample_clip(CONFIG, seed, bank=open_bank([archive]))
        assert torch.equal(one.frames, other.frames) and torch.equal(one.masks, other.masks)
        assert int(one.masks.sum(1).max()) <= 1
        assert one.masks[0].flatten(1).any(1)[one.present].all()


def test_a_bank_changes_what_clips_show(folder: Path) -> None:
    bank = open_bank([folder])
    plain = [sample_clip(CONFIG, seed) for seed in range(6)]
    real = [sample_clip(CONFIG, seed, bank=bank) for seed in range(6)]
    assert sum(torch.equal(a.frames, b.frames) for a, b in zip(plain, real, strict=True)) == 0


def box_picture() -> Picture:
    colour = torch.full((3, 64, 64), 0.2)
    labels = torch.zeros(64, 64, dtype=torch.uint8)
    labels[16:32, 8:40], labels[40:60, 40:60], labels[0, 0] = 5, 255, 7
    colour[0][labels == 5] = 0.9
    return Picture(colour, labels)


def test_objects_are_neither_specks_nor_ignored_regions() -> None:
    for seed in range(10):
        masks = object_masks(Dice(seed), box_picture(), 4)
        assert len(masks) == 1
        assert int((masks[0] & (box_picture().labels == 5)).sum()) == 16 * 32


def test_cut_out_keeps_place_and_colour() -> None:
    picture = box_picture()
    cut = cut_out(picture, picture.labels == 5, 64)
    assert cut.centre == pytest.approx(((24 - 32) / 32, (24 - 32) / 32))
    inside = cut.look.canvas[0, 3] > 0
    area = float(inside.float().mean()) * (2 * cut.radius) ** 2 * 32**2
    assert area == pytest.approx(16 * 32, rel=0.1)
    assert cut.look.canvas[0, 0][inside].median() == pytest.approx(0.9)
    edge = torch.cat((inside[0], inside[-1], inside[:, 0], inside[:, -1]))
    assert not edge.any(), "an object that touches its canvas would be smeared outwards"


def test_without_fills_the_hole_from_around() -> None:
    picture = box_picture()
    filled = without(picture.colour, picture.labels == 5)
    assert (filled - 0.2).abs().max() < 1e-3


def test_damaged_sources_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        open_bank([tmp_path / "nowhere"])
    with pytest.raises(MediaError, match="no pairs"):
        open_bank([tmp_path])
    with pytest.raises(MediaError, match="no sources"):
        open_bank([])
    (tmp_path / "broken.tar").write_bytes(b"not a tar file at all" * 100)
    with pytest.raises(MediaError, match="plain tar"):
        open_bank([tmp_path / "broken.tar"])


@pytest.mark.parametrize("part", ["images", "masks"])
def test_damaged_files_are_named(tmp_path: Path, part: str) -> None:
    image, mask = picture_bytes(0)
    for name, data, end in (("images", image, "jpg"), ("masks", mask, "png")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"a.{end}").write_bytes(data[:60] if name == part else data)
    with pytest.raises(MediaError, match="cannot be decoded"):
        open_bank([tmp_path]).load(0)


def test_pairs_of_different_size_are_refused(tmp_path: Path) -> None:
    for name, end, size in (("images", "jpg", (8, 8)), ("masks", "png", (9, 8))):
        (tmp_path / name).mkdir()
        Image.new("L", size).save(tmp_path / name / f"a.{end}")
    with pytest.raises(MediaError, match="one size"):
        open_bank([tmp_path]).load(0)
