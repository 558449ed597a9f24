"""Real clips and pseudo-videos: masks stay on their objects, whatever is done to the pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetam.train.batches import make_batch
from edgetam.train.data import Ask, Clip, open_source
from edgetam.train.data.augment import PRESETS, draw_geometry, draw_turn
from edgetam.train.data.cast import THINGS, Stage, placed, stranger
from edgetam.train.data.colour import Jitter, Tint, recolour
from edgetam.train.data.geometry import FILL, Geometry, resized
from edgetam.train.data.holes import emptied
from edgetam.train.data.paths import draw_span
from edgetam.train.data.registry import open_collection
from edgetam.train.data.sampling import Sampling, draw_window
from edgetam.train.data.sprites import backdrop, filled
from edgetam.train.rollout import make_task
from tests.train.data import fabricate
from tests.train.data.fabricate import BLUE, RED

SIZE = 96
STILL: dict[str, Any] = {
    "clip": {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0},
    "frame": {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0},
    "grey": 0.0,
    "exchange": 0.0,
}
"""No changes of colour, so that objects can be told by theirs."""
UNIT = st.floats(0, 1)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fabricate.palette_videos(tmp_path_factory.mktemp("davis"), videos=3, frames=8)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fabricate.static_images(tmp_path_factory.mktemp("static"))


def agreement(clip: Clip, frame: int, row: int) -> float:
    """Overlap of a mask with the pixels of its object's colour."""
    colours = clip.frames[frame].float()
    mask = clip.masks[frame, row]
    far = [(colours - colours.new_tensor(c)).norm(dim=-1) for c in (RED, BLUE)]
    own = min(far, key=lambda d: float(d[mask].mean()))
    like = own < 70
    return float((mask & like).sum() / (mask | like).sum())


def check_masks(clips: list[Clip]) -> None:
    """All that are large enough to tell lie on their objects."""
    for clip in clips:
        for row in torch.nonzero(clip.present).flatten().tolist():
            large = [frame for frame in range(len(clip.frames)) if clip.masks[frame, row].sum() > 150]
            assert all(agreement(clip, frame, row) > 0.8 for frame in large)


@pytest.mark.parametrize("seed", range(12))
def test_masks_of_augmented_clips_lie_on_their_objects(seed: int, videos: Path) -> None:
    augment = {"preset": "strong", "tint": STILL, "mosaic": 0.0}
    source = open_source({"kind": "davis", "root": str(videos), "augment": augment, "stride": 2})
    clip = source.sample(np.random.default_rng(seed), Ask(4, 2, SIZE))
    for row in torch.nonzero(clip.present).flatten().tolist():
        for frame in range(4):
            if clip.masks[frame, row].sum() > 150:
                assert agreement(clip, frame, row) > 0.85


def test_objects_leave_and_return_where_the_crop_slides(videos: Path) -> None:
    augment = {"preset": "strong", "tint": STILL, "mosaic": 0.0, "slide": 1.0}
    source = open_source({"kind": "davis", "root": str(videos), "augment": augment})
    clips = [source.sample(np.random.default_rng(seed), Ask(5, 2, SIZE)) for seed in range(24)]
    check_masks(clips)
    seen = torch.cat([clip.masks[:, clip.present].flatten(2).any(2) for clip in clips], dim=1)  # [T, O]
    assert seen[0].all()
    gone = ~seen[1:].all(0)
    assert gone.float().mean() > 0.1
    assert (gone & seen[-1]).any()


def test_the_same_scene_is_seen_without_its_objects_where_the_crop_turns_away(videos: Path) -> None:
    augment = {"preset": "strong", "tint": STILL, "mosaic": 0.0, "turn": 1.0}
    source = open_source({"kind": "davis", "root": str(videos), "augment": augment})
    clips = [source.sample(np.random.default_rng(seed), Ask(5, 2, SIZE)) for seed in range(24)]
    check_masks(clips)
    alone = torch.stack([~clip.masks[:, clip.present].flatten(1).any(1) for clip in clips])  # [N, T]
    assert not alone[:, 0].any()
    assert alone.any(1).float().mean() > 0.3
    assert (alone[:, 1:-1].any(1) & ~alone[:, -1]).any()


def shaded(root: Path, folders: tuple[str, str], frames: int) -> Path:
    """Four videos, or images where there is one frame, each with an object and a shade of its own."""
    for shade in (0, 60, 120, 180):
        for t in range(frames):
            image, labels = np.full((64, 96, 3), shade, np.uint8), np.zeros((64, 96), np.uint8)
            image[20 + t : 40 + t, 30:60], labels[20 + t : 40 + t, 30:60] = 255, 1
            name = f"v{shade}/{t:05d}" if frames > 1 else f"v{shade}"
            fabricate.write(root / folders[0] / f"{name}.jpg", fabricate.jpeg(image))
            fabricate.write(root / folders[1] / f"{name}.png", fabricate.palette_png(labels))
    return root


@pytest.mark.parametrize("kind", ["davis", "pseudo"])
def test_after_a_cut_another_video_is_seen_and_no_object(kind: str, tmp_path: Path) -> None:
    real = kind == "davis"
    folders = ("JPEGImages", "Annotations") if real else ("images", "masks")
    root = shaded(tmp_path, folders, 8 if real else 1)
    given = {"kind": kind, "root": str(root), "augment": {"preset": "none", "cut": 1.0}}
    source = open_source(given if real else given | {"motion": {"strangers": 0.0, "leaves": 0.0}})
    gone = []
    for seed in range(16):
        clip = source.sample(np.random.default_rng(seed), Ask(5, 1, SIZE))
        absent = ~clip.masks.flatten(1).any(1)
        shades = (clip.frames.flatten(1).median(1).values.float() / 60).round()
        assert (shades[~absent] == shades[0]).all() and (shades[absent] != shades[0]).all()
        assert len(set(shades.tolist())) == 2
        gone.append(absent)
    assert not torch.stack(gone)[:, 0].any()
    last = torch.stack(gone)[:, -1]
    assert last.any() and not last.all()


def test_erased_objects_are_gone_and_everything_else_stays(tmp_path: Path) -> None:
    root = shaded(tmp_path, ("JPEGImages", "Annotations"), 8)
    given = {"kind": "davis", "root": str(root), "augment": {"preset": "none", "erase": 1.0}, "reverse": 0.0}
    source = open_source(given)
    gone = []
    for seed in range(16):
        clip = source.sample(np.random.default_rng(seed), Ask(5, 1, SIZE))
        absent = ~clip.masks.flatten(1).any(1)
        shades = clip.frames.flatten(1).median(1).values.float()
        assert (shades - shades[0]).abs().max() < 12  # still the same video
        white = (clip.frames.amin(-1) > 225).flatten(1).sum(1)
        assert (white[~absent] > 100).all() and (white[absent] < 20).all()
        gone.append(absent)
    assert not torch.stack(gone)[:, 0].any() and torch.stack(gone).any(1).all()
    assert not torch.stack(gone)[:, -1].all()


@pytest.mark.parametrize("reach", [0.2, 0.6])
def test_what_hides_an_object_is_often_as_large(reach: float, images: Path) -> None:
    cutouts = open_collection({"kind": "static", "root": str(images)})
    sizes = []
    for seed in range(40):
        stage = Stage(np.random.default_rng(seed), 1, SIZE, THINGS, 0.0)
        sprite = placed(stage, stranger(stage, cutouts), np.array([[0.5, 0.5]]), reach)
        scale = float(np.sqrt(abs(np.linalg.det(sprite.maps[0, :2, :2]))))
        sizes.append(scale * max(sprite.canvas.shape[:2]) / SIZE)
    assert np.mean([0.65 * reach < size < 1.6 * reach for size in sizes]) > 0.3
    assert max(sizes) < 1.1


def test_without_another_video_there_is_no_cut(tmp_path: Path) -> None:
    alone = fabricate.palette_videos(tmp_path, videos=1, frames=8)
    source = open_source({"kind": "davis", "root": str(alone), "augment": {"preset": "none", "cut": 1.0}})
    clip = source.sample(np.random.default_rng(0), Ask(4, 2, SIZE))
    assert clip.masks.flatten(1).any(1).all()


@given(
    seed=st.integers(0, 2**32 - 1), places=st.lists(st.tuples(UNIT, UNIT, UNIT, UNIT), min_size=2, max_size=6)
)
def test_a_crop_that_turns_away_shows_no_part_of_any_box(
    seed: int, places: list[tuple[float, float, float, float]]
) -> None:
    boxes = np.array([[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in places])
    still = [Geometry(64)] * len(boxes)
    turned = draw_turn(np.random.default_rng(seed), still, boxes)
    assert turned[0] is still[0]
    for geometry, (x0, y0, x1, y1) in zip(turned, boxes, strict=True):
        if geometry is not still[0]:
            left, top, right, bottom = geometry.box
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1
            assert right <= x0 + 1e-9 or left >= x1 - 1e-9 or bottom <= y0 + 1e-9 or top >= y1 - 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_masks_of_pseudo_videos_lie_on_their_objects(seed: int, images: Path) -> None:
    motion = {"strangers": 0.0, "alone": seed % 2 * 1.0}
    augment = {"tint": STILL, "crop": 1.0}
    source = open_source(
        {"kind": "pseudo", "root": str(images), "augment": augment, "motion": motion, "merge": 0.0}
    )
    clip = source.sample(np.random.default_rng(seed), Ask(4, 2, SIZE))
    for row in torch.nonzero(clip.present).flatten().tolist():
        for frame in range(4):
            mask = clip.masks[frame, row]
            if mask.sum() > 150:
                inside = clip.frames[frame][mask].float()
                far = torch.stack([(inside - inside.new_tensor(c)).norm(dim=-1) for c in (RED, BLUE)]).amin(0)
                assert float((far < 110).float().mean()) > 0.8


def test_augmentation_is_the_same_for_all_frames(tmp_path: Path) -> None:
    """A video that stands still stays still."""
    fabricate.palette_videos(tmp_path, videos=1, frames=1)
    for tree, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
        first = tmp_path / tree / "video0" / f"00000.{suffix}"
        for t in range(1, 4):
            (first.parent / f"{t:05d}.{suffix}").write_bytes(first.read_bytes())
    augment = {"preset": "strong", "tint": {**STILL, "exchange": 1.0}}
    source = open_source({"kind": "davis", "root": str(tmp_path), "augment": augment})
    for seed in range(4):
        clip = source.sample(np.random.default_rng(seed), Ask(4, 2, SIZE))
        assert all(torch.equal(clip.frames[0], frame) for frame in clip.frames)
        assert all(torch.equal(clip.masks[0], masks) for masks in clip.masks)


def test_an_affine_map_that_loses_an_object_is_not_applied(tmp_path: Path) -> None:
    image, labels = fabricate.scene(0)
    labels[:] = 0
    labels[:5, :5], image[:5, :5] = 1, RED  # nearly any turn pushes the corner out
    fabricate.write(tmp_path / "images" / "a.jpg", fabricate.jpeg(image))
    fabricate.write(tmp_path / "masks" / "a.png", fabricate.palette_png(labels))
    given = {"kind": "static", "root": str(tmp_path)}
    ask = Ask(1, 1, SIZE)
    plain = open_source({**given, "augment": "none"}).sample(np.random.default_rng(0), ask)
    turning = open_source({**given, "augment": {"preset": "none", "degrees": 180.0}})
    clips = [turning.sample(np.random.default_rng(seed), ask) for seed in range(8)]
    assert sum(torch.equal(clip.frames, plain.frames) for clip in clips) >= 6


@pytest.mark.parametrize("shape", [(40, 60), (96, 96), (150, 280), (300, 420), (700, 500)])
def test_squeezing_averages_and_moves_nothing(shape: tuple[int, int]) -> None:
    dice = np.random.default_rng(0)
    blobs = cv2.GaussianBlur(dice.random((*shape, 3)), (0, 0), 0.04 * shape[0])
    noisy = 1000 * (blobs - blobs.mean()) + 120 + dice.normal(0, 25, (*shape, 3))
    pixels = noisy.clip(0, 255).astype(np.uint8)
    way = cv2.INTER_AREA if min(shape) > SIZE else cv2.INTER_LINEAR
    expected = cv2.resize(pixels, (SIZE, SIZE), interpolation=way).astype(float)
    found = resized(pixels, SIZE).astype(float)
    smooth = [cv2.GaussianBlur(image, (0, 0), 2) for image in (found, expected)]
    assert np.abs(smooth[0] - smooth[1]).max() < 4
    assert np.abs(found - expected).mean() < 12


def test_reversed_clips_run_backwards(videos: Path) -> None:
    given = {"kind": "davis", "root": str(videos), "augment": "none", "only": ["video0"]}
    ask = Ask(8, 2, SIZE)  # all there is
    forwards = open_source({**given, "reverse": 0.0}).sample(np.random.default_rng(0), ask)
    backwards = open_source({**given, "reverse": 1.0}).sample(np.random.default_rng(0), ask)
    assert torch.equal(forwards.frames, backwards.frames.flip(0))


@given(st.integers(1, 40), st.integers(1, 8), st.integers(1, 5), st.integers(0, 9))
def test_windows_are_evenly_spaced_and_inside(length: int, frames: int, stride: int, seed: int) -> None:
    window = draw_window(np.random.default_rng(seed), length, frames, Sampling(stride=stride))
    if length < frames:
        assert window is None
        return
    assert window is not None and len(window) == frames and min(window) >= 0 and max(window) < length
    steps = set(np.diff(window).tolist())
    assert len(steps) <= 1 and all(1 <= abs(step) <= stride for step in steps)


def test_every_window_is_drawn() -> None:
    drawn = {tuple(draw_window(np.random.default_rng(s), 6, 3, Sampling(stride=2)) or ()) for s in range(300)}
    forwards = {(a, a + k, a + 2 * k) for k in (1, 2) for a in range(6 - 2 * k)}
    assert drawn == forwards | {window[::-1] for window in forwards}


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from(sorted(PRESETS)))
def test_a_mask_of_everything_stays_where_the_picture_is(seed: int, preset: str) -> None:
    geometry = draw_geometry(np.random.default_rng(seed), PRESETS[preset], 40, (50, 70))
    white = np.full((50, 70, 3), 255, np.uint8)
    shown = geometry.image(white).min(-1) > 189  # halfway from the mean colour to white
    mask = geometry.mask(np.full((100, 140), 255, np.uint8), (50, 70))
    assert (shown == mask).mean() > 0.97


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([(150, 100), (100, 100), (90, 160), (100, 300)]))
def test_portraits_get_the_shape_of_films_but_never_a_wider_one(seed: int, like: tuple[int, int]) -> None:
    def drawn(widen: float) -> tuple[float, float]:
        augment = replace(PRESETS["pseudo"], crop=1.0, widen=widen)
        x0, y0, x1, y1 = draw_geometry(np.random.default_rng(seed), augment, 40, like).box
        assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
        return x1 - x0, (x1 - x0) * like[1] / ((y1 - y0) * like[0])

    own = like[1] / like[0]
    assert drawn(0.0) == pytest.approx((1, own))
    width, ratio = drawn(1.0)
    assert width == pytest.approx(1) and own - 1e-9 <= ratio <= max(own, 16 / 9) + 1e-9


def test_widening_is_as_often_as_asked_and_goes_all_the_way() -> None:
    augment = replace(PRESETS["pseudo"], crop=1.0, widen=0.5)
    boxes = [draw_geometry(np.random.default_rng(s), augment, 40, (150, 100)).box for s in range(400)]
    ratios = np.array([100 / ((y1 - y0) * 150) for _, y0, _, y1 in boxes])
    assert 0.4 < (ratios > 0.67).mean() < 0.6 and ratios.max() > 1.6


def test_mosaics_label_one_tile(videos: Path) -> None:
    augment = {"preset": "none", "mosaic": 1.0}
    source = open_source({"kind": "davis", "root": str(videos), "augment": augment})
    tiles = set()
    for seed in range(12):
        clip = source.sample(np.random.default_rng(seed), Ask(2, 2, SIZE))
        y, x = torch.nonzero(clip.masks[:, clip.present].any(0).any(0), as_tuple=True)
        assert int(y.max()) // 48 == int(y.min()) // 48 and int(x.max()) // 48 == int(x.min()) // 48
        tiles.add((int(y.min()) // 48, int(x.min()) // 48))
        for row in torch.nonzero(clip.present).flatten().tolist():
            shown = clip.frames[0][clip.masks[0, row]].float().mean(0)
            assert min(float((shown - shown.new_tensor(c)).norm()) for c in (RED, BLUE)) < 60
    assert len(tiles) == 4


@pytest.mark.parametrize(("mosaic", "paste"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_void_goes_with_the_picture(mosaic: float, paste: float, images: Path) -> None:
    """The images have a stripe of void on the right."""
    augment = {"preset": "none", "mosaic": mosaic}
    source = open_source({"kind": "static", "root": str(images), "augment": augment, "paste": paste})
    for seed in range(6):
        clip = source.sample(np.random.default_rng(seed), Ask(1, 2, SIZE))
        assert clip.void is not None and clip.void.shape == (1, SIZE, SIZE)
        assert not (clip.void[:, None] & clip.masks).any()
        columns = clip.void[0].float().mean(0)
        if mosaic:
            assert 0.005 < columns.mean() < 0.025  # a quarter of the stripe
        else:
            assert columns[: SIZE * 96 // 104].max() == 0
            assert paste or columns[SIZE * 100 // 104 :].min() == 1


def test_void_moves_with_the_world_of_a_pseudo_video(images: Path) -> None:
    source = open_source({"kind": "pseudo", "root": str(images)})
    clips = [source.sample(np.random.default_rng(seed), Ask(3, 2, SIZE)) for seed in range(8)]
    seen = [(clip.void, clip.masks) for clip in clips if clip.void is not None]
    assert seen
    for void, masks in seen:
        assert void.shape == (3, SIZE, SIZE) and not (void[:, None] & masks).any()


def test_clips_without_void_go_with_others(videos: Path, images: Path) -> None:
    paths = {"static": images, "davis": videos}
    sources = (open_source({"kind": kind, "root": str(path)}) for kind, path in paths.items())
    clips = [source.sample(np.random.default_rng(0), Ask(1, 2, SIZE)) for source in sources]
    assert clips[1].void is None
    batch = make_batch(clips, [0, 1], 2)
    assert batch.void is not None
    assert batch.void.flatten(1).any(1).tolist() == [True, False]
    assert make_task(batch).unknown(0).shape == (len(batch.masks), SIZE, SIZE)  # type: ignore[union-attr]
    assert make_batch(clips[1:], [1], 2).void is None


def test_pasted_things_hide_what_is_behind_them(videos: Path, images: Path) -> None:
    given = {"kind": "davis", "root": str(videos), "augment": "none", "reverse": 0.0}
    cutouts = {"kind": "static", "root": str(images)}
    changed = 0
    for seed in range(10):
        plain = open_source(given).sample(np.random.default_rng(seed), Ask(4, 3, SIZE))
        clip = open_source({**given, "paste": 1.0, "cutouts": cutouts}).sample(
            np.random.default_rng(seed), Ask(4, 3, SIZE)
        )
        assert int(clip.masks.sum(1).max()) == 1
        changed += not torch.equal(plain.frames, clip.frames)
    assert changed >= 8


def test_pseudo_videos_move_hide_and_reveal(images: Path) -> None:
    source = open_source({"kind": "pseudo", "root": str(images), "motion": {"strangers": 2.0}})
    clips = [source.sample(np.random.default_rng(seed), Ask(6, 3, 64)) for seed in range(20)]
    areas = torch.stack([clip.masks.sum((2, 3))[:, 0] for clip in clips]).float()  # [20, 6]
    assert float((areas.std(1) / areas.mean(1)).mean()) > 0.05
    assert all(int(clip.masks.sum(1).max()) <= 1 for clip in clips)  # never two objects at a pixel
    assert max(int(clip.present.sum()) for clip in clips) == 3
    assert all(not torch.equal(clip.frames[0], clip.frames[-1]) for clip in clips)


def test_beyond_the_edge_of_a_picture_there_is_nothing() -> None:
    """What lies there must not be a second copy of the object."""
    canvas = np.full((SIZE, SIZE, 3), 200, np.uint8)
    labels = np.ones((SIZE, SIZE), np.uint8)
    aside = np.array([[1.0, 0, SIZE / 2], [0, 1, 0], [0, 0, 1]])
    frame, owner = backdrop(canvas, labels, aside, None, SIZE)
    assert owner[:, SIZE // 2 + 1 :].all() and not owner[:, : SIZE // 2 - 1].any()
    assert (frame[:, : SIZE // 2 - 1] == FILL).all()


def test_only_what_moves_is_cut_out(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that lies still in a frame of paint would give its outline away."""
    removed: list[int] = []

    def noted(dice: Any, canvas: Any, masks: list[Any], rooted: list[Any]) -> Any:
        removed.append(len(masks))
        return emptied(dice, canvas, masks, rooted)

    monkeypatch.setattr("edgetam.train.data.pseudo.emptied", noted)
    source = open_source({"kind": "pseudo", "root": str(images), "motion": {"alone": 1.0}})
    for frames, some in ((1, False), (3, True)):
        removed.clear()
        for seed in range(6):
            source.sample(np.random.default_rng(seed), Ask(frames, 2, SIZE))
        assert any(removed) == some


def test_what_goes_comes_back_half_of_the_time() -> None:
    dice = np.random.default_rng(0)
    for frames in range(2, 9):
        spans = [draw_span(dice, frames) for _ in range(300)]
        assert all(1 <= first <= last < frames for first, last in spans)
        back = sum(last < frames - 1 for _, last in spans) / len(spans)
        assert back > 0.5 if frames > 2 else back == 0
        assert {first for first, _ in spans} == set(range(1, frames))


@pytest.mark.parametrize("alone", [0.0, 1.0])
def test_objects_of_pseudo_videos_leave_as_often_as_asked(alone: float, images: Path) -> None:
    gone = []
    for leaves in (0.0, 1.0):
        motion = {"pace": 0.2, "strangers": 0.0, "alone": alone, "leaves": leaves}
        source = open_source({"kind": "pseudo", "root": str(images), "motion": motion})
        clips = [source.sample(np.random.default_rng(seed), Ask(5, 1, SIZE)) for seed in range(12)]
        gone.append(sum(not clip.masks[t, 0].any() for clip in clips for t in range(1, 5)))
    assert gone[0] <= 2 < 8 <= gone[1]


def test_pseudo_videos_of_videos_and_mixed_images(videos: Path, images: Path) -> None:
    given = {
        "kind": "pseudo",
        "images": [{"kind": "davis", "root": str(videos)}, {"kind": "static", "root": str(images)}],
    }
    source = open_source(given)
    assert len(source) == 3 + 4
    assert source.sample(np.random.default_rng(0), Ask(3, 2, 64)).frames.shape == (3, 64, 64, 3)


def test_colours_change_as_far_as_they_may() -> None:
    dice = np.random.default_rng(0)
    frames = [np.full((4, 4, 3), (120, 60, 30), np.uint8)] * 2
    none = Tint(Jitter(), Jitter(), grey=0.0)
    assert all((frame == frames[0]).all() for frame in recolour(dice, frames, none))
    grey = recolour(dice, frames, Tint(Jitter(), Jitter(), grey=1.0))[0][0, 0]
    assert grey.max() - grey.min() <= 1
    bright = [recolour(dice, frames, Tint(Jitter(0.5), Jitter(), grey=0.0)) for _ in range(50)]
    levels = [int(clip[0][0, 0, 0]) for clip in bright]
    assert 60 <= min(levels) < 80 and 160 < max(levels) <= 180
    assert all((clip[0] == clip[1]).all() for clip in bright)  # once for a clip
    flicker = recolour(dice, frames, Tint(Jitter(), Jitter(0.5), grey=0.0))
    assert (flicker[0] != flicker[1]).any()  # for every frame


@pytest.mark.parametrize("side", [500, 1500, 2250])
def test_masks_of_large_pictures_stay_in_place(side: int) -> None:
    disc = cv2.circle(np.zeros((side, side), np.uint8), (side * 3 // 5, side // 3), side // 5, 255, -1)
    expected = cv2.resize(disc, (SIZE, SIZE), interpolation=cv2.INTER_AREA) > 127
    found = Geometry(SIZE).mask(disc, (side // 4, side // 4))
    assert (found & expected).sum() / (found | expected).sum() > 0.97
    for axis in (0, 1):
        places = [float(np.argwhere(mask)[:, axis].mean()) for mask in (found, expected)]
        assert abs(places[0] - places[1]) < 0.25


def test_a_hole_is_filled_from_around_it() -> None:
    canvas = np.full((60, 80, 3), (40, 90, 200), np.uint8)
    mask = cv2.circle(np.zeros((60, 80), np.uint8), (30, 30), 14, 255, -1)
    canvas[mask > 0] = (250, 0, 0)
    assert np.abs(filled(canvas, mask).astype(int) - (40, 90, 200)).max() <= 2
    canvas[:, 40:] = (200, 200, 10)
    canvas[mask > 0] = (250, 0, 0)
    out = filled(canvas, mask).astype(int)
    assert (out[mask == 0] == canvas[mask == 0]).all()
    assert np.abs(out[30, 17] - (40, 90, 200)).max() < 40 and np.abs(out[30, 43] - (200, 200, 10)).max() < 40


def test_what_is_filled_in_does_not_say_what_moves() -> None:
    """Holes have grain, often there are others like them elsewhere, and objects are left alone."""
    numbers = np.random.default_rng(5)
    canvas = numbers.integers(90, 110, (120, 120, 3), np.uint8)
    gone = cv2.circle(np.zeros((120, 120), np.uint8), (30, 30), 12, 255, -1)
    stays = cv2.rectangle(np.zeros((120, 120), np.uint8), (52, 52), (67, 67), 255, -1)
    canvas[gone > 0] = (250, 0, 0)
    canvas[stays > 0] = (0, 250, 0)
    decoys = 0
    for seed in range(12):
        out = emptied(np.random.default_rng(seed), canvas, [gone], [stays])
        assert (out[stays > 0] == canvas[stays > 0]).all()
        inside = out[gone > 0].astype(int)
        assert abs(inside.mean() - 100) < 12 and inside.std() > 2, "filled from around, and not smooth"
        far = (gone == 0) & (cv2.dilate(gone, np.ones((9, 9))) == 0) & (stays == 0)
        decoys += bool((out[far] != canvas[far]).any())
    assert 2 <= decoys <= 10
    assert emptied(numbers, canvas, [], [stays]) is canvas
