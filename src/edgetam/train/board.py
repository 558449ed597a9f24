"""Curves and pictures for TensorBoard."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.atomic import make_folder

__all__ = ["Board", "open_board"]

logger = logging.getLogger("edgetam")


class Board:
    """Appends to an event file.

    Everything is on the disk when a call returns. tensorboardX's own writer hands events to a thread by a
    queue of ten places: when the thread dies, of a full disk for instance, training would wait for ever.

    Args:
        folder: created where it is missing.
        step: where the run is; TensorBoard forgets what an earlier run showed beyond it.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2, summary_pb2

        self._events, self._summaries = event_pb2, summary_pb2
        self._writer: Any = EventsWriter(str(make_folder(folder) / "events"))
        if step:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(step + 1, session_log=start)

    def curves(self, step: int, values: dict[str, float]) -> None:
        """Add a point to each of some curves."""
        points = [self._summaries.Summary.Value(tag=name, simple_value=v) for name, v in values.items()]
        self._write(step, summary=self._summaries.Summary(value=points))

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Show ``[H, W, 3]``."""
        _, data = cv2.imencode(".png", image[..., ::-1])
        height, width = image.shape[:2]
        shown = self._summaries.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=data.tobytes()
        )
        value = self._summaries.Summary.Value(tag=name, image=shown)
        self._write(step, summary=self._summaries.Summary(value=[value]))

    def close(self) -> None:
        """Let go of the file."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, step: int, **what: Any) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write_event(self._events.Event(wall_time=time.time(), step=step, **what))
            self._writer.flush()
        except OSError as error:
            logger.warning("TensorBoard's file cannot be written (%s); there are no more curves.", error)
            self._writer = None


def open_board(folder: Path, step: int) -> Board | None:
    """A board, or nothing where tensorboardX is not installed."""
    try:
        return Board(folder, step)
    except ImportError:
        return None
