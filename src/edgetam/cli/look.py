"""``edgetam look``: a frame between rulers, to find coordinates and to see where prompts fall."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2

from edgetam.atomic import atomic_write, make_folder
from edgetam.cli.prompts import Placed, checked, merged, read_options, read_prompt_file
from edgetam.cli.runs import default_folder
from edgetam.cli.screen import Screen
from edgetam.errors import ConfigError, OutputError, PromptError
from edgetam.io import open_frames
from edgetam.io.rulers import ruled

__all__ = ["LookJob", "look_at_frame", "read_look"]


@dataclass(frozen=True)
class LookJob:
    """What to show and where.

    Attributes:
        source: a video, folder, pattern or picture.
        prompts: to draw; those of other frames are left out.
        frame: to show; that of the first prompt, or 0, when left out.
        output: a PNG file; ``out/NAME/frame_N.png``, which is replaced, when left out.
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
    named = [value for name, value in options if name == "--frame"]
    if named and not named[-1].strip().isdecimal():
        raise PromptError(f"--frame is '{named[-1]}'; expected a whole number of at least 0.")
    alone = options[-1:] == [("--frame", named[-1])] if named else False
    items = [] if file is None else read_prompt_file(file)
    prompts = merged([*items, *read_options(options[:-1] if alone else options)])
    return prompts, int(named[-1]) if named else None


def look_at_frame(job: LookJob, screen: Screen) -> Path:
    """Write one frame with rulers and prompts; returns the file.

    Raises:
        ConfigError: the file would be no PNG.
        MediaError: the source cannot be read.
        PromptError: a prompt does not fit, or there is no such frame.
        OutputError: the file is in the way or cannot be written.
    """
    if job.output is not None and job.output.suffix.lower() != ".png":
        raise ConfigError(f"-o is '{job.output}', expected a name that ends in .png: change it.")
    if job.output is not None and job.output.exists() and not job.overwrite:
        raise OutputError(f"'{job.output}' exists; pass --overwrite, or choose another name.")
    frame = min((item.frame for item in job.prompts), default=0) if job.frame is None else job.frame
    with closing(open_frames(job.source)) as source:
        if frame >= len(source):
            raise PromptError(f"--frame is {frame}; '{source.name}' has frames 0 to {len(source) - 1}.")
        if job.prompts:
            checked(job.prompts, (source.width, source.height), len(source))
        image, time = source[frame], source.time(frame)
        folder = default_folder(source.name, file=Path(job.source).is_file())
        said = f"frame {frame} of {len(source)}, {source.width} x {source.height} pixels"
    here = {item.object_id: item.prompt for item in job.prompts if item.frame == frame}
    path = job.output or make_folder(folder) / f"frame_{frame}.png"
    _, data = cv2.imencode(".png", ruled(image, here)[..., ::-1])
    atomic_write(path, data.tobytes())
    screen.say(said + ("" if time is None else f", at {time:.2f} s"))
    screen.say(f"coordinates  {path}")
    return path
