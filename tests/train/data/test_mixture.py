"""Mixtures: clips by number, shares by weight, broken samples counted and replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from edgetam.errors import ConfigError, MediaError
from edgetam.train.data import Ask, Clip, Mixture, one_thread, open_mixture, open_source
from edgetam.train.data.real import RealClips
from edgetam.train.data.registry import own_weights
from tests.train.data import fabricate

ASK = Ask(frames=3, objects=2, size=64)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fabricate.palette_videos(tmp_path_factory.mktemp("davis"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fabricate.static_images(tmp_path_factory.mktemp("static"))


def described(videos: Path, images: Path) -> list[dict[str, Any]]:
    return [
        {"kind": "davis", "root": str(videos), "augment": "strong", "stride": 2, "weight": 2.0},
        {"kind": "pseudo", "root": str(images), "weight": 1.0},
        {"kind": "synthetic", "weight": 0.2},
    ]


def same(a: Clip, b: Clip) -> bool:
    return all(torch.equal(getattr(a, k), getattr(b, k)) for k in ("frames", "masks", "present"))


class Constant:
    """A source whose clips are all of one grey, or that is broken on some draws."""

    def __init__(self, name: str, grey: int = 0, broken: float = 0.0, error: type[Exception] = MediaError):
        self.name, self.grey, self.broken, self.error = name, grey, broken, error

    def __len__(self) -> int:
        return 1

    def sample(self, dice: np.random.Generator, ask: Ask) -> Clip:
        if dice.random() < self.broken:
            raise self.error(f"{self.name} is broken")
        frames = torch.full((ask.frames, ask.size, ask.size, 3), self.grey, dtype=torch.uint8)
        masks = torch.ones(ask.frames, ask.objects, ask.size, ask.size, dtype=torch.bool)
        return Clip(frames, masks, torch.ones(ask.objects, dtype=torch.bool))


def test_a_clip_depends_on_seed_and_index_alone(videos: Path, images: Path) -> None:
    first = open_mixture(described(videos, images), seed=5, ask=ASK)
    second = open_mixture(described(videos, images), seed=5, ask=ASK)
    there, back = [first[i] for i in range(8)], [second[i] for i in reversed(range(8))][::-1]
    assert all(same(a, b) for a, b in zip(there, back, strict=True))
    other = open_mixture(described(videos, images), seed=6, ask=ASK)
    assert not any(same(other[i], clip) for i, clip in enumerate(there))
    assert len({clip.frames.numpy().tobytes() for clip in there}) == len(there)


def test_clips_have_the_shape_that_was_asked_for(videos: Path, images: Path) -> None:
    mixture = open_mixture(described(videos, images), seed=0, ask=lambda i: Ask(1 + i % 3, 3, 64))
    for index in range(6):
        clip, frames = mixture[index], 1 + index % 3
        assert clip.frames.shape == (frames, 64, 64, 3) and clip.frames.dtype == torch.uint8
        assert clip.masks.shape == (frames, 3, 64, 64) and clip.masks.dtype == torch.bool
        assert clip.present.any() and bool(clip.masks[0, clip.present].any(-1).any(-1).all())
        assert not clip.masks[:, ~clip.present].any()


def test_weights_are_shares() -> None:
    mixture = Mixture([Constant("a", 0), Constant("b", 200)], [3, 1], 0, Ask(1, 1, 16))
    bright = sum(int(mixture[i].frames[0, 0, 0, 0]) == 200 for i in range(400))
    assert 70 <= bright <= 130


def test_without_weights_every_item_counts_and_repeats(videos: Path, images: Path) -> None:
    given = [
        {"kind": "davis", "root": str(videos), "repeat": 3},
        {"kind": "static", "root": str(images)},
    ]
    assert open_mixture(given, 0, ASK).shares == pytest.approx([0.6, 0.4])  # 2 videos thrice, 4 images


def test_clips_drawn_from_nothing_need_a_weight_beside_others(images: Path) -> None:
    drawn, found = {"kind": "synthetic"}, {"kind": "static", "root": str(images)}
    assert open_mixture([drawn], 0, ASK).shares == [1.0]
    assert open_mixture([{**drawn, "weight": 4}, found], 0, ASK).shares == pytest.approx([0.5, 0.5])
    with pytest.raises(ConfigError, match="drawn from nothing"):
        open_mixture([drawn, found], 0, ASK)


def test_broken_samples_are_counted_logged_and_replaced(caplog: pytest.LogCaptureFixture) -> None:
    mixture = Mixture([Constant("good"), Constant("bad", broken=0.5)], [1, 1], 0, Ask(1, 1, 16))
    clips = [mixture[i] for i in range(100)]
    assert len(clips) == 100
    assert mixture.broken["good"] == 0
    assert mixture.broken["bad"] == caplog.text.count("bad is broken") > 10


def _as_it_is(clip: Clip) -> Clip:
    return clip


def test_workers_count_where_the_run_can_see_it() -> None:
    mixture = Mixture([Constant("bad", broken=0.5)], [1], 0, Ask(1, 1, 16), length=40)
    loader = DataLoader(
        mixture,
        batch_size=None,
        num_workers=2,
        worker_init_fn=one_thread,
        collate_fn=_as_it_is,
        multiprocessing_context="spawn",
    )
    assert len(list(loader)) == 40
    alone = Mixture([Constant("bad", broken=0.5)], [1], 0, Ask(1, 1, 16), length=40)
    assert len(list(alone)) == 40
    assert mixture.broken == alone.broken != {"bad": 0}


def test_a_source_that_is_always_broken_ends_the_run() -> None:
    with pytest.raises(MediaError, match=r"100 samples in a row.*bad is broken"):
        Mixture([Constant("bad", broken=1.0)], [1], 0, Ask(1, 1, 16))[0]


def test_a_wrong_request_is_not_taken_for_a_broken_file(images: Path) -> None:
    mixture = open_mixture([{"kind": "static", "root": str(images)}], 0, ASK)
    with pytest.raises(ConfigError, match=r"no item of 3 annotated frames.*pseudo"):
        mixture[0]


def test_the_one_video_that_is_long_enough_is_found(tmp_path: Path) -> None:
    for number in range(150):
        for t in range(3 if number == 140 else 1):
            image, labels = fabricate.scene(t)
            name = f"video{number}/{t:05d}"
            fabricate.write(tmp_path / "JPEGImages" / f"{name}.jpg", fabricate.jpeg(image))
            fabricate.write(tmp_path / "Annotations" / f"{name}.png", fabricate.palette_png(labels))
    mixture = open_mixture([{"kind": "davis", "root": str(tmp_path)}], 0, ASK)
    # 100 draws miss it in every second clip
    assert all(mixture[i].present.any() for i in range(6)) and not any(mixture.broken.values())
    with pytest.raises(ConfigError, match="no item of 4 annotated frames"):
        open_mixture([{"kind": "davis", "root": str(tmp_path)}], 0, Ask(4, 2, 64))[0]


@pytest.mark.parametrize("weights", [[1.0], [-1.0, 2.0], [0.0, 0.0], [float("nan"), 1.0]])
def test_weights_must_fit(weights: list[float]) -> None:
    with pytest.raises(ConfigError, match="weight"):
        Mixture([Constant("a"), Constant("b")], weights, 0, ASK)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "davis", "stride": 2}, "root of davis"),
        ({"kind": "dovis", "root": "x"}, "kind 'dovis', expected one of davis"),
        ({"kind": "davis", "root": "ROOT", "strides": 2}, "unknown key 'strides'.*did you mean 'stride'"),
        ({"kind": "davis", "root": "ROOT", "stride": "2"}, r"\.stride is '2', expected a whole number"),
        ({"kind": "davis", "root": "ROOT", "least": "little"}, "least is 'little', expected a number"),
        ({"kind": "davis", "root": "ROOT", "least": "nan"}, "least is 'nan', expected a number"),
        ({"kind": "davis", "root": "ROOT", "paste": "often"}, "paste is 'often', expected a number"),
        ({"kind": "davis", "root": "ROOT", "paste": "1e999"}, "paste of .* is inf, expected a number"),
        ({"kind": "davis", "root": "ROOT", "paste": 50}, r"paste is 50\.0, expected 0 to 1"),
        ({"kind": "davis", "root": "ROOT", "stride": 0}, "stride is 0"),
        ({"kind": "davis", "root": "ROOT", "augment": "strange"}, "'strange', expected one of none"),
        ({"kind": "davis", "root": "ROOT", "augment": {"turn": 3}}, r"turn is 3\.0, expected 0 to 1"),
        ({"kind": "davis", "root": "ROOT", "augment": {"spin": 3}}, "unknown key 'spin'"),
        ({"kind": "davis", "root": "ROOT", "exclude": ["nobody"]}, "has no 'nobody'"),
        ({"kind": "davis", "root": "ROOT", "exclude": ["video0", "video1"]}, "nothing left"),
        ({"kind": "davis", "root": "ROOT", "masklets": "auto"}, "unknown key 'masklets'"),
        ({"kind": "davis", "root": "ROOT", "masks": "grey"}, "masks is 'grey', expected one of ids, binary"),
        ("davis", "mapping"),
        ({"kind": "davis", "root": ""}, "root of davis"),
        ({"kind": "davis", "root": ["ROOT", 3]}, "root of davis"),
        ({"kind": "pseudo", "images": 3}, "images are 3"),
        ({"kind": "pseudo"}, "root of static"),
    ],
)
def test_what_is_wrong_in_a_description_is_named(given: Any, message: str, videos: Path) -> None:
    if isinstance(given, dict) and given.get("root") == "ROOT":
        given = {**given, "root": str(videos)}
    with pytest.raises(ConfigError, match=message):
        open_source(given)


def test_text_that_yaml_does_not_take_for_a_number_is_one(videos: Path) -> None:
    given = {"kind": "davis", "root": str(videos), "least": "1e-4", "paste": "5e-1", "weight": "2e0"}
    source = open_source({**given, "augment": {"preset": "strong", "tint": {"grey": "1e-1"}}})
    assert isinstance(source, RealClips)
    assert (source.rules.least, source.paste.odds, source.augment.tint.grey) == (1e-4, 0.5, 0.1)
    assert own_weights([given], [source]) == [2.0]


def test_only_and_exclude_pick_videos(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("video1\n")
    assert len(open_source({"kind": "davis", "root": str(videos), "only": str(tmp_path / "list.txt")})) == 1
    assert len(open_source({"kind": "davis", "root": str(videos), "exclude": ["video1"]})) == 1


def test_several_roots_are_one_source(videos: Path, tmp_path: Path) -> None:
    archive = fabricate.packed(fabricate.palette_videos(tmp_path / "more", videos=3), tmp_path / "more.tar")
    assert len(open_source({"kind": "davis", "root": [str(videos), str(archive)]})) == 5
    with pytest.raises(MediaError, match="fits no file"):
        open_source({"kind": "davis", "root": str(tmp_path / "none*.tar")})
