"""YouTube-VOS 2018 and 2019."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgetam.errors import InputError, MediaError
from edgetam.eval.metrics.labels import Reader
from edgetam.eval.metrics.measures import Measure, jf, small_f
from edgetam.eval.metrics.problems import where
from edgetam.eval.metrics.protocols.base import (
    GroundTruth,
    Plan,
    frames_in,
    in_time,
    score_scheduled,
    scored_objects,
)
from edgetam.eval.metrics.protocols.meta import describing, find, read_json, videos
from edgetam.eval.metrics.scores import ObjectScores, mean_of
from edgetam.io.images import natural_key

__all__ = ["YouTubeVos"]

_CATEGORIES = '{"seen": [...], "unseen": [...]}'


@dataclass(frozen=True)
class YouTubeVos:
    """Objects of ``meta.json``, apart for seen and unseen categories; G is the mean of the four means.

    The server's program has not been published. By default frames and sizes are those of a third party that
    cites it: all frames listed for an object but the first, and F on masks of 360 pixels on the shorter
    side. ``native`` is the rule of ``visionml/pytracking``: all annotated frames after an object's first
    and before the last of the video, and F at full size. Neither has been compared with the server.
    """

    native: bool = False
    """Whether pytracking's rule is used."""
    strict_videos = False

    def masks(self, truth: GroundTruth) -> Path:
        """Return ``Annotations``, or the folder itself."""
        return truth.masks("Annotations")

    def plans(self, truth: GroundTruth) -> list[Plan]:
        """Plan the videos of the meta file.

        Raises:
            InputError: a category is neither seen nor unseen.
        """
        group_of = _groups(truth)
        root = self.masks(truth)
        plans = []
        for name, entry in videos(truth).items():
            annotated = frames_in(root / name)
            if not annotated:
                raise MediaError(
                    f"{where(name)}: '{root / name}' has no PNG files; expected the annotations."
                )
            with describing(name):
                schedule = {item: self._frames(about, annotated) for item, about in entry["objects"].items()}
                groups = _groups_of(name, entry, group_of)
            plans.append(Plan(name, annotated, schedule, groups))
        return plans

    def _frames(self, about: Mapping[str, Any], annotated: Sequence[str]) -> tuple[str, ...]:
        listed = in_time(about["frames"])
        if self.native:
            first = natural_key(listed[0])
            return tuple(frame for frame in annotated[:-1] if natural_key(frame) > first)
        return listed[1:]

    def score(self, plan: Plan, reader: Reader) -> list[ObjectScores]:
        """Score one video."""
        measure: Measure = jf if self.native else small_f
        return scored_objects(plan, reader, score_scheduled(plan, reader, measure))

    def summarize(self, objects: Sequence[ObjectScores]) -> dict[str, float]:
        """Return G and the means of J and F over seen and over unseen objects."""
        means = {
            f"{name}-{group}": mean_of(entry.scores[name] for entry in objects if entry.group == group)
            for group in ("seen", "unseen")
            for name in ("J", "F")
        }
        return {"G": sum(means.values()) / 4, **means}


def _groups_of(video: str, entry: Mapping[str, Any], group_of: Callable[[str], str | None]) -> dict[str, str]:
    """Return whether each object of a video is of a seen category."""
    groups = {}
    for item, about in entry["objects"].items():
        group = group_of(about["category"])
        if group is None:
            raise InputError(
                f"{where(video, item=item)}: nothing says whether category '{about['category']}' is seen "
                "or unseen; add it to the file of categories."
            )
        groups[item] = group
    return groups


def _groups(truth: GroundTruth) -> Callable[[str], str | None]:
    """Return what tells whether a category is seen: a list of both, or the meta file of the training set."""
    path = find(truth, truth.groups, ("categories.json",), "--groups")
    content = read_json(path)
    if isinstance(content, dict) and {"seen", "unseen"} <= content.keys():
        return {name: group for group in ("seen", "unseen") for name in content[group]}.get
    if isinstance(content, dict) and isinstance(content.get("videos"), dict):
        objects = [about for video in content["videos"].values() for about in video["objects"].values()]
        trained = {about["category"] for about in objects}
        return lambda category: "seen" if category in trained else "unseen"
    raise MediaError(
        f"'{path}' lists no categories; expected {_CATEGORIES}, or the meta file of the training set."
    )
