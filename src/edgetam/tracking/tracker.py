"""The video tracker: opens sessions and streams on one engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from edgetam.engine.base import Engine
from edgetam.errors import InputError
from edgetam.io import open_frames
from edgetam.io.paths import as_path
from edgetam.tracking.limits import check_memory
from edgetam.tracking.options import TrackerOptions
from edgetam.tracking.session import TrackingSession
from edgetam.tracking.stream import Stream

__all__ = ["VideoTracker"]


class VideoTracker:
    """Tracks objects through videos.

    Args:
        model: an engine, from `edgetam.load_model`.
        options: how to track; see `TrackerOptions`.

    Raises:
        InputError: ``model`` is no engine, or its weights have no memory.
    """

    def __init__(self, model: Engine, options: TrackerOptions | None = None) -> None:
        check_memory(model)
        self.model = model
        self.options = TrackerOptions.of(options)

    def open(self, source: Any, *, on_bad_frame: Literal["stop", "skip"] = "stop") -> TrackingSession:
        """Open a video file, a folder of images, a sequence of arrays or images, or a `FrameSource`.

        Raises:
            MediaError: the source cannot be read.
        """
        return TrackingSession(self.model, open_frames(source, on_bad_frame=on_bad_frame), self.options)

    def resume(self, folder: str | Path, source: Any) -> TrackingSession:
        """Open ``source`` and go on from a session saved by `TrackingSession.save`.

        Raises:
            InputError: the folder holds no session, a damaged one, or one of another video or model.
            MediaError: the source cannot be read.
        """
        from edgetam.tracking.saving import restore_session

        place = as_path(folder, "The folder of the session", InputError)
        session = self.open(source)
        try:
            restore_session(session, place)
        except BaseException:
            session.close()
            raise
        return session

    def stream(self) -> Stream:
        """Start a live stream.

        Its memory stays constant, but for prompted frames without ``TrackerOptions(max_prompted=n)``.
        """
        return Stream(self.model, self.options)
