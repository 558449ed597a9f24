"""Promptable video segmentation: a simulated annotator clicks on the frames that went wrong.

Source: SAM 2 (arXiv 2408.00714), section 6.1 and appendix. Where the paper leaves a choice: scores are means
over all annotated frames from the first prompted one on, none left out, since none is given; and the offline
annotator does not come back to a frame before all have been prompted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edgetam.errors import EdgeTAMError
from edgetam.eval.datasets.video import EvalVideo
from edgetam.eval.metrics import frame_scores
from edgetam.eval.protocols.prompting import ask, click_away_errors
from edgetam.eval.trackers import TrackedVideo, Tracker
from edgetam.io.masks import Mask

__all__ = ["Annotator", "Outcome", "annotation_seconds", "offline", "online"]

EXAMINE_SECONDS = 30.0
"""To look through a video of `EXAMINED_FRAMES` frames once."""
EXAMINED_FRAMES = 300
LOCATE_SECONDS = 1.0
CLICK_SECONDS = 1.5


@dataclass(frozen=True)
class Annotator:
    """How the simulated annotator works.

    Attributes:
        frames: how many frames are prompted at most.
        clicks: how many clicks each of them gets.
        threshold: online, a frame is prompted where the overlap is below this.
    """

    frames: int = 8
    clicks: int = 3
    threshold: float = 0.75


class Outcome(NamedTuple):
    """How well one object is segmented after some frames were prompted."""

    prompted: tuple[int, ...]
    region: float
    boundary: float


class _Spot(NamedTuple):
    """A frame to be prompted, and what was found on it."""

    frame: int
    found: Mask


class _Truth:
    """Ground truth of one object, from the frame that is prompted first."""

    def __init__(self, video: EvalVideo, object_id: int, begin: int, size: tuple[int, int]) -> None:
        self.video = video
        self.object_id = object_id
        self.size = size
        self.frames = [frame for frame in video.annotated if frame >= begin]
        self._nothing = np.zeros(size[::-1], bool)
        self.start = _Spot(begin, self._nothing)

    def __getitem__(self, frame: int) -> Mask:
        mask = self.video.masks(frame).get(self.object_id, self._nothing)
        self.video.check_size(frame, mask, self.size)
        return mask


def offline(
    tracker: Tracker, video: EvalVideo, object_id: int, begin: int, annotator: Annotator
) -> list[Outcome]:
    """Track the whole video after every prompted frame, then prompt the one that is worst; one per round.

    Args:
        tracker: what to measure.
        video: frames and ground truth.
        object_id: the object; others are not looked at.
        begin: the frame prompted first, which must show it; see `EvalVideo.first_frames`.
        annotator: how many frames and clicks.

    Raises:
        MediaError: a frame or mask cannot be read, or they differ in size.
        PromptError: the tracker takes no clicks.
    """
    with _tracked(tracker, video, object_id, begin) as (tracked, truth):
        return _offline(tracked, truth, annotator)


def online(
    tracker: Tracker, video: EvalVideo, object_id: int, begin: int, annotator: Annotator
) -> list[Outcome]:
    """Go through the video once and prompt where the overlap is too small; one per allowed number of prompts.

    What was answered before a prompt stays as it was. Arguments and errors are those of `offline`.
    """
    outcomes: list[Outcome] = []
    for most in range(1, annotator.frames + 1):
        # where fewer prompts were enough, allowing more changes nothing
        if outcomes and len(outcomes[-1].prompted) < most - 1:
            outcomes.append(outcomes[-1])
            continue
        with _tracked(tracker, video, object_id, begin) as (tracked, truth):
            outcomes.append(_online(tracked, truth, annotator, most))
    return outcomes


def annotation_seconds(mode: str, length: int, prompted: int, clicks: int) -> float:
    """How long a person would take, by the paper's estimate.

    Args:
        mode: ``"offline"``, where the video is looked through before every prompted frame, or ``"online"``.
        length: frames of the video.
        prompted: prompted frames.
        clicks: clicks on each.
    """
    examine = EXAMINE_SECONDS * length / EXAMINED_FRAMES
    point = (LOCATE_SECONDS + CLICK_SECONDS * clicks) * prompted
    return examine * (prompted if mode == "offline" else 1) + point


@contextmanager
def _tracked(
    tracker: Tracker, video: EvalVideo, object_id: int, begin: int
) -> Iterator[tuple[TrackedVideo, _Truth]]:
    """Begin with a video; what goes wrong is said to have gone wrong there."""
    with video.open() as frames, closing(tracker.open(frames)) as tracked:
        truth = _Truth(video, object_id, begin, (frames.width, frames.height))
        try:
            yield tracked, truth
        except EdgeTAMError as error:
            raise type(error)(f"Sequence '{video.name}', object {object_id}: {error}") from error


def _offline(tracked: TrackedVideo, truth: _Truth, annotator: Annotator) -> list[Outcome]:
    outcomes: list[Outcome] = []
    prompted: tuple[int, ...] = ()
    spot = truth.start
    for _ in range(annotator.frames):
        _correct(tracked, truth, spot, annotator.clicks)
        prompted = (*prompted, spot.frame)
        scores, spot = _look_through(tracked, truth, prompted)
        outcomes.append(_outcome(prompted, scores))
    return outcomes


def _look_through(
    tracked: TrackedVideo, truth: _Truth, prompted: tuple[int, ...]
) -> tuple[list[tuple[float, float]], _Spot]:
    """Track to the end; keeps nothing but scores and the worst frame that can be prompted next."""
    candidates = set(truth.frames) - set(prompted) or set(truth.frames)
    scores: list[tuple[float, float]] = []
    lowest, spot = 2.0, truth.start
    for frame, objects in tracked.propagate(truth.start.frame):
        if frame not in truth.video.truth:
            continue
        found = objects[truth.object_id] > 0
        scores.append(frame_scores(found, truth[frame]))
        if frame in candidates and scores[-1][0] < lowest:
            lowest, spot = scores[-1][0], _Spot(frame, found)
    return scores, spot


def _online(tracked: TrackedVideo, truth: _Truth, annotator: Annotator, most: int) -> Outcome:
    prompted: list[int] = []
    scores: list[tuple[float, float]] = []
    spot: _Spot | None = truth.start
    while spot is not None:
        found = _correct(tracked, truth, spot, annotator.clicks)
        prompted.append(spot.frame)
        scores.append(frame_scores(found, truth[spot.frame]))
        threshold = annotator.threshold if len(prompted) < most else 0.0
        spot = _go_on(tracked, truth, spot.frame + 1, scores, threshold)
    return _outcome(tuple(prompted), scores)


def _go_on(
    tracked: TrackedVideo, truth: _Truth, start: int, scores: list[tuple[float, float]], threshold: float
) -> _Spot | None:
    """Track on and score, up to a frame whose overlap is too small; none when the end is reached."""
    if start == len(truth.video.frame_names):
        return None
    for frame, objects in tracked.propagate(start):
        if frame not in truth.video.truth:
            continue
        found = objects[truth.object_id] > 0
        region, boundary = frame_scores(found, truth[frame])
        if region < threshold:
            return _Spot(frame, found)
        scores.append((region, boundary))
    return None


def _correct(tracked: TrackedVideo, truth: _Truth, spot: _Spot, clicks: int) -> Mask:
    click = ask(tracked, spot.frame, truth.object_id)
    return click_away_errors(click, truth[spot.frame], spot.found, clicks)


def _outcome(prompted: tuple[int, ...], scores: list[tuple[float, float]]) -> Outcome:
    region, boundary = np.mean(scores, axis=0)
    return Outcome(prompted, float(region), float(boundary))
