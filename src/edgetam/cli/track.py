"""``edgetam track``: objects through a video, a folder, a camera or a stream."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from edgetam.cli.errors import StoppedError
from edgetam.cli.interrupts import held_back
from edgetam.cli.options import ModelChoice, check_memory, parse_kinds
from edgetam.cli.prompts import Placed, check_ids, checked
from edgetam.cli.runs import Run, default_folder, describe_prompts, describe_source, open_run
from edgetam.cli.screen import STAND_IN, Screen
from edgetam.errors import ConfigError, MediaError, OutputError, PromptError
from edgetam.io import SAVE_KINDS, FrameSource, ResultWriter, VideoInfo, open_frames
from edgetam.io.results import PLACES
from edgetam.locks import sole_writer
from edgetam.structs import FrameResult
from edgetam.tracking import TrackerOptions, TrackingSession, VideoTracker
from edgetam.tracking.limits import check_limits
from edgetam.tracking.prompts import Clicks

if TYPE_CHECKING:
    from edgetam.engine import Engine

__all__ = ["Direction", "TrackJob", "direction", "report", "track_video"]

Direction = Literal["forward", "reverse", "both"]
Prompts = Mapping[tuple[int, int], Clicks]
"""Checked prompts by frame and object id."""


@dataclass(frozen=True)
class TrackJob:
    """What to track and where to put it."""

    source: str
    prompts: list[Placed]
    choice: ModelChoice
    output: Path | None = None
    save: str = "png,overlay"
    start: int | None = None
    frames: int | None = None
    direction: Direction = "forward"
    on_bad_frame: str = "stop"
    exclusive: bool = False
    overwrite: bool = False
    demo: bool = False
    memory: str = "auto"

    @property
    def options(self) -> TrackerOptions:
        """How to track.

        Raises:
            ConfigError: ``memory`` is no such choice.
        """
        selection = check_memory(self.memory)
        return TrackerOptions(
            exclusive=self.exclusive, history=self.direction == "both", memory_selection=selection
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of results to write.

        Raises:
            ConfigError: an unknown one.
        """
        return parse_kinds(self.save, SAVE_KINDS)


def track_video(job: TrackJob, screen: Screen) -> Path:
    """Track through something that has an end; returns the folder of the results.

    Everything that can be known beforehand is checked before the model is loaded, and the model is loaded
    before the first file is made.

    Raises:
        EdgeTAMError: anything that cannot be used; what was tracked until then is complete.
        StoppedError: Ctrl-C.
    """
    kinds = job.kinds
    job.choice.check()
    check_ids(job.prompts, kinds)
    check_memory(job.memory)
    if job.on_bad_frame not in ("stop", "skip"):
        raise ConfigError(f"--on-bad-frame is '{job.on_bad_frame}'; expected stop or skip.")
    with closing(open_frames(job.source, on_bad_frame=cast(Any, job.on_bad_frame))) as source:
        size, length = (source.width, source.height), len(source)
        prompts = checked(job.prompts, size, length)
        passes = _passes(job, prompts, length)
        about = _about(job, prompts, source)
        folder = job.output or default_folder(source.name, file=Path(job.source).is_file())
        run = open_run(folder, about, [PLACES[kind] for kind in kinds], overwrite=job.overwrite)
        if job.direction == "both" and len(passes[1][1]) == 1:
            screen.note(
                "--both finds nothing before the first frame, where tracking begins; prompt a later one with "
                "--frame to go backward too."
            )
        _track(job, source, prompts, passes, run, job.choice.load(), screen)
    return run.folder


def _passes(job: TrackJob, prompts: Prompts, length: int) -> list[tuple[bool, range]]:
    """Which frames to visit in which order: (backwards?, frames)."""
    prompted = [frame for frame, _ in prompts]
    start = job.start
    if start is not None and start >= length:
        raise PromptError(f"--start is {start}; the video has frames 0 to {length - 1}.")
    ahead = range(min(prompted) if start is None else start, length)
    back = range(max(prompted) if start is None else start, -1, -1)
    if job.direction == "reverse" and len(back) == 1:
        raise PromptError(
            "--reverse would begin on the first frame, and nothing is before that; prompt a later one with "
            "--frame, or choose a later --start."
        )
    chosen = {"forward": [(False, ahead)], "reverse": [(True, back)], "both": [(False, ahead), (True, back)]}
    passes = [(reverse, order[: job.frames]) for reverse, order in chosen[job.direction]]
    if not any(set(order) for _, order in passes):
        raise ConfigError(f"--frames is {job.frames}; expected at least 1.")
    return passes


def _about(job: TrackJob, prompts: Prompts, source: FrameSource) -> dict[str, Any]:
    """All that results depend on, to recognise the same run."""
    return {
        "source": describe_source(
            job.source,
            getattr(source, "paths", ()),
            size=[source.width, source.height],
            frames=len(source),
        ),
        "prompts": describe_prompts(prompts),
        "model": job.choice.identity,
        "frames": {"start": job.start, "frames": job.frames, "direction": job.direction},
        # not how bad frames are met: those before the first one are the same either way
        "options": {
            "exclusive": job.exclusive,
            **({} if job.memory == "auto" else {"memory": job.memory}),
        },
        **({"demo": True} if job.demo else {}),
    }


def _writer(run: Run, kinds: tuple[str, ...], source: FrameSource) -> ResultWriter:
    info = VideoInfo(source.name, source.width, source.height, source.fps, len(source))
    return ResultWriter(run.folder, kinds, info, frame_names=_frame_names(source), resume=run.resume)


def _frame_names(source: FrameSource) -> Sequence[str] | None:
    """Names of image files; none where results would overwrite each other, as with ``shots/**/0.png``."""
    names: Sequence[str] | None = getattr(source, "names", None)
    if names is None or len({Path(name).stem for name in names}) < len(names):
        return None
    return names


def _track(
    job: TrackJob,
    source: FrameSource,
    prompts: Prompts,
    passes: list[tuple[bool, range]],
    run: Run,
    engine: Engine,
    screen: Screen,
) -> None:
    check_limits(engine, prompts, job.options)
    session = VideoTracker(engine, job.options).open(source)
    steps = sum(len(order) for _, order in passes)
    seen = {frame for _, order in passes for frame in order}  # --both visits some twice
    last: int | None = None
    try:
        with sole_writer(run.folder), _writer(run, job.kinds, source) as writer:
            # a second pass adds to frames that the first one has written
            whole = len(passes) == 1 or run.finished
            if whole and seen <= writer.done:
                screen.say(f"All frames are in {run.folder} already; --overwrite tracks again.")
                return
            run.note()
            began = time.perf_counter()
            with screen.counting(source.name, steps) as count:
                for result in _results(session, prompts, passes):
                    image = source[result.frame]
                    with held_back():
                        if result.frame not in writer.done or len(passes) > 1:
                            writer.write(result, image)
                        last = result.frame
                    count()
            seconds = time.perf_counter() - began
        run.note(finished=True)
    except KeyboardInterrupt as error:
        screen.note(_stopped(run.folder, last, "stopped", ", and the same command completes them"))
        raise StoppedError from error
    except (MediaError, OutputError):
        if last is not None:
            screen.note(_stopped(run.folder, last, "ended early"))
        raise
    report(screen, writer.paths, len(seen), seconds, job.choice)


def _results(
    session: TrackingSession, prompts: Prompts, passes: list[tuple[bool, range]]
) -> Iterator[FrameResult]:
    """Prompt, then track; what a second pass finds is joined with the first one's."""
    for (frame, object_id), clicks in prompts.items():
        session.apply(frame, object_id, clicks)
    for number, (reverse, order) in enumerate(passes):
        for result in session.propagate(order.start, reverse=reverse, frames=len(order)):
            yield result if number == 0 else session.result(result.frame)


def _stopped(folder: Path, last: int | None, how: str, more: str = "") -> str:
    if last is None:
        return f"edgetam: {how} before the first frame; nothing was tracked."
    return f"edgetam: {how} at frame {last}; results so far are in {folder}{more}."


def report(
    screen: Screen, paths: Mapping[str, Path], frames: int, seconds: float, choice: ModelChoice
) -> None:
    """Say where everything is and how fast it was."""
    what = {
        "png": "masks",
        "objects": "masks per object",
        "coco": "COCO JSON",
        "npz": "arrays",
        "overlay": "overlay",
        "cutout": "cut-outs",
    }
    for kind, path in paths.items():
        screen.say(f"{what[kind]:>16}  {path}")
    rate = frames / seconds if seconds > 0 else 0.0
    digits = 1 if rate >= 1 else 2
    screen.say(
        f"{frames} frame{'s' if frames > 1 else ''} in {seconds:.1f} s, {rate:.{digits}f} frames per second."
    )
    if choice.stand_in:
        screen.note(STAND_IN)


def direction(*, reverse: bool, both: bool) -> Direction:
    """Turn two flags into one choice.

    Raises:
        ConfigError: both are set.
    """
    if reverse and both:
        raise ConfigError("--reverse and --both were given together; expected one of them.")
    return "both" if both else "reverse" if reverse else "forward"
