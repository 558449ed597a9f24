"""Segment anything: how well an object in an image is found from one click, and from a few.

Source: SAM (arXiv 2304.02643), section 7.1, and SAM 2 (arXiv 2408.00714), section 6.3. The first click is in
the middle of the object and gets several answers; every further one is in the middle of the deepest error of
the answer before it, which is refined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edgetam.eval.metrics import region_similarity
from edgetam.io.masks import Mask
from edgetam.train.clicks import Click, centre_click_from_error

__all__ = ["Answer", "ClickScores", "Segmenter", "click_scores"]


class Answer(Protocol):
    """Candidates for one prompt, as `edgetam.tracking.ImageResult` has them."""

    @property
    def masks(self) -> NDArray[np.bool_]:
        """``[M, H, W]`` at the size of the image."""
        ...

    @property
    def scores(self) -> NDArray[np.float32]:
        """How good each is thought to be, ``[M]``."""
        ...

    @property
    def logits(self) -> Any:
        """``[M, ...]``; one of them is given back to be refined."""
        ...


class Segmenter(Protocol):
    """Answers clicks on an image; `edgetam.ImageSegmenter` is one."""

    def set_image(self, image: Any) -> None:
        """Look at an image, uint8 ``[H, W, 3]``."""
        ...

    def predict(
        self,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
        *,
        multimask: bool = True,
    ) -> Answer:
        """Answer all clicks so far; ``mask`` is the logits of the answer before."""
        ...


class ClickScores(NamedTuple):
    """Overlap with the truth by number of clicks.

    Attributes:
        predicted: where the first answer is the candidate with the highest score of its own.
        oracle: where it is the candidate that is best in truth, which no user gets.
    """

    predicted: dict[int, float]
    oracle: dict[int, float]


def click_scores(
    segmenter: Segmenter, truth: Mask, clicks: Sequence[int], void: Mask | None = None
) -> ClickScores:
    """Click on an object of the image that is set.

    Args:
        segmenter: has seen the image.
        truth: where the object is, ``[H, W]``, not empty.
        clicks: numbers of clicks after which to score, from 1.
        void: pixels that are not judged, ``[H, W]``.

    Raises:
        PromptError: ``truth`` is empty or of another size than the image.
    """
    judged = np.ones_like(truth) if void is None else ~void
    truth = truth & judged
    first = centre_click_from_error(np.zeros_like(truth), truth)
    candidates = segmenter.predict([[first.x, first.y]], [first.label], multimask=True)
    overlaps = [region_similarity(mask & judged, truth) for mask in candidates.masks]
    chosen, best = int(np.argmax(candidates.scores)), int(np.argmax(overlaps))
    runs = {}
    for choice in {chosen, best}:
        run = [overlaps[choice]]
        if max(clicks) > 1:
            mask, logits = candidates.masks[choice], candidates.logits[choice]
            run += _refine(segmenter, truth, judged, [first], mask, logits, max(clicks))
        runs[choice] = run
    return ClickScores({n: runs[chosen][n - 1] for n in clicks}, {n: runs[best][n - 1] for n in clicks})


def _refine(
    segmenter: Segmenter, truth: Mask, judged: Mask, given: list[Click], mask: Mask, logits: Any, most: int
) -> list[float]:
    """Overlaps after the second click, the third, and so on."""
    overlaps = []
    while len(given) < most:
        given = [*given, centre_click_from_error(mask & judged, truth)]
        points, labels = [[c.x, c.y] for c in given], [c.label for c in given]
        answer = segmenter.predict(points, labels, mask=logits, multimask=False)
        mask, logits = answer.masks[0], answer.logits[0]
        overlaps.append(region_similarity(mask & judged, truth))
    return overlaps
