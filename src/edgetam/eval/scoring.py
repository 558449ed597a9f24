"""Scoring what was predicted for a data set, by the rules of its benchmark."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgetam.atomic import make_folder, output_error
from edgetam.eval.datasets import Dataset
from edgetam.eval.metrics import Scores, score_folder
from edgetam.eval.metrics.folder import Progress
from edgetam.eval.metrics.protocols import GroundTruth, find_protocol

__all__ = ["Scorer"]

_PLAIN = re.compile(r"([^{}*]*)\{video\}/(?:\{object\}/)?\{frame\}\.[*\w]+")


@dataclass(frozen=True)
class Scorer:
    """How a data set is scored.

    Attributes:
        dataset: with the ground truth.
        protocol: one of `edgetam.eval.metrics.PROTOCOLS`.
        work: a folder for links to the ground truth, used where it does not lie in folders of sequences.
        meta: the benchmark's description of its videos, where it is not beside the masks.
        groups: which categories or videos are unseen, where that is not beside the masks.
        lenient: score what is there and list what is not.
    """

    dataset: Dataset
    protocol: str
    work: Path
    meta: Path | None = None
    groups: Path | None = None
    lenient: bool = False

    def check(self) -> None:
        """Make sure, before hours of tracking, that what scoring needs is there.

        Raises:
            ConfigError: there is no such protocol.
            MediaError: masks or descriptions are missing.
        """
        truth = GroundTruth(self._truth(), None, self.meta, self.groups, self.dataset.names)
        find_protocol(self.protocol).plans(truth)

    def score(self, predictions: Path, *, jobs: int = 1, progress: Progress | None = None) -> Scores:
        """Score the predictions of all sequences.

        Raises:
            InputError: see `score_folder`.
        """
        return score_folder(
            self.protocol,
            self._truth(),
            predictions,
            meta=self.meta,
            groups=self.groups,
            sequences=self.dataset.names,
            lenient=self.lenient,
            jobs=jobs,
            progress=progress,
        )

    def images(self) -> Path | None:
        """The folder with a folder of frames per sequence; None where frames lie in another way."""
        return _plain_folder(self.dataset, self.dataset.layout.frames)

    def _truth(self) -> Path:
        """The folder with a folder of PNG files per sequence."""
        return _plain_folder(self.dataset, self.dataset.layout.masks) or _linked(self.dataset, self.work)


def _plain_folder(dataset: Dataset, pattern: str) -> Path | None:
    """The folder of sequences, where nothing but that is before the frames."""
    match = _PLAIN.fullmatch(pattern)
    return dataset.root / match[1] if match else None


def _linked(dataset: Dataset, folder: Path) -> Path:
    """Links to the ground truth, laid out as the metrics read it."""
    for name in dataset.names:
        video = dataset.video(name)
        for frame, files in video.truth.items():
            for item, path in files.items():
                link = make_folder(folder / name / item) / f"{video.frame_names[frame]}.png"
                try:
                    link.unlink(missing_ok=True)
                    link.symlink_to(path.absolute())
                except OSError as error:
                    raise output_error(link, error) from error
    return folder
