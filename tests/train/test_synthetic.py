"""The generator's promises: same seed same clip, honest masks, things that move and vanish."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from edgetam.errors import ConfigError, MediaError
from edgetam.train.synthetic import Clip, SynthConfig, sample_batch, sample_clip
from edgetam.train.synthetic.dice import Dice
from edgetam.train.synthetic.motion import Path
from edgetam.train.synthetic.scene import HIDDEN, Scene, render
from edgetam.train.synthetic.sprites import Look, Sprite, random_look
from edgetam.train.synthetic.textures import random_palette

SMALL = SynthConfig(size=64, frames=4, objects=2)
ALONE = SynthConfig(size=64, frames=2, objects=1, distractors=(0, 0), occluders=(0, 0))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Many small operations: more threads only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def clips(one_thread: None) -> list[Clip]:
    return [sample_clip(SMALL, seed) for seed in range(40)]


def centres(mask: Tensor) -> Tensor:
    """Mean x and y ``[N, 2]`` of masks ``[N, H, W]`` that are not empty."""
    rows, columns = torch.arange(mask.shape[1]), torch.arange(mask.shape[2])
    area = mask.sum((1, 2))
    x = (mask.sum(1) * columns).sum(1) / area
    y = (mask.sum(2) * rows).sum(1) / area
    return torch.stack((x, y), -1)


@pytest.mark.parametrize(("size", "frames", "objects"), [(32, 1, 1), (64, 2, 3), (96, 3, 1), (160, 5, 2)])
def test_shapes_and_types(size: int, frames: int, objects: int) -> None:
    clip = sample_clip(SynthConfig(size=size, frames=frames, objects=objects), 7)
    assert clip.frames.shape == (frames, size, size, 3) and clip.frames.dtype == torch.uint8
    assert clip.masks.shape == (frames, objects, size, size) and clip.masks.dtype == torch.bool
    assert clip.present.shape == (objects,) and clip.present.dtype == torch.bool


def test_same_seed_same_clip_whatever_else_is_random() -> None:
    first = sample_clip(SMALL, 11)
    torch.manual_seed(999)
    sample_clip(SMALL, 12)
    again = sample_clip(SMALL, 11)
    assert torch.equal(first.frames, again.frames)
    assert torch.equal(first.masks, again.masks)
    assert torch.equal(first.present, again.present)


def test_global_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    sample_clip(SMALL, 1)
    assert torch.equal(torch.rand(3), expected)


def test_different_seeds_differ(clips: list[Clip]) -> None:
    for one, other in pairwise(clips):
        assert not torch.equal(one.frames, other.frames)


def test_batch_is_its_clips_stacked() -> None:
    batch = sample_batch(SMALL, [3, 4])
    for row, seed in enumerate((3, 4)):
        clip = sample_clip(SMALL, seed)
        assert torch.equal(batch.frames[row], clip.frames)
        assert torch.equal(batch.masks[row], clip.masks)
        assert torch.equal(batch.present[row], clip.present)


def test_visible_masks_never_overlap(clips: list[Clip]) -> None:
    for clip in clips:
        assert int(clip.masks.sum(1).max()) <= 1


def test_labelled_objects_are_visible_at_first_and_seen_again(clips: list[Clip]) -> None:
    for clip in clips:
        assert clip.present.any()
        cover = clip.masks.float().mean((2, 3))  # [T, O]
        assert ((cover[0] >= 0.002) & (cover[0] <= 0.6))[clip.present].all()
        assert (cover[1:].amax(0) > 0)[clip.present].all()
        assert not clip.masks[:, ~clip.present].any()


def test_most_clips_fill_all_rows(clips: list[Clip]) -> None:
    assert sum(bool(clip.present.all()) for clip in clips) >= 0.7 * len(clips)


def test_objects_cover_a_wide_range_of_sizes(clips: list[Clip]) -> None:
    cover = torch.cat([clip.masks[0, clip.present].float().mean((1, 2)) for clip in clips])
    assert cover.min() < 0.01 and cover.max() > 0.15


def test_objects_move(clips: list[Clip]) -> None:
    moves = []
    for clip in clips:
        for row in torch.nonzero(clip.present).flatten().tolist():
            seen = clip.masks[:, row].flatten(1).any(1)
            if seen[0] and seen[1]:
                at = centres(clip.masks[:2, row])
                moves.append(float((at[1] - at[0]).norm()))
    mean = sum(moves) / len(moves)
    assert mean > 0.015 * SMALL.size, "objects should not stand still"
    assert mean < 0.2 * SMALL.size, "objects should not jump about"


def test_some_objects_vanish_and_some_come_back(clips: list[Clip]) -> None:
    gone = back = rows = 0
    for clip in clips:
        seen = clip.masks.flatten(2).any(2)[:, clip.present]  # [T, O]
        rows += seen.shape[1]
        gone += int((~seen).any(0).sum())
        back += int((~seen[1:-1] & seen[2:]).any(0).sum())
    assert 0.04 * rows <= gone <= 0.4 * rows
    assert back > 0


def test_difficulty_makes_things_faster() -> None:
    def travel(difficulty: float) -> float:
        config = replace(ALONE, difficulty=difficulty)
        total = 0.0
        for seed in range(20):
            masks = sample_clip(config, seed).masks[:, 0]
            if masks[1].any():
                at = centres(masks[:2])
                total += float((at[1] - at[0]).norm())
        return total

    assert travel(1.0) > 1.3 * travel(0.0)


def test_frames_show_what_masks_say() -> None:
    """Object pixels look unlike the pixels just outside, in most clips: labels are not misplaced."""
    config = replace(ALONE, difficulty=0.0)
    clearer = 0
    for seed in range(20):
        clip = sample_clip(config, seed)
        mask, image = clip.masks[0, 0], clip.frames[0].float()
        edge_x = mask[:, 1:] != mask[:, :-1]
        step = (image[:, 1:] - image[:, :-1]).abs().mean(-1)
        clearer += float(step[edge_x].mean()) > 1.3 * float(step[~edge_x].mean())
    assert clearer >= 16


def test_pictures_are_neither_black_nor_white(clips: list[Clip]) -> None:
    spread = torch.stack([clip.frames[0].float().std() for clip in clips])
    assert (spread > 4).all() and spread.mean() > 25
    level = torch.stack([clip.frames.float().mean() for clip in clips])
    assert 60 < level.mean() < 190


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 100},
        {"size": 0},
        {"frames": 0},
        {"objects": 0},
        {"distractors": (3, 1)},
        {"occluders": (-1, 1)},
        {"difficulty": 1.5},
    ],
)
def test_impossible_configurations_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SynthConfig(**wrong)  # type: ignore[arg-type]


def test_empty_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match="no seeds"):
        sample_batch(SMALL, [])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_clip() -> None:
    here, there = sample_clip(SMALL, 2), sample_clip(SMALL, 2, "cuda")
    assert there.frames.device.type == "cuda"
    apart = (here.frames.int() - there.frames.cpu().int()).abs()
    assert (apart <= 1).float().mean() > 0.999
    assert (here.masks == there.masks.cpu()).float().mean() > 0.999


def half_labelled_square() -> Sprite:
    """A square of the frame's half width, of which the left half is a part to label."""
    canvas = torch.full((1, 4, 32, 32), 0.9)
    canvas[:, 3] = torch.tensor(1.0)
    part = torch.zeros(32, 32, dtype=torch.bool)
    part[:, :16] = True
    still = torch.zeros(2)
    return Sprite(Look(canvas, part), Path(torch.full((2, 2), 0.5), still, still + 0.25, still + 1))


def test_a_part_is_labelled_and_the_rest_hides_what_is_behind() -> None:
    front = half_labelled_square()
    behind = replace(front, look=replace(front.look, part=None))
    backdrop_path = Path(torch.full((2, 2), 0.5), torch.zeros(2), torch.full((2,), 0.6), torch.ones(2))
    scene = Scene(torch.zeros(3, 32, 32), backdrop_path, [behind, front], [0, 1])
    _, labels = render(scene, 64)
    inside = labels[0, 18:46, 18:46]
    assert (inside[:, :12] == 2).all() and (inside[:, 16:] == HIDDEN).all()
    assert not (labels[0] == 1)[18:46, 18:46].any()


def test_some_things_have_a_part_to_label() -> None:
    looks = [random_look(dice, 32, random_palette(dice), 1, 0.5) for dice in map(Dice, range(120))]
    parts = [look.part for look in looks if look.part is not None]
    assert 8 <= len(parts) <= 40
    assert all(0.02 < float(part.float().mean()) < 0.98 for part in parts)


def test_a_seed_without_a_usable_clip_may_be_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgetam.train.synthetic.clips._usable", lambda scene, labels: [])
    monkeypatch.setattr("edgetam.train.synthetic.clips._ATTEMPTS", 1)
    with pytest.raises(MediaError, match="seed 3 gave no usable clip"):  # which mixtures count and replace
        sample_clip(SynthConfig(size=32, frames=1), 3)
