"""``edgetam demo``: see it work, on the clip that comes with the package or on a video of yours."""

from __future__ import annotations

from pathlib import Path

from edgetam.cli.options import ModelChoice
from edgetam.cli.prompts import Placed, read_options, read_prompt_file
from edgetam.cli.runs import earlier_about
from edgetam.cli.screen import Screen
from edgetam.cli.track import TrackJob, track_video
from edgetam.errors import PromptError
from edgetam.io import open_frames
from edgetam.io.bundled import demo_clip
from edgetam.structs import Prompt

__all__ = ["DEFAULT_FOLDER", "run_demo"]

DEFAULT_FOLDER = Path("out") / "demo"
CREDIT = "from Big Buck Bunny, (c) Blender Foundation, www.bigbuckbunny.org, CC BY 3.0"


def run_demo(
    video: str | None,
    point: str | None,
    output: Path | None,
    choice: ModelChoice,
    screen: Screen,
    *,
    overwrite: bool = False,
) -> Path:
    """Track one object through a clip and say where to look; returns the folder.

    An earlier demo in the folder is replaced, and other results only with ``overwrite``.

    Raises:
        EdgeTAMError: the video, the point or the folder cannot be used.
    """
    if video is None and point is not None:
        raise PromptError("--point was given without --video; give both, or neither for the bundled clip.")
    if video is None:
        clip, file = demo_clip()
        source, prompts = str(clip), read_prompt_file(file)
        screen.say(f"Tracking the rabbit through the bundled clip ({CREDIT}).")
    else:
        source = video
        prompts = [_centre(video, screen)] if point is None else read_options([("--point", point)])
    folder = output or DEFAULT_FOLDER
    replaces = overwrite or bool((earlier_about(folder) or {}).get("demo"))
    job = TrackJob(source, prompts, choice, folder, "png,overlay", overwrite=replaces, demo=True)
    track_video(job, screen)
    screen.say(f"Watch {folder / 'overlay.mp4'}.")
    return folder


def _centre(video: str, screen: Screen) -> Placed:
    with open_frames(video) as frames:
        x, y = frames.width // 2, frames.height // 2
    screen.say(f"No point was given: tracking what is at the centre, {x},{y}; 'edgetam look' finds others.")
    return Placed(0, 1, Prompt(points=[[x, y]], labels=[1]), "the centre of the frame")
