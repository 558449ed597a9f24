"""``edgetam synth``: one training clip to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgetam.cli.screen import Screen
from edgetam.errors import ConfigError, OutputError
from edgetam.io.overlay_video import encode_video
from edgetam.train.data import Ask, Clip, Mixture, open_source
from edgetam.train.data.clip import Rgb
from edgetam.train.data.sheet import clip_row

__all__ = ["SynthJob", "render_clip"]


@dataclass(frozen=True)
class SynthJob:
    """What to draw and where to put it.

    Attributes:
        output: an MP4 file.
        kind: of the source, as in a recipe.
        data: folders or tar files it needs.
        seed: of the clip.
        ask: its shape.
        fps: frames per second of the file.
        overwrite: replace a file that is there.
    """

    output: Path
    kind: str
    data: list[str]
    seed: int
    ask: Ask
    fps: float
    overwrite: bool


def render_clip(job: SynthJob, screen: Screen) -> Path:
    """Write a clip, and beside every frame the same frame with its masks.

    Raises:
        ConfigError: the kind is unknown, its data is missing or of another layout, or it has no such clip.
        MediaError: a file cannot be read.
        OutputError: the file is in the way or cannot be written.
    """
    if job.output.suffix.lower() != ".mp4":
        raise ConfigError(f"-o is '{job.output}', expected a name that ends in .mp4: change it.")
    if job.output.exists() and not job.overwrite:
        raise OutputError(f"'{job.output}' exists; pass --overwrite, or choose another name.")
    clip = Mixture([open_source(_described(job))], [1.0], job.seed, job.ask)[0]
    encode_video(job.output, _beside(clip, job.fps), fps=job.fps)
    count = int(clip.present.sum())
    screen.say(f"{len(clip.frames)} frames, {count} object{'s'[: count != 1]}: {job.output}")
    return job.output


def _described(job: SynthJob) -> dict[str, Any]:
    return {"kind": job.kind, **({"root": job.data} if job.data else {})}


def _beside(clip: Clip, fps: float) -> Iterator[tuple[float, Rgb]]:
    for t, (frame, painted) in enumerate(zip(clip.frames.numpy(), clip_row(clip), strict=True)):
        yield t / fps, np.concatenate((frame, painted), axis=1)
