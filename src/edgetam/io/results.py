"""Results out: everything a run writes into its folder, frame by frame.

::

    folder/
      masks/00000.png        png      palette PNG, a pixel's value is the object id
      objects/001/00000.png  objects  one black-and-white PNG per object
      masks.json             coco     COCO RLE with frame numbers, times, scores and presence
      npz/00000.npz          npz      bit-packed masks with ids, presence, score and time
      overlay.mp4            overlay  H.264 video with the masks painted in
      cutout/00000.png       cutout   the objects on transparent ground
      .edgetam/              what a resumed run needs: a journal of frames, overlay pictures that wait
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetam.atomic import make_folder
from edgetam.errors import ConfigError, EdgeTAMError, OutputError
from edgetam.io.coco import CocoWriter, coco_object
from edgetam.io.journal import Journal
from edgetam.io.overlay_video import OverlayWriter
from edgetam.io.paths import as_path
from edgetam.io.writers import CutoutWriter, NpzWriter, ObjectsWriter, PaletteWriter, Writer
from edgetam.structs import FrameResult

__all__ = ["PLACES", "SAVE_KINDS", "ResultWriter", "VideoInfo"]

_LOG = logging.getLogger("edgetam")
PLACES = {
    "png": "masks",
    "objects": "objects",
    "coco": "masks.json",
    "npz": "npz",
    "overlay": "overlay.mp4",
    "cutout": "cutout",
}
"""What each kind of result is called in the folder."""
SAVE_KINDS = tuple(PLACES)
_USUAL_FPS = 25.0  # for the overlay of a source without times or frame rate
_NEED_IMAGE = {"overlay", "cutout"}


@dataclass(frozen=True)
class VideoInfo:
    """What results are about.

    Attributes:
        name: of the video or folder.
        width: pixels.
        height: pixels.
        fps: frames per second, when known.
        frames: how many there are, when known.
    """

    name: str
    width: int
    height: int
    fps: float | None = None
    frames: int | None = None


class ResultWriter:
    """Writes the results of one video in any of `SAVE_KINDS`, frames in any order.

    Each file appears whole or not at all, and a frame counts as done once all its files are there. A frame
    that is written again replaces the earlier one. ``masks.json`` and ``overlay.mp4`` are completed on
    close; leaving the ``with`` block by an error or Ctrl-C completes them with what there is.

    Args:
        folder: created when missing.
        kinds: one or more of `SAVE_KINDS`.
        info: what the results are about.
        frame_names: names of the frames (of image files, say); results take their stems.
        resume: go on in a folder that an earlier run left; `done` holds its frames. Otherwise what an
            earlier run wrote there is removed.

    Raises:
        ConfigError: an unknown kind, or frame names that would overwrite each other.
        OutputError: the folder cannot be written, or holds results of another video (when resuming).
    """

    def __init__(
        self,
        folder: str | Path,
        kinds: Iterable[str],
        info: VideoInfo,
        *,
        frame_names: Sequence[str] | None = None,
        resume: bool = False,
    ):
        self.kinds = _checked_kinds(kinds)
        if not isinstance(info, VideoInfo):
            raise OutputError(f"info is a {type(info).__name__}; expected VideoInfo(name, width, height).")
        self.info = info
        self._names = None if frame_names is None else _checked_names(frame_names)
        self.folder = make_folder(as_path(folder, "The folder of the results", OutputError))
        self._hidden = self.folder / ".edgetam"
        about = {"name": info.name, "width": info.width, "height": info.height}
        if not resume:
            self._forget_earlier()
        self._journal = Journal(self._hidden / "journal.jsonl", about, resume=resume, is_sound=_is_sound)
        self._writers = {kind: self._make(kind, self._journal) for kind in self.kinds}
        self.done = self._find_done()
        self._closed = False

    @property
    def paths(self) -> dict[str, Path]:
        """Where each kind of result is."""
        return {kind: writer.path for kind, writer in self._writers.items()}

    def write(self, result: FrameResult, image: npt.NDArray[np.uint8] | None = None) -> None:
        """Write one frame.

        Args:
            result: bool masks at the size of the video.
            image: uint8 RGB ``[H, W, 3]``; may be left out when neither "overlay" nor "cutout" is wanted.

        Raises:
            OutputError: the disk is full, a mask has another size or type, or an id is above 255 for "png".
        """
        if self._closed:
            raise OutputError(f"The results in '{self.folder}' are closed; open them again with resume=True.")
        self._check(result, image)
        shown = np.zeros((self.info.height, self.info.width, 3), np.uint8) if image is None else image
        entry = self._entry(result)
        if result.frame in self._journal:
            earlier = self._journal[result.frame]
            self._forget_objects(earlier, result)
            # files of kinds that are not wanted this time stay, and must not be lost sight of
            entry["kinds"] += [kind for kind in earlier["kinds"] if kind not in self.kinds]
        for writer in self._writers.values():
            writer.write(entry["name"], result, shown)
        self._journal.add(entry)
        self.done.add(result.frame)

    def close(self) -> None:
        """Complete all files.

        Raises:
            OutputError: one of them cannot be written; the others are complete.
        """
        self._close(finished=True)

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._close(finished=True)
            return
        try:
            self._close(finished=False)
        except EdgeTAMError as second:  # the first error is the one that matters
            _LOG.warning("The results in '%s' are incomplete: %s", self.folder, second)

    def _close(self, *, finished: bool) -> None:
        if self._closed:
            return
        self._closed = True
        with ExitStack() as closing:  # one that fails must not keep the others from their files
            closing.callback(self._journal.close)
            for writer in reversed(self._writers.values()):
                closing.callback(writer.close, finished=finished)

    def _make(self, kind: str, journal: Journal) -> Writer:
        path = self.folder / PLACES[kind]
        if kind == "coco":
            return CocoWriter(path, journal, asdict(self.info))
        if kind == "overlay":
            return OverlayWriter(path, self._hidden / "overlay", self._seconds, self.info.fps)
        plain: dict[str, Callable[[Path], Writer]] = {
            "png": PaletteWriter,
            "objects": ObjectsWriter,
            "npz": NpzWriter,
            "cutout": CutoutWriter,
        }
        return plain[kind](path)

    def _seconds(self, frame: int) -> float:
        known = self._journal[frame]["time"] if frame in self._journal else None
        return float(known) if known is not None else frame / (self.info.fps or _USUAL_FPS)

    def _find_done(self) -> set[int]:
        wanted = set(self.kinds)
        return {
            entry["frame"]
            for entry in self._journal
            if wanted <= set(entry["kinds"]) and all(writer.holds(entry) for writer in self._writers.values())
        }

    def _check(self, result: FrameResult, image: npt.NDArray[np.uint8] | None) -> None:
        size = (self.info.height, self.info.width)
        if not isinstance(result, FrameResult):
            raise OutputError(f"The result is a {type(result).__name__}; expected a FrameResult.")
        if image is None and _NEED_IMAGE & set(self.kinds):
            raise OutputError(
                "An overlay or a cut-out needs the picture; pass the frame's RGB image to write()."
            )
        if image is not None and not (isinstance(image, np.ndarray) and image.dtype == np.uint8):
            found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
            raise OutputError(f"The image of frame {result.frame} is {found}; expected a uint8 array.")
        if image is not None and image.shape != (*size, 3):
            raise OutputError(
                f"The image of frame {result.frame} has shape {image.shape}; expected {(*size, 3)}."
            )
        for identity, item in result.objects.items():
            if not isinstance(identity, (int, np.integer)):
                raise OutputError(f"The object on frame {result.frame} is {identity!r}; expected a number.")
            if np.shape(item.mask) != size:
                raise OutputError(
                    f"The mask of object {identity} on frame {result.frame} has shape {np.shape(item.mask)}; "
                    f"expected {size}."
                )
            if not (isinstance(item.mask, np.ndarray) and item.mask.dtype == bool):
                kind = item.mask.dtype if hasattr(item.mask, "dtype") else type(item.mask).__name__
                raise OutputError(
                    f"The mask of object {identity} on frame {result.frame} has type {kind}; expected bool "
                    "in a NumPy array, such as mask > 0."
                )

    def _entry(self, result: FrameResult) -> dict[str, Any]:
        stem, file_name = self._name(result.frame)
        objects = []
        for identity, item in result.objects.items():
            facts = {"id": int(identity), "presence": float(item.presence), "score": float(item.score)}
            objects.append({**facts, **(coco_object(item) if "coco" in self.kinds else {})})
        return {
            "frame": int(result.frame),
            "time": None if result.time is None else float(result.time),
            "name": stem,
            "file_name": file_name,
            "kinds": list(self.kinds),
            "objects": objects,
        }

    def _name(self, frame: int) -> tuple[str, str]:
        """Return the stem of a frame's files, and its file name in COCO."""
        if self._names is None:
            return f"{frame:05d}", f"{frame:05d}.jpg"
        if not 0 <= frame < len(self._names):
            raise OutputError(f"Frame {frame} has no name; {len(self._names)} frame names were given.")
        return Path(self._names[frame]).stem, self._names[frame]

    def _forget_objects(self, entry: Mapping[str, Any], result: FrameResult) -> None:
        """Remove files of objects that a frame had before and has no more."""
        writer = self._writers.get("objects")
        gone = [item for item in entry["objects"] if item["id"] not in result.objects]
        if writer is not None and gone:
            writer.forget({**entry, "objects": gone})

    def _forget_earlier(self) -> None:
        """Remove exactly the files that an earlier run recorded: old and new results must not mix."""
        old = self._hidden / "journal.jsonl"
        if not old.is_file():
            return
        journal = Journal(old, None, resume=True, is_sound=_is_sound)
        writers: dict[str, Writer] = {}
        for entry in journal:
            for kind in entry["kinds"]:
                if kind not in writers:
                    writers[kind] = self._make(kind, journal)
                writers[kind].forget(entry)
        journal.close()


def _is_sound(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is whole, and leads to files of ours only: what it names is deleted by a later run."""
    name, kinds, objects = entry.get("name"), entry.get("kinds"), entry.get("objects")
    return (
        isinstance(name, str)
        and name not in ("", ".", "..")
        and PurePath(name).name == name
        and isinstance(kinds, list)
        and all(kind in SAVE_KINDS for kind in kinds)
        and isinstance(entry.get("file_name"), str)
        and "time" in entry
        and (entry["time"] is None or (isinstance(entry["time"], float) and math.isfinite(entry["time"])))
        and isinstance(objects, list)
        and all(isinstance(item, dict) and type(item.get("id")) is int for item in objects)
        and all(isinstance(item.get(fact), float) for item in objects for fact in ("presence", "score"))
    )


def _checked_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    if not isinstance(kinds, Iterable):
        raise ConfigError(f"kinds is {kinds!r}; expected one or more of {', '.join(SAVE_KINDS)}.")
    chosen = (kinds,) if isinstance(kinds, str) else tuple(dict.fromkeys(kinds))
    unknown = [kind for kind in chosen if kind not in SAVE_KINDS]
    if unknown or not chosen:
        given = f"'{unknown[0]}'" if unknown else "nothing"
        raise ConfigError(f"Cannot save {given}; expected one or more of {', '.join(SAVE_KINDS)}.")
    return chosen


def _checked_names(names: Sequence[str]) -> tuple[str, ...]:
    stems: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"The name of a frame is {name!r}; expected text.")
        stem = Path(name).stem
        if Path(name).name != name or stem in ("", ".."):
            raise ConfigError(f"'{name}' cannot name a frame; expected a file name without folders.")
        if stem in stems:
            raise ConfigError(
                f"'{stems[stem]}' and '{name}' would be saved under one name; rename one of them, "
                "or leave frame names out to number the results."
            )
        stems[stem] = name
    return tuple(names)
