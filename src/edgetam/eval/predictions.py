"""Predicted masks on disk, in the form that servers and evaluators read.

A sequence appears in the folder only when all of it is written: what is there is finished, and an interrupted
run goes on with the next one.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edgetam.atomic import atomic_path, make_folder, output_error
from edgetam.errors import OutputError
from edgetam.eval.datasets.benchmarks import SubmissionForm
from edgetam.eval.datasets.video import EvalVideo
from edgetam.eval.trackers import Scores
from edgetam.io.masks import Mask, binary_png, palette_png

__all__ = ["Predictions", "SequenceWriter", "exclusive", "write_submission"]

_UNFINISHED = ".unfinished-"


class Predictions:
    """A folder with one folder of masks per sequence.

    Args:
        folder: where they lie.
        per_object: a folder of black-and-white PNG files for each object, which may overlap; otherwise one
            palette PNG per frame.
    """

    def __init__(self, folder: Path, *, per_object: bool) -> None:
        self.folder = folder
        self.per_object = per_object

    def __contains__(self, name: str) -> bool:
        return (self.folder / name).is_dir()

    @contextmanager
    def sequence(self, video: EvalVideo, objects: Iterable[int]) -> Iterator[SequenceWriter]:
        """Write a sequence; it takes its place when the block ends well, and vanishes otherwise.

        Raises:
            OutputError: the folder cannot be written.
        """
        place = self.folder / video.name
        make_folder(place.parent)
        work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.folder))
        try:
            yield SequenceWriter(work, video, tuple(objects), per_object=self.per_object)
            work.chmod(0o755)
            work.replace(place)
        except OSError as error:
            raise output_error(place, error) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)


class SequenceWriter:
    """Writes the frames of one sequence that are asked for."""

    def __init__(self, folder: Path, video: EvalVideo, objects: tuple[int, ...], *, per_object: bool) -> None:
        self._folder = folder
        self._video = video
        self._objects = objects
        self._per_object = per_object
        self._wanted = frozenset(video.written)
        self._names = {i: video.object_names().get(i, f"{i:03d}") for i in objects}

    def write(self, frame: int, scores: Mapping[int, Scores], size: tuple[int, int]) -> None:
        """Write one frame of (width, height) pixels, unless nobody asked for it.

        Raises:
            OutputError: an object id does not fit; the message names sequence and frame.
        """
        if frame not in self._wanted:
            return
        name = f"{self._video.frame_names[frame]}.png"
        width, height = size
        if not self._per_object:
            try:
                data = palette_png(exclusive(scores), height, width)
            except OutputError as error:
                raise OutputError(f"{self._video.where(frame)}: {error}") from error
            (self._folder / name).write_bytes(data)
            return
        for number in self._objects:
            mask = scores[number] > 0 if number in scores else np.zeros((height, width), bool)
            folder = self._folder / self._names[number]
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(binary_png(mask))


def exclusive(scores: Mapping[int, Scores]) -> dict[int, Mask]:
    """Masks that do not overlap: the highest positive score takes a pixel, the smaller id wins ties."""
    best: Scores | None = None
    owner = None
    for number in sorted(scores):
        if best is None or owner is None:
            best, owner = np.zeros_like(scores[number]), np.zeros(scores[number].shape, np.int32)
        higher = scores[number] > best
        best[higher] = scores[number][higher]
        owner[higher] = number
    return {number: owner == number for number in sorted(scores)} if owner is not None else {}


def write_submission(folder: Path, names: Iterable[str], form: SubmissionForm, target: Path) -> Path:
    """Pack predictions as a server takes them.

    Args:
        folder: of `Predictions`.
        names: the sequences.
        form: whether the videos or a folder ``Annotations`` stand at the top.
        target: the zip file; replaced in one step.

    Raises:
        OutputError: a sequence is missing, or the file cannot be written.
    """
    top = "Annotations/" if form == "Annotations" else ""
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            if not (folder / name).is_dir():
                raise OutputError(
                    f"Sequence '{name}' is not predicted yet; expected it in '{folder}' before packing."
                )
            for path in sorted((folder / name).rglob("*.png")):
                archive.write(path, f"{top}{path.relative_to(folder).as_posix()}")
    return target
