"""``SAM2VideoPredictor`` on a `TrackingSession`."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgetam.compat.base import Option, SAM2Base, to_array, to_labels
from edgetam.compat.errors import StateError
from edgetam.compat.settings import Settings
from edgetam.compat.state import InferenceState
from edgetam.engine import Engine
from edgetam.errors import PromptError
from edgetam.io import FrameSource, open_frames
from edgetam.io.images import ImageFrames, folder_images
from edgetam.io.paths import look_at
from edgetam.tracking import TrackingSession
from edgetam.tracking.prompts import BOX_LABELS, Clicks
from edgetam.tracking.records import FrameRecord
from edgetam.tracking.results import frame_logits
from edgetam.tracking.step import absent_record

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["SAM2VideoPredictor"]

Answer = tuple[int, list[int], Tensor]
"""Frame, object ids, and mask logits ``[N, 1, H, W]`` at the size of the video."""


class SAM2VideoPredictor(SAM2Base):
    """The published video predictor's methods.

    Objects are independent of each other, as in SAM 2 since December 2024: they may be added at any time.
    With ``legacy`` they share their prompted frames, as in the published EdgeTAM and the first SAM 2: what
    is prompted for one object is a prompted frame of all, and no object can be added once tracking began.

    Different from both, on purpose: holes are really filled on a CPU too (``fill_hole_area``); several
    objects work with ``legacy``; clearing memory around prompts works without it; masks too thin or too soft
    for the network's input size are still objects; objects left without prompts are yielded as -1024, and are
    no error; the caller's ``torch.autocast`` changes nothing, ``precision`` of the builders does; videos are
    read frame by frame, so that the ``offload`` and ``async`` flags have nothing to do.

    The published attributes (``fill_hole_area``, ``non_overlap_masks``, ...) read and change ``settings``.

    Args:
        engine: from `edgetam.load_model`.
        settings: options by their published names.
        legacy: the semantics of the published EdgeTAM predictor.
        store: precision memories are kept in.
    """

    add_all_frames_to_correct_as_cond = Option()
    clear_non_cond_mem_around_input = Option()
    clear_non_cond_mem_for_multi_obj = Option()
    fill_hole_area = Option()
    non_overlap_masks = Option()

    def __init__(
        self,
        engine: Engine,
        settings: Settings | None = None,
        *,
        legacy: bool = False,
        store: Literal["bf16", "fp32"] = "bf16",
    ) -> None:
        super().__init__(engine, settings)
        self.legacy = legacy
        self.store: Literal["bf16", "fp32"] = store

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> Self:
        """Load a repository of the Hugging Face hub; see ``build_sam2_video_predictor_hf``."""
        from edgetam.compat.build import build_sam2_video_predictor_hf

        built = build_sam2_video_predictor_hf(model_id, **kwargs)
        return cls(built.engine, built.settings, legacy=built.legacy, store=built.store)

    def init_state(
        self,
        video_path: Any,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = False,
    ) -> InferenceState:
        """Open a video.

        Args:
            video_path: a video file or a folder of images, which are taken as they are stored, whatever
                their EXIF orientation, as SAM 2 takes them; arrays work too, see `edgetam.io.open_frames`.
            offload_video_to_cpu: as good as always true.
            offload_state_to_cpu: as good as always true.
            async_loading_frames: frames are read when they are needed.

        Raises:
            MediaError: the video cannot be read.
        """
        options = self.settings.tracker_options(legacy=self.legacy, objects=0, store=self.store)
        return InferenceState(TrackingSession(self.engine, _open(video_path), options))

    def add_new_points_or_box(
        self,
        inference_state: InferenceState,
        frame_idx: int,
        obj_id: int,
        points: Any = None,
        labels: Any = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: Any = None,
    ) -> Answer:
        """Click on an object, or draw a box around it.

        Args:
            inference_state: from `init_state`.
            frame_idx: index of the frame.
            obj_id: a number; a new one adds an object.
            points: ``[P, 2]``, x before y.
            labels: ``[P]``, 1 for the object and 0 for anything else.
            clear_old_points: forget earlier points of this object on this frame.
            normalize_coords: coordinates are pixels of the video; if false, fractions of its sides.
            box: x0, y0, x1, y1.

        Returns:
            The frame, all objects and their logits there, -1024 for those nothing is known about.

        Raises:
            PromptError: neither points nor a box; points without labels; a box on top of earlier points.
            StateError: with ``legacy``, a new object after tracking began.
        """
        clicks = _read_clicks(points, labels, box)
        if box is not None and not clear_old_points:
            raise PromptError(
                "A box was given with clear_old_points=False; expected the box first, so leave that out."
            )
        if not normalize_coords:
            width, height = inference_state.session.size
            clicks = Clicks(clicks.points * np.array([width, height], np.float32), clicks.labels)
        return self._apply(inference_state, frame_idx, obj_id, clicks, replace=clear_old_points)

    def add_new_points(self, *args: Any, **kwargs: Any) -> Answer:
        """`add_new_points_or_box` by its first name."""
        return self.add_new_points_or_box(*args, **kwargs)

    def add_new_mask(self, inference_state: InferenceState, frame_idx: int, obj_id: int, mask: Any) -> Answer:
        """Show where an object is: ``mask`` is ``[H, W]`` of any size, non-zero inside.

        Returns:
            As `add_new_points_or_box`; logits are -10 and 10 here.

        Raises:
            PromptError: the mask does not have two dimensions.
            StateError: with ``legacy``, a new object after tracking began.
        """
        # as published: tensors are taken as they are, anything else is true or false
        array = to_array(mask, np.float32 if isinstance(mask, Tensor) else np.bool_, "mask")
        if array.ndim != 2 or not array.size:
            raise PromptError(f"mask has shape {array.shape}; expected (height, width).")
        return self._apply(inference_state, frame_idx, obj_id, Clicks(mask=array), replace=True)

    def propagate_in_video_preflight(self, inference_state: InferenceState) -> None:
        """Remember the answers to all prompts; `propagate_in_video` does it by itself.

        Raises:
            StateError: nothing has been prompted.
        """
        self._refresh(inference_state)
        inference_state.session.commit()
        if not _prompted_frames(inference_state):
            raise StateError("No object has been prompted; add points, a box or a mask first.")
        inference_state.started = True

    def propagate_in_video(
        self,
        inference_state: InferenceState,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
    ) -> Iterator[Answer]:
        """Track all objects.

        Args:
            inference_state: from `init_state`.
            start_frame_idx: the earliest prompted frame by default, in reverse too.
            max_frame_num_to_track: how far to go; as published, n visits n + 1 frames.
            reverse: towards the first frame; as published, nothing is yielded when starting from there.

        Yields:
            As `add_new_points_or_box`, frame by frame.

        Raises:
            StateError: nothing has been prompted.
            PromptError: there is no such frame, or ``max_frame_num_to_track`` is no whole number.
        """
        self.propagate_in_video_preflight(inference_state)
        session = inference_state.session
        start = min(_prompted_frames(inference_state)) if start_frame_idx is None else start_frame_idx
        session.check_frame(start)
        reach = len(session) if max_frame_num_to_track is None else max_frame_num_to_track
        try:
            reach = operator.index(reach)  # scripts may have it in an array or a tensor
        except TypeError as error:
            raise PromptError(f"max_frame_num_to_track is {reach!r}; expected a whole number.") from error
        if reverse:
            frames = range(start, max(start - reach, 0) - 1, -1) if start > 0 else range(0)
        else:
            frames = range(start, min(start + reach, len(session) - 1) + 1)
        for frame in frames:
            self._refresh(inference_state)
            session.advance(frame, reverse=reverse)
            yield self._answer(inference_state, frame)

    def clear_all_prompts_in_frame(
        self, inference_state: InferenceState, frame_idx: int, obj_id: int, need_output: bool = True
    ) -> Answer | None:
        """Take an object's prompts off a frame; the object stays, even without any prompt.

        Raises:
            PromptError: there is no such object or frame.
        """
        self._check_known(inference_state, obj_id)
        session = inference_state.session
        session.check_frame(frame_idx)
        if obj_id in session.tracks:
            session.remove_prompts(frame_idx, obj_id)
        return self._answer(inference_state, frame_idx) if need_output else None

    def reset_state(self, inference_state: InferenceState) -> None:
        """Forget all objects; the video stays open."""
        inference_state.session.reset()
        inference_state.ids.clear()
        inference_state.started = False

    def remove_object(
        self, inference_state: InferenceState, obj_id: int, strict: bool = False, need_output: bool = True
    ) -> tuple[list[int], list[tuple[int, Tensor]]]:
        """Forget an object.

        Returns:
            The objects that are left, and the frames it was prompted on with the logits of those left.

        Raises:
            PromptError: ``strict``, and there is no such object.
        """
        if strict:
            self._check_known(inference_state, obj_id)
        if not _knows(inference_state, obj_id):
            return list(inference_state.ids), []
        if len(inference_state.ids) == 1:
            self.reset_state(inference_state)
            return [], []
        frames = self._forget(inference_state, obj_id)
        updated = [(t, self._answer(inference_state, t)[2]) for t in frames] if need_output else []
        return list(inference_state.ids), updated

    def _forget(self, state: InferenceState, obj_id: int) -> list[int]:
        """Drop an object; returns the frames it was prompted on."""
        session = state.session
        state.ids.remove(obj_id)
        if obj_id not in session.tracks:
            return []
        frames = sorted(session.tracks[obj_id].prompts)
        session.remove_object(obj_id)
        return frames

    def _apply(
        self, state: InferenceState, frame: int, obj_id: int, clicks: Clicks, *, replace: bool
    ) -> Answer:
        session = state.session
        session.check_frame(frame)
        if not _is_whole(obj_id):
            raise PromptError(f"obj_id is {obj_id!r}; expected a whole number.")
        obj_id = int(obj_id)
        if self.legacy and state.started and obj_id not in state.ids:
            known = ", ".join(map(str, state.ids))
            raise StateError(
                f"Object {obj_id} cannot be added after tracking began, only {known} can be prompted; "
                "call reset_state first, or build the predictor without legacy=True."
            )
        self._refresh(state)
        session.apply(frame, obj_id, clicks, replace=replace)
        if obj_id not in state.ids:
            state.ids.append(obj_id)
        return self._answer(state, frame)

    def _refresh(self, state: InferenceState) -> None:
        """What the session does may depend on how many objects there are."""
        options = self.settings.tracker_options(legacy=self.legacy, objects=len(state.ids), store=self.store)
        state.session.options = options

    def _check_known(self, state: InferenceState, obj_id: int) -> None:
        if not _knows(state, obj_id):
            known = ", ".join(map(str, state.ids)) or "none"
            raise PromptError(f"There is no object {obj_id!r}; known objects: {known}.")

    def _answer(self, state: InferenceState, frame: int) -> Answer:
        """Logits of all objects on a frame, at the size of the video."""
        session = state.session
        width, height = session.size
        records: dict[int, FrameRecord] = {}
        for object_id in state.ids:
            track = session.tracks.get(object_id)
            records[object_id] = (track and track.latest(frame)) or absent_record(self.engine)
        if not records:
            return frame, [], torch.zeros(0, 1, height, width, device=self.device)
        planes = frame_logits(records, session.size, exclusive=self.settings.non_overlap_masks)
        return frame, list(state.ids), torch.from_numpy(np.stack(list(planes)))[:, None].to(self.device)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _knows(state: InferenceState, obj_id: Any) -> bool:
    """Whether there is such an object; tensors of one number equal it, but find nothing in the session."""
    return _is_whole(obj_id) and obj_id in state.ids


def _read_clicks(points: Any, labels: Any, box: Any) -> Clicks:
    """Prompts as published scripts give them; coordinates may lie anywhere."""
    if (points is None) != (labels is None):
        given, missing = ("labels", "points") if points is None else ("points", "labels")
        raise PromptError(f"{given} were given without {missing}; pass both.")
    if points is None and box is None:
        raise PromptError("The prompt is empty; give points with labels, or a box.")
    places, marks = np.zeros((0, 2), np.float32), np.zeros(0, np.int64)
    if points is not None:
        places, marks = _read_points(points, labels)
    if box is not None:
        corners = to_array(box, np.float32, "box")
        if corners.size != 4:
            raise PromptError(f"box has {corners.size} numbers; expected x0, y0, x1, y1.")
        places = np.concatenate([corners.reshape(2, 2), places])
        marks = np.concatenate([np.array(BOX_LABELS, np.int64), marks])
    return Clicks(places, marks)


def _read_points(points: Any, labels: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    places = to_array(points, np.float32, "points")
    marks = to_labels(labels, "labels").reshape(-1)
    if places.ndim == 3 and len(places) == 1:
        places = places[0]
    if places.ndim != 2 or places.shape[1] != 2 or len(marks) != len(places):
        raise PromptError(
            f"points have shape {places.shape} with {len(marks)} labels; expected (P, 2) with P labels."
        )
    return places, marks


def _prompted_frames(state: InferenceState) -> set[int]:
    return {t for track in state.session.tracks.values() for t in track.prompted}


def _open(video: Any) -> FrameSource:
    if isinstance(video, (str, os.PathLike)) and look_at(video) == "folder":
        folder = Path(video)
        return ImageFrames(folder_images(folder), name=folder.resolve().name, upright=False)
    return open_frames(video)
