"""The video predictor's calls, answers and rules, on a small network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from edgetam.compat.sam2 import SAM2VideoPredictor
from edgetam.compat.state import InferenceState
from edgetam.errors import ConfigError, EdgeTAMError, MediaError, PromptError
from edgetam.tracking import TrackerOptions, TrackingSession, VideoTracker
from tests.compat.conftest import FRAMES, HEIGHT, WIDTH, Build

Video = NDArray[np.uint8]
CLICK = {"points": [[54.0, 33.0]], "labels": [1]}
BOX = {"box": [42.0, 49.0, 78.0, 76.0]}
CORRECTION = {"points": [[90.0, 20.0], [10.0, 70.0]], "labels": [1, 0]}


def track(
    predictor: SAM2VideoPredictor, state: InferenceState, **arguments: object
) -> dict[int, torch.Tensor]:
    """Logits by frame."""
    return {t: logits for t, _, logits in predictor.propagate_in_video(state, **arguments)}  # type: ignore[arg-type]


def clicked(predictor: SAM2VideoPredictor, video: Video, frame: int = 0) -> InferenceState:
    """A video with one click on one object."""
    state = predictor.init_state(video)
    predictor.add_new_points_or_box(state, frame, 1, **CLICK)  # type: ignore[arg-type]
    return state


def largest(a: Iterable[torch.Tensor], b: Iterable[torch.Tensor]) -> float:
    """The largest difference between two tracks."""
    return max(float((x - y).abs().max()) for x, y in zip(a, b, strict=True))


def test_answers_have_the_published_shapes(predictor: SAM2VideoPredictor, video: Video) -> None:
    state = predictor.init_state(video, offload_video_to_cpu=True, offload_state_to_cpu=True)
    frame, ids, logits = predictor.add_new_points_or_box(state, frame_idx=0, obj_id=3, **CLICK)  # type: ignore[arg-type]
    assert (frame, ids) == (0, [3])
    assert logits.shape == (1, 1, HEIGHT, WIDTH)
    assert logits.dtype == torch.float32
    predictor.add_new_points_or_box(state, frame_idx=0, obj_id=7, **BOX)  # type: ignore[arg-type]
    for t, (frame, ids, logits) in enumerate(predictor.propagate_in_video(state)):
        assert (frame, ids) == (t, [3, 7])
        assert logits.shape == (2, 1, HEIGHT, WIDTH)
    assert t == FRAMES - 1


def test_pictures_of_a_folder_lie_as_stored(predictor: SAM2VideoPredictor, tmp_path: Path) -> None:
    turned = Image.new("RGB", (40, 30))
    turned.getexif()[0x0112] = 6
    turned.save(tmp_path / "0.jpg", exif=turned.getexif())
    state = predictor.init_state(tmp_path)
    assert (state["video_height"], state["video_width"]) == (30, 40)


def test_the_state_reads_like_the_published_dictionary(predictor: SAM2VideoPredictor, video: Video) -> None:
    state = clicked(predictor, video)
    assert state["num_frames"] == FRAMES
    assert (state["video_height"], state["video_width"]) == (HEIGHT, WIDTH)
    assert state["obj_ids"] == [1]
    assert state["obj_id_to_idx"] == {1: 0}
    assert state["obj_idx_to_id"] == {0: 1}
    assert len(state["images"]) == FRAMES
    assert set(state) >= {"obj_ids", "num_frames"}
    assert len(state) == len(list(state))
    with pytest.raises(KeyError, match="num_frames"):
        state["output_dict"]


@pytest.mark.parametrize("legacy", [False, True])
def test_which_frames_are_visited(build: Build, video: Video, legacy: bool) -> None:
    predictor = build(legacy=legacy)
    state = clicked(predictor, video, frame=2)
    assert list(track(predictor, state, max_frame_num_to_track=1)) == [2, 3]
    assert list(track(predictor, state, start_frame_idx=4)) == [4, 5]
    assert list(track(predictor, state, reverse=True)) == [2, 1, 0]
    assert list(track(predictor, state, start_frame_idx=4, reverse=True, max_frame_num_to_track=1)) == [4, 3]
    assert list(track(predictor, state, start_frame_idx=0, reverse=True)) == []


def test_nothing_prompted_is_a_runtime_error_as_published(
    predictor: SAM2VideoPredictor, video: Video
) -> None:
    state = predictor.init_state(video)
    with pytest.raises(RuntimeError, match="add points, a box or a mask"):
        list(predictor.propagate_in_video(state))


def test_objects_without_output_are_absent(predictor: SAM2VideoPredictor, video: Video) -> None:
    state = clicked(predictor, video)
    _, ids, logits = predictor.add_new_points_or_box(state, 3, 2, **BOX)  # type: ignore[arg-type]
    assert ids == [1, 2]
    assert (logits[0] == -1024).all()
    assert (logits[1] != -1024).any()


def test_objects_are_added_while_tracking(predictor: SAM2VideoPredictor, video: Video) -> None:
    state = clicked(predictor, video)
    seen = {}
    for frame, ids, _ in predictor.propagate_in_video(state):
        seen[frame] = ids
        if frame == 2:
            predictor.add_new_points_or_box(state, 3, 2, **BOX)  # type: ignore[arg-type]
    assert seen == {0: [1], 1: [1], 2: [1], 3: [1, 2], 4: [1, 2], 5: [1, 2]}


def test_legacy_adds_no_objects_after_tracking_began(build: Build, video: Video) -> None:
    predictor = build(legacy=True)
    state = clicked(predictor, video)
    track(predictor, state, max_frame_num_to_track=1)
    with pytest.raises(RuntimeError, match="reset_state"):
        predictor.add_new_points_or_box(state, 1, 2, **BOX)  # type: ignore[arg-type]
    predictor.add_new_points_or_box(state, 1, 1, **CORRECTION)  # type: ignore[arg-type]
    predictor.reset_state(state)
    assert state["obj_ids"] == []
    predictor.add_new_points_or_box(state, 1, 2, **BOX)  # type: ignore[arg-type]
    assert list(track(predictor, state)) == [1, 2, 3, 4, 5]


def test_one_object_is_tracked_the_same_with_and_without_legacy(build: Build, video: Video) -> None:
    tracks = []
    for legacy in (False, True):
        predictor = build(legacy=legacy)
        tracks.append(track(predictor, clicked(predictor, video[:3])).values())
    assert largest(*tracks) == 0


def test_objects_together_are_tracked_as_objects_alone(build: Build, video: Video) -> None:
    predictor = build(store="fp32")
    video = video[:3]
    prompts = {1: (0, CLICK), 2: (0, BOX), 5: (1, CORRECTION)}
    together = predictor.init_state(video)
    for object_id, (frame, prompt) in prompts.items():
        predictor.add_new_points_or_box(together, frame, object_id, **prompt)  # type: ignore[arg-type]
    all_at_once = track(predictor, together)
    for i, (object_id, (frame, prompt)) in enumerate(prompts.items()):
        alone = predictor.init_state(video)
        predictor.add_new_points_or_box(alone, frame, object_id, **prompt)  # type: ignore[arg-type]
        found = track(predictor, alone, start_frame_idx=0)
        scale = max(1.0, max(float(x[x > -1000].abs().max()) for x in found.values() if (x > -1000).any()))
        assert largest([x[i : i + 1] for x in all_at_once.values()], found.values()) <= 1e-5 * scale


def test_native_objects_together_are_tracked_as_objects_alone(
    predictor: SAM2VideoPredictor, video: Video
) -> None:
    tracker = VideoTracker(predictor.engine, TrackerOptions(store="fp32"))
    prompts = {1: CLICK, 2: BOX}

    def run(ids: list[int]) -> list[dict[int, NDArray[np.float32]]]:
        with tracker.open(video[:3]) as session:
            for i in ids:
                session.prompt(0, i, **prompts[i])
            return [{i: r.objects[i].logits for i in ids} for r in session.propagate()]

    together = run([1, 2])
    for i in (1, 2):
        for one, both in zip(run([i]), together, strict=True):
            assert np.abs(one[i] - both[i]).max() <= 1e-4


@pytest.mark.parametrize(
    ("legacy", "as_cond", "kept"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_corrections_are_kept_or_overwritten_as_published(
    build: Build, video: Video, legacy: bool, as_cond: bool, kept: bool
) -> None:
    predictor = build(f"++model.add_all_frames_to_correct_as_cond={str(as_cond).lower()}", legacy=legacy)
    state = clicked(predictor, video[:3])
    before = track(predictor, state)[2]
    corrected = predictor.add_new_points_or_box(state, 2, 1, **CORRECTION)[2]  # type: ignore[arg-type]
    assert not torch.equal(corrected, before)
    after = track(predictor, state)[2]
    assert torch.equal(after, corrected) is kept


def test_masks_of_any_size_are_prompts(predictor: SAM2VideoPredictor, video: Video) -> None:
    for shape in ((HEIGHT, WIDTH), (2 * HEIGHT, 2 * WIDTH), (256, 256)):
        mask = np.zeros(shape, bool)
        mask[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = True
        for given in (mask, torch.from_numpy(mask), mask.tolist()):
            state = predictor.init_state(video)
            _, _, logits = predictor.add_new_mask(state, 0, 1, given)
            expected = np.zeros((HEIGHT, WIDTH), bool)
            expected[HEIGHT // 4 : HEIGHT // 2, WIDTH // 4 : WIDTH // 2] = True
            assert (np.asarray(logits[0, 0] > 0) != expected).sum() <= 2 * (HEIGHT + WIDTH) // 4


@pytest.mark.parametrize("soft", [False, True])
def test_masks_too_thin_or_soft_for_the_network_are_still_objects(
    predictor: SAM2VideoPredictor, soft: bool
) -> None:
    mask = torch.zeros(900, 1200)
    if soft:
        mask[200:600, 300:800] = 0.3
    else:
        mask[100:800, 600] = 1
    state = predictor.init_state(np.zeros((1, *mask.shape, 3), np.uint8))
    predictor.add_new_mask(state, 0, 1, mask)
    record = state.session.tracks[1].latest(0)
    assert record is not None and record.presence > 0


def test_an_empty_mask_means_that_the_object_is_not_there(
    predictor: SAM2VideoPredictor, video: Video
) -> None:
    state = predictor.init_state(video)
    _, _, logits = predictor.add_new_mask(state, 0, 1, np.zeros((HEIGHT, WIDTH), bool))
    assert (logits < 0).all()


def test_a_point_after_a_mask_replaces_it(predictor: SAM2VideoPredictor, video: Video) -> None:
    state = predictor.init_state(video)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:30, 10:30] = True
    _, _, first = predictor.add_new_mask(state, 0, 1, mask)
    _, _, second = predictor.add_new_points_or_box(state, 0, 1, **CLICK)  # type: ignore[arg-type]
    assert not torch.equal(first, second)


def test_coordinates_as_tensors_lists_and_fractions(predictor: SAM2VideoPredictor, video: Video) -> None:
    points, labels = np.array([[54.0, 33.0], [90.0, 20.0]], np.float32), np.array([1, 0], np.int32)
    answers = []
    for p, lab, pixels in (
        (points, labels, True),
        (points.tolist(), labels.tolist(), True),
        (torch.from_numpy(points)[None], torch.from_numpy(labels)[None], True),
        (points / [WIDTH, HEIGHT], labels, False),
    ):
        state = predictor.init_state(video)
        answers.append(predictor.add_new_points_or_box(state, 0, 1, p, lab, normalize_coords=pixels)[2])
    for other in answers[1:]:
        assert largest([answers[0]], [other]) < 1e-3


def test_points_add_up_when_old_ones_are_kept(predictor: SAM2VideoPredictor, video: Video) -> None:
    one_by_one = clicked(predictor, video)
    more = {"points": [[90.0, 20.0]], "labels": [0]}
    predictor.add_new_points(one_by_one, 0, 1, clear_old_points=False, **more)
    assert one_by_one.session.tracks[1].prompts[0].labels.tolist() == [1, 0]
    predictor.add_new_points(one_by_one, 0, 1, **more)
    assert one_by_one.session.tracks[1].prompts[0].labels.tolist() == [0]


@pytest.mark.parametrize("tensors", [False, True])
def test_points_that_were_given_may_be_written_over(
    predictor: SAM2VideoPredictor, video: Video, tensors: bool
) -> None:
    place, label = np.array([[54, 33]], np.float32), np.array([1], np.int64)
    given = (torch.from_numpy(place), torch.from_numpy(label)) if tensors else (place, label)
    state = predictor.init_state(video)
    predictor.add_new_points_or_box(state, 0, 1, *given)
    place[:], label[:] = (90, 20), 0
    predictor.add_new_points_or_box(state, 0, 1, *given, clear_old_points=False)
    clicks = state.session.tracks[1].prompts[0]
    assert clicks.points.tolist() == [[54, 33], [90, 20]]
    assert clicks.labels.tolist() == [1, 0]


def test_sessions_are_saved_with_all_that_scripts_may_give(
    predictor: SAM2VideoPredictor, video: Video, tmp_path: Path
) -> None:
    state = predictor.init_state(video)
    predictor.add_new_points_or_box(state, 0, -3, points=[[54, 33], [0, 0]], labels=[1, -1])
    predictor.add_new_mask(state, 0, 2, (torch.rand(33, 47) > 0.5).T)  # not as it lies in memory
    for _ in range(2):
        state.session.save(tmp_path)
    assert len(list(tmp_path.glob("object--3-*"))) == 1
    resumed = VideoTracker(predictor.engine, state.session.options).resume(tmp_path, video)
    assert resumed.objects == [-3, 2]
    assert resumed.tracks[-3].prompts[0].labels.tolist() == [1, -1]
    expected, found = state.session.tracks[2].prompts[0].mask, resumed.tracks[2].prompts[0].mask
    assert np.array_equal(np.asarray(found), np.asarray(expected))


def test_objects_do_not_overlap_when_told_so(build: Build, video: Video) -> None:
    predictor = build("++model.non_overlap_masks=true")
    state = clicked(predictor, video[:3])
    predictor.add_new_points_or_box(state, 0, 2, **CLICK)  # type: ignore[arg-type]
    for logits in track(predictor, state).values():
        assert int((logits > 0).sum(0).max()) <= 1


def test_prompts_are_taken_off_a_frame(predictor: SAM2VideoPredictor, video: Video) -> None:
    state = clicked(predictor, video)
    predictor.add_new_points_or_box(state, 0, 2, **BOX)  # type: ignore[arg-type]
    answer = predictor.clear_all_prompts_in_frame(state, 0, 2)
    assert answer is not None
    frame, ids, logits = answer
    assert (frame, ids) == (0, [1, 2])
    assert (logits[1] == -1024).all()
    assert predictor.clear_all_prompts_in_frame(state, 0, 1, need_output=False) is None
    assert state["obj_ids"] == [1, 2]
    with pytest.raises(RuntimeError):
        list(predictor.propagate_in_video(state))


@pytest.mark.parametrize("legacy", [False, True])
def test_objects_left_without_prompts_are_absent(build: Build, video: Video, legacy: bool) -> None:
    predictor = build(legacy=legacy)
    state = clicked(predictor, video[:2])
    predictor.add_new_points_or_box(state, 1, 2, **BOX)  # type: ignore[arg-type]
    predictor.clear_all_prompts_in_frame(state, 1, 2)
    found = track(predictor, state)
    assert list(found) == [0, 1]
    assert all((x[0] != -1024).any() and (x[1] == -1024).all() for x in found.values())


@pytest.mark.parametrize("legacy", [False, True])
def test_an_object_is_removed(build: Build, video: Video, legacy: bool) -> None:
    predictor = build(legacy=legacy)
    state = clicked(predictor, video[:3])
    predictor.add_new_points_or_box(state, 2, 4, **BOX)  # type: ignore[arg-type]
    track(predictor, state)
    ids, updated = predictor.remove_object(state, 4)
    assert ids == state["obj_ids"] == [1]
    assert [t for t, _ in updated] == [2]
    assert updated[0][1].shape == (1, 1, HEIGHT, WIDTH)
    assert all(x.shape[0] == 1 for x in track(predictor, state).values())
    assert predictor.remove_object(state, 4) == ([1], [])
    with pytest.raises(PromptError, match="known objects: 1"):
        predictor.remove_object(state, 4, strict=True)
    assert predictor.remove_object(state, 1) == ([], [])


def test_removing_an_object_leaves_the_others_as_if_it_had_never_been(
    predictor: SAM2VideoPredictor, video: Video
) -> None:
    video = video[:3]
    both = clicked(predictor, video)
    predictor.add_new_points_or_box(both, 0, 2, **BOX)  # type: ignore[arg-type]
    predictor.remove_object(both, 2, need_output=False)
    alone = clicked(predictor, video)
    assert largest(track(predictor, both).values(), track(predictor, alone).values()) == 0


@pytest.mark.parametrize(
    "prompt",
    [
        {},
        {"points": [[1, 2]]},
        {"labels": [1]},
        {"points": [[1, 2]], "labels": [1, 0]},
        {"points": [1, 2, 3], "labels": [1]},
        {"points": "here", "labels": [1]},
        {"points": [[float("nan"), 2]], "labels": [1]},
        {"points": [[1, 2]], "labels": [4]},
        {"points": [[1, 2]], "labels": [float("nan")]},
        {"box": [1, 2, 3]},
        {"box": [1, 2, 3, float("nan")]},
        {"box": [1, 2, 3, 4], "clear_old_points": False},
    ],
)
def test_wrong_prompts_are_errors_and_leave_no_object(
    predictor: SAM2VideoPredictor, video: Video, prompt: dict[str, object]
) -> None:
    state = predictor.init_state(video)
    with pytest.raises(PromptError):
        predictor.add_new_points_or_box(state, 0, 1, **prompt)  # type: ignore[arg-type]
    assert state["obj_ids"] == []


@pytest.mark.parametrize(("frame", "object_id"), [(-1, 1), (FRAMES, 1), (0, "one"), (0, None), (0, True)])
def test_wrong_frames_and_ids_are_errors(
    predictor: SAM2VideoPredictor, video: Video, frame: int, object_id: int
) -> None:
    state = predictor.init_state(video)
    with pytest.raises(PromptError):
        predictor.add_new_points_or_box(state, frame, object_id, **CLICK)  # type: ignore[arg-type]


@pytest.mark.parametrize("frame", [-1, FRAMES, 1.5])
def test_tracking_cannot_start_on_other_frames(
    predictor: SAM2VideoPredictor, video: Video, frame: int
) -> None:
    state = predictor.init_state(video)
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)  # type: ignore[arg-type]
    with pytest.raises(PromptError):
        list(predictor.propagate_in_video(state, start_frame_idx=frame))


@pytest.mark.parametrize("object_id", [torch.tensor(1), np.array(1), True, 1.0])
def test_what_equals_an_id_and_is_none_finds_no_object(
    predictor: SAM2VideoPredictor, video: Video, object_id: Any
) -> None:
    state = predictor.init_state(video)
    for known in (1, 2):
        predictor.add_new_points_or_box(state, 0, known, points=[[30, 30]], labels=[1])
    for call in (
        lambda: predictor.clear_all_prompts_in_frame(state, 0, object_id),
        lambda: predictor.remove_object(state, object_id, strict=True),
    ):
        with pytest.raises(PromptError, match="There is no object"):
            call()
    assert predictor.remove_object(state, object_id) == ([1, 2], [])
    assert state["obj_ids"] == state.session.objects == [1, 2]


@pytest.mark.parametrize("count", [1.5, "2", [2]])
def test_tracking_goes_a_whole_number_of_frames(
    predictor: SAM2VideoPredictor, video: Video, count: Any
) -> None:
    state = predictor.init_state(video)
    predictor.add_new_points_or_box(state, 0, 1, points=[[30, 30]], labels=[1])
    with pytest.raises(PromptError, match="max_frame_num_to_track is"):
        next(predictor.propagate_in_video(state, max_frame_num_to_track=count))


@pytest.mark.parametrize(
    "mask", [np.zeros((0, 3), bool), np.zeros(3, bool), [[1, 2], [3]], torch.ones(2, 2).to_sparse()]
)
def test_wrong_masks_are_errors(predictor: SAM2VideoPredictor, video: Video, mask: object) -> None:
    state = predictor.init_state(video)
    with pytest.raises(PromptError):
        predictor.add_new_mask(state, 0, 1, mask)


def test_prompts_may_lie_outside_the_frame_as_published(predictor: SAM2VideoPredictor, video: Video) -> None:
    state = predictor.init_state(video)
    _, _, logits = predictor.add_new_points_or_box(state, 0, 1, points=[[-5.0, 500.0]], labels=[1])
    assert torch.isfinite(logits).all()


def test_a_folder_of_jpegs_and_a_video_file_open(
    predictor: SAM2VideoPredictor, video: Video, tmp_path: Path
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for t, image in enumerate(video):
        Image.fromarray(image).save(folder / f"{t:05d}.jpg", quality=95)
    with av.open(tmp_path / "clip.mp4", "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"  # type: ignore[attr-defined]
        for image in video:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))  # type: ignore[attr-defined]
        file.mux(stream.encode(None))  # type: ignore[attr-defined]
    for source in (str(folder), str(tmp_path / "clip.mp4")):
        state = predictor.init_state(source, async_loading_frames=True)
        assert (state["num_frames"], state["video_width"]) == (FRAMES, WIDTH)
        predictor.add_new_points_or_box(state, 0, 1, **CLICK)  # type: ignore[arg-type]
        assert len(track(predictor, state)) == FRAMES
        state.close()


def test_a_missing_video_is_one_of_our_errors(predictor: SAM2VideoPredictor) -> None:
    with pytest.raises(MediaError):
        predictor.init_state("no/such/video.mp4")
    with pytest.raises(MediaError, match="too long"):
        predictor.init_state("a" * 5000)
    assert issubclass(MediaError, EdgeTAMError)


def test_settings_reach_the_session(build: Build, video: Video) -> None:
    predictor = build(
        "++model.memory_temporal_stride_for_eval=2",
        "++model.max_cond_frames_in_attn=3",
        "++model.fill_hole_area=0",
        legacy=True,
        store="fp32",
    )
    options = clicked(predictor, video).session.options
    assert options == TrackerOptions(
        keep_corrections=False,
        fill_holes=0,
        joint=True,
        track_before_prompt=True,
        memory_stride=2,
        max_prompted=3,
        store="fp32",
    )
    assert isinstance(clicked(predictor, video).session, TrackingSession)


def test_published_attributes_change_settings(build: Build, video: Video) -> None:
    predictor = build()
    assert (predictor.fill_hole_area, predictor.binarize_mask_from_pts_for_mem_enc) == (8, True)
    state = clicked(predictor, video[:1])
    predictor.fill_hole_area = 3
    predictor.non_overlap_masks = True
    predictor.non_overlap_masks_for_mem_enc = True
    predictor.add_all_frames_to_correct_as_cond = True
    predictor.clear_non_cond_mem_around_input = True
    predictor.clear_non_cond_mem_for_multi_obj = True
    predictor.memory_temporal_stride_for_eval = 2
    predictor.max_cond_frames_in_attn = 4
    predictor.binarize_mask_from_pts_for_mem_enc = False
    track(predictor, state)
    assert state.session.options == TrackerOptions(
        keep_corrections=True,
        fill_holes=3,
        binarize_prompted=False,
        exclusive=True,
        exclusive_memory=True,
        track_before_prompt=True,
        memory_stride=2,
        max_prompted=4,
        clear_around_prompts=True,
        store="bf16",
    )
    assert predictor.non_overlap_masks is True
    assert predictor.settings.clear_non_cond_mem_for_multi_obj
    assert build().fill_hole_area == 8, "others keep theirs"


@pytest.mark.parametrize(
    ("name", "value"),
    [("fill_hole_area", -1), ("non_overlap_masks", "yes"), ("memory_temporal_stride_for_eval", 1.5)],
)
def test_published_attributes_refuse_what_they_cannot_be(build: Build, name: str, value: object) -> None:
    predictor = build()
    before = predictor.settings
    with pytest.raises(ConfigError, match=name):
        setattr(predictor, name, value)
    assert predictor.settings == before


def test_autocast_of_the_caller_changes_nothing(predictor: SAM2VideoPredictor, video: Video) -> None:
    plain = track(predictor, clicked(predictor, video[:2]))
    with torch.autocast("cpu", torch.bfloat16):
        cast = track(predictor, clicked(predictor, video[:2]))
    assert largest(plain.values(), cast.values()) == 0
