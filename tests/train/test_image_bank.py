"""Real images in drawn clips, and cut-outs that keep their colours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from edgetam.train.data.registry import open_collection
from edgetam.train.synthetic import ImageBank, SynthConfig, sample_clip
from edgetam.train.synthetic.bank import Picture
from edgetam.train.synthetic.cutouts import cut_out, object_masks, without
from edgetam.train.synthetic.dice import Dice
from tests.train.data import fabricate

CONFIG = SynthConfig(size=64, frames=3, objects=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fabricate.static_images(tmp_path_factory.mktemp("bank") / "data", count=3)


@pytest.fixture(scope="module")
def archive(folder: Path) -> Path:
    return fabricate.packed(folder, folder.with_suffix(".tar"))


def bank_of(root: Path) -> ImageBank:
    return ImageBank(open_collection({"kind": "static", "root": str(root)}))


def test_pictures_keep_image_and_labels_aligned(folder: Path) -> None:
    bank = bank_of(folder)
    for seed in range(10):
        picture = bank.picture(Dice(seed), 64)
        assert picture.colour.shape == (3, 64, 64) and picture.labels.shape == (64, 64)
        red = (picture.colour[0] - picture.colour[1]) > 0.4
        agree = (red == (picture.labels == 1)).float().mean()
        assert agree > 0.95


def test_clips_from_a_bank_are_deterministic_and_labelled(folder: Path, archive: Path) -> None:
    for seed in range(6):
        one = sample_clip(CONFIG, seed, bank=bank_of(folder))
        other = sample_clip(CONFIG, seed, bank=bank_of(archive))
        assert torch.equal(one.frames, other.frames) and torch.equal(one.masks, other.masks)
        assert int(one.masks.sum(1).max()) <= 1
        assert one.masks[0].flatten(1).any(1)[one.present].all()


def test_a_bank_changes_what_clips_show(folder: Path) -> None:
    bank = bank_of(folder)
    plain = [sample_clip(CONFIG, seed) for seed in range(6)]
    real = [sample_clip(CONFIG, seed, bank=bank) for seed in range(6)]
    assert sum(torch.equal(a.frames, b.frames) for a, b in zip(plain, real, strict=True)) == 0


def box_picture() -> Picture:
    colour = torch.full((3, 64, 64), 0.2)
    labels = torch.zeros(64, 64, dtype=torch.uint8)
    labels[16:32, 8:40], labels[0, 0] = 5, 7
    colour[0][labels == 5] = 0.9
    return Picture(colour, labels)


def test_objects_are_no_specks() -> None:
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
