"""The ``inference_state`` that published scripts pass around."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edgetam.tracking import TrackingSession

__all__ = ["InferenceState"]


class InferenceState(Mapping[str, Any]):
    """One video and all that is known about its objects.

    It reads like the published dictionary for what scripts look up in it (``obj_ids``, ``num_frames``,
    ``video_height``, ``video_width`` and a few more), always up to date. The rest, such as memories, is in
    ``session``.

    Attributes:
        session: does the work.
        ids: all objects in the order they were added, those without prompts included.
        started: whether tracking has begun.
    """

    def __init__(self, session: TrackingSession) -> None:
        self.session = session
        self.ids: list[int] = []
        self.started = False

    def __getitem__(self, key: str) -> Any:
        if key not in _KEYS:
            raise KeyError(f"{key!r} is not kept; expected one of {', '.join(_KEYS)} (more is in .session)")
        return _KEYS[key](self)

    def __iter__(self) -> Iterator[str]:
        return iter(_KEYS)

    def __len__(self) -> int:
        return len(_KEYS)

    def close(self) -> None:
        """Close the video and delete what was kept of it."""
        self.session.close()


_KEYS: Mapping[str, Callable[[InferenceState], Any]] = {
    "images": lambda state: state.session.frames,
    "num_frames": lambda state: len(state.session),
    "video_height": lambda state: state.session.size[1],
    "video_width": lambda state: state.session.size[0],
    "obj_ids": lambda state: list(state.ids),
    "obj_id_to_idx": lambda state: {object_id: i for i, object_id in enumerate(state.ids)},
    "obj_idx_to_id": lambda state: dict(enumerate(state.ids)),
    "tracking_has_started": lambda state: state.started,
}
