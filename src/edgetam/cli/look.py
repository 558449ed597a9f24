"""``edgetam look``: a frame between rulers, to find coordinates and to see where prompts fall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.atomic import atomic_write, check_file
from edgetam.cli.live import is_live
from edgetam.cli.prompts import Placed, checked, merged, read_options, read_prompt_file, whole
from edgetam.cli.runs import default_folder
from edgetam.cli.screen import Screen
from edgetam.errors import ConfigError, MediaError, OutputError, PromptError
from edgetam.io import open_frames
from edgetam.io.rulers import ruled
from edgetam.tracking.prompts import Clicks

__all__ = ["DEFAULT_FOLDER", "LookJob", "look_at_frame", "read_look"]

DEFAULT_FOLDER = Path("out") / "look"


@dataclass(frozen=True)
class LookJob:
    """What to show and where.

    Attributes:
        source: a video, folder, pattern or picture.
        prompts: to draw; those of other frames are left out.
        frame: to show; that of the first prompt, or 0, when left out.
        output: a PNG file; ``out/look/NAME_N.png``, which is replaced, when left out.
        overwrite: replace ``output``.
    """

    source: str
    prompts: list[Placed]
    frame: int | None = None
    output: Path | None = None
    overwrite: bool = False


def read_look(options: Sequence[tuple[str, str]], file: Path | None) -> tuple[list[Placed], int | None]:
    """Prompts of a file and of ordered options, and the frame that was named last: it may have no prompt.

    Raises:
        PromptError: a value cannot be read.
        MediaError: a file cannot be read.
    """
    named = [whole(name, value) for name, value in options if name == "--frame"]
    alone = bool(options) and options[-1][0] == "--frame"
    items = [] if file is None else read_prompt_file(file)
    prompts = merged([*items, *read_options(options[:-1] if alone else options)])
    return prompts, named[-1] if named else None


def look_at_frame(job: LookJob, screen: Screen) -> Path:
    """Write one frame with rulers and prompts; returns the file.

    Raises:
        ConfigError: the file would be no PNG, or the source has no frames to choose from.
        MediaError: the source or the frame cannot be read.
        PromptError: a prompt does not fit, or there is no such frame.
        OutputError: the file is in the way or cannot be written.
    """
    _check(job)
    frame = min((item.frame for item in job.prompts), default=0) if job.frame is None else job.frame
    with closing(open_frames(job.source)) as source:
        if frame >= len(source):
            raise PromptError(f"--frame is {frame}; '{source.name}' has frames 0 to {len(source) - 1}.")
        size = source.width, source.height
        found = checked(job.prompts, size, len(source)) if job.prompts else {}
        path = job.output or DEFAULT_FOLDER / f"{_stem(source.name, job.source)}_{frame}.png"
        if path.resolve() in (one.resolve() for one in getattr(source, "paths", ())):
            raise OutputError(f"'{path}' is one of the frames; choose another name with -o.")
        check_file(path)
        try:
            image, time = source[frame], source.time(frame)
        except MediaError as error:
            raise MediaError(
                f"Frame {frame} of '{source.name}' cannot be read; choose another with --frame."
            ) from error
        said = f"frame {frame} of {len(source)}, {size[0]} x {size[1]} pixels"
    here = {object_id: clicks for (number, object_id), clicks in found.items() if number == frame}
    _, data = cv2.imencode(".png", _drawn(image, here)[..., ::-1])
    atomic_write(path, data.tobytes())
    screen.say(said + ("" if time is None else f", at {time:.2f} s"))
    screen.say(f"coordinates  {path}")
    return path


def _check(job: LookJob) -> None:
    if is_live(job.source):
        raise ConfigError(
            f"'{job.source}' is a camera or a stream, expected a video, a folder or a picture: save a frame "
            "and look at that."
        )
    if job.output is not None and job.output.suffix.lower() != ".png":
        raise ConfigError(f"-o is '{job.output}', expected a name that ends in .png: change it.")
    if job.output is not None and job.output.exists() and not job.overwrite:
        raise OutputError(f"'{job.output}' exists; pass --overwrite, or choose another name.")


def _stem(name: str, source: str) -> str:
    return default_folder(name, file=Path(source).is_file()).name


def _drawn(image: NDArray[np.uint8], clicks: Mapping[int, Clicks]) -> NDArray[np.uint8]:
    points: list[tuple[float, float, bool]] = []
    boxes, masks = {}, {}
    for object_id, given in clicks.items():
        plain = given.labels < 2  # those above are the corners of a box
        for (x, y), label in zip(given.points[plain].tolist(), given.labels[plain].tolist(), strict=True):
            points.append((x, y, label == 1))
        if not plain.all():
            boxes[object_id] = given.points[~plain].ravel().tolist()
        if given.mask is not None:
            masks[object_id] = given.mask
    return ruled(image, points, boxes, masks)
