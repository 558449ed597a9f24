"""A run of the click protocol over a set of images, some dozens at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgetam.errors import EdgeTAMError, MediaError
from edgetam.eval.datasets.images import VOID, EvalImage, ImageSet, open_images
from edgetam.eval.datasets.video import void_hint
from edgetam.eval.protocols.clicks import Segmenter, click_scores
from edgetam.eval.results import ResultFolder
from edgetam.eval.running import Work

__all__ = ["SaJob", "mean_overlaps"]

PART = 50
"""Images per part: few enough that an interruption costs minutes, many enough that files stay few."""


@dataclass(frozen=True)
class SaJob:
    """What to click on and where to write the results; see `edgetam.eval.running.Job`.

    Attributes:
        root: see `open_images`.
        images: see `open_images`.
        make_segmenter: called once per process; must pickle.
        folder: gets one JSON file per part.
        clicks: numbers of clicks after which to score.
        foreground: see `open_images`.
    """

    root: Path
    images: Path | None
    make_segmenter: Callable[[], Segmenter]
    folder: Path
    clicks: tuple[int, ...] = (1, 5)
    foreground: bool = False

    @property
    def results(self) -> ResultFolder:
        """What is written."""
        return ResultFolder(self.folder)

    def parts(self) -> list[str]:
        """Names of the parts of the work: the number of their first image.

        Raises:
            MediaError: there are no images.
        """
        return [f"{first:07d}" for first in range(0, len(self._open().names), PART)]

    def pending(self) -> list[str]:
        """Parts that are not finished yet."""
        done = self.results
        return [name for name in self.parts() if name not in done]

    def check(self) -> None:
        """Make sure, before hours of clicking, that there is something to click on.

        Raises:
            MediaError: there are no images, or no masks on any of them.
        """
        images, hint = self._open(), ""
        for name in images.names:
            try:
                image = images[name]
            except MediaError:
                return  # its turn comes, and then it is named or left out
            if image.masks:
                return
            hint = hint if image.void is None else void_hint(VOID)
        raise MediaError(f"'{self.root}' has no masks on any of its images, expected at least one{hint}.")

    def start(self) -> Work:
        """Make the segmenter."""
        segmenter, images = self.make_segmenter(), self._open()
        return lambda part: self.results.write(part, self._score(segmenter, images, int(part)))

    def _open(self) -> ImageSet:
        return open_images(self.root, self.images, foreground=self.foreground)

    def _score(self, segmenter: Segmenter, images: ImageSet, first: int) -> list[dict[str, Any]]:
        names = images.names[first : first + PART]
        return [row for name in names for row in self._score_image(segmenter, images[name])]

    def _score_image(self, segmenter: Segmenter, image: EvalImage) -> Iterator[dict[str, Any]]:
        if image.masks:
            segmenter.set_image(image.pixels())
        for label, mask in image.masks.items():
            try:
                predicted, oracle = click_scores(segmenter, mask, self.clicks, image.void)
            except EdgeTAMError as error:
                raise type(error)(f"Image '{image.name}', mask {label}: {error}") from error
            about = {"image": image.name, "mask": label, "area": int(mask.sum())}
            yield {**about, "predicted": predicted, "oracle": oracle}


def mean_overlaps(rows: Iterable[dict[str, Any]], clicks: Sequence[int]) -> dict[str, dict[str, float]]:
    """Mean overlap over all masks, ``result["predicted"]["1"]`` and so on.

    Args:
        rows: what `SaJob` wrote.
        clicks: numbers of clicks.

    Raises:
        MediaError: there is not a single mask.
    """
    given = list(rows)
    if not given:
        raise MediaError("There are no masks on any of the images; expected at least one.")
    return {
        choice: {str(n): float(np.mean([row[choice][str(n)] for row in given])) for n in clicks}
        for choice in ("predicted", "oracle")
    }
