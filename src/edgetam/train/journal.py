"""The log of a run: lines of JSON, and TensorBoard's curves and pictures."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetam.atomic import atomic_write, output_error
from edgetam.train.board import open_board
from edgetam.train.progress import Report

__all__ = ["BOARD", "LOG", "Journal"]

logger = logging.getLogger("edgetam")

LOG = "log.jsonl"
BOARD = "tensorboard"


class Journal:
    """Appends to ``log.jsonl`` and ``tensorboard/`` in a folder.

    Args:
        folder: of the run.
        step: where the run is; lines beyond it, of a run that was killed, are dropped, as those steps are
            done again.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / LOG
        if self.path.exists():
            lines = [line for line in self.path.read_text().splitlines() if _step(line) <= step]
            atomic_write(self.path, "".join(f"{line}\n" for line in lines).encode())
        self.board = open_board(folder / BOARD, step)

    def report(self, report: Report) -> None:
        """Write a report down."""
        self._append(
            step=report.step,
            stage=report.stage,
            minutes=round(report.minutes, 3),
            **report.losses,
            clips_per_second=round(report.clips_per_second, 3),
            waiting=round(report.waiting, 4),
            broken=report.broken,
        )
        speed = {"speed/clips_per_second": report.clips_per_second, "speed/waiting": report.waiting}
        self._curves(report.step, {**{f"loss/{k}": v for k, v in report.losses.items()}, **speed})

    def scores(self, step: int, scores: dict[str, float]) -> None:
        """Write the results of an evaluation down."""
        self._append(step=step, scores=scores)
        self._curves(step, {f"score/{name}": value for name, value in scores.items()})

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Show ``[H, W, 3]`` in TensorBoard."""
        if self.board is not None:
            self.board.picture(step, name, image)

    def close(self) -> None:
        """Let go of the files."""
        if self.board is not None:
            self.board.close()

    def _curves(self, step: int, values: dict[str, float]) -> None:
        if self.board is not None:
            self.board.curves(step, values)

    def _append(self, **line: Any) -> None:
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:  # a line is not worth a run
            logger.warning("%s Training goes on.", output_error(self.path, error))


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # half a line, from when the run was killed
