"""``edgetam track`` on what has no end: cameras and network streams."""

from __future__ import annotations

import time
from itertools import chain, islice
from pathlib import Path
from urllib.parse import urlsplit

from edgetam.cli.errors import StoppedError
from edgetam.cli.interrupts import held_back
from edgetam.cli.options import check_memory
from edgetam.cli.prompts import check_ids, checked
from edgetam.cli.runs import Run, default_folder, open_run
from edgetam.cli.screen import Screen
from edgetam.cli.track import TrackJob, report
from edgetam.errors import ConfigError, MediaError, OutputError, PromptError
from edgetam.io import LiveSource, ResultWriter, VideoInfo, open_live
from edgetam.io.live import without_password
from edgetam.io.results import PLACES
from edgetam.locks import sole_writer
from edgetam.tracking import Stream, VideoTracker
from edgetam.tracking.limits import check_limits

__all__ = ["is_live", "track_live"]


def is_live(source: str) -> bool:
    """Whether this is a camera's number or an address."""
    return "://" in source or (source.strip().isdecimal() and not Path(source).exists())


def track_live(job: TrackJob, screen: Screen) -> Path:
    """Track until the stream ends, ``job.frames`` are done or Ctrl-C, which is how one ends a camera.

    Memory stays constant but for the list of frames that are written, some 150 bytes for each; what is
    saved grows with time. Prompts are about the first frame.

    Raises:
        EdgeTAMError: anything that cannot be used; what was tracked until then is complete.
        StoppedError: Ctrl-C before the first frame was done, or again while the results are completed.
    """
    kinds = job.kinds
    shown = without_password(job.source)
    job.choice.check()
    check_ids(job.prompts, kinds)
    check_memory(job.memory)
    if job.direction != "forward" or job.start is not None:
        raise ConfigError(f"'{shown}' is live; --start, --reverse and --both need a recorded video.")
    late = [item for item in job.prompts if item.frame]
    if late:
        raise PromptError(f"{late[0].origin}: '{shown}' is live; prompts belong to its first frame, 0.")
    folder = job.output or default_folder(_name(job.source))
    places = [PLACES[kind] for kind in kinds]
    run = open_run(folder, {"source": shown}, places, overwrite=job.overwrite)
    if run.resume:
        raise OutputError(
            f"'{run.folder}' holds an earlier recording; choose another folder with -o, or pass --overwrite."
        )
    stream = VideoTracker(job.choice.load(), job.options).stream()
    with open_live(job.source) as source:
        _watch(job, stream, source, run, screen)
    return run.folder


def _watch(job: TrackJob, stream: Stream, source: LiveSource, run: Run, screen: Screen) -> None:
    first = next(source, None)
    if first is None:
        raise MediaError(f"'{source.name}' gave no frame; check the camera or the address.")
    height, width = first.image.shape[:2]
    check_limits(stream.engine, checked(job.prompts, (width, height)), stream.options)
    prompts = {item.object_id: item.prompt for item in job.prompts}
    done, began = 0, time.perf_counter()
    broke_off: MediaError | None = None
    info = VideoInfo(source.name, width, height)
    try:
        with sole_writer(run.folder), ResultWriter(run.folder, job.kinds, info) as writer:
            run.note()
            try:
                with screen.counting(source.name, job.frames) as count:
                    for frame in islice(chain([first], source), job.frames):
                        result = stream.step(frame.image, prompts if done == 0 else {}, time=frame.time)
                        with held_back():
                            writer.write(result, frame.image)
                            done += 1
                        count()
            except (KeyboardInterrupt, MediaError) as error:
                if not done:
                    raise
                # the writer ends in order either way: nothing can go on with a live recording
                broke_off = error if isinstance(error, MediaError) else None
            seconds = time.perf_counter() - began
            if "overlay" in job.kinds:
                screen.note(f"edgetam: encoding {writer.paths['overlay']} ...")
        if broke_off is not None:
            raise broke_off
    except KeyboardInterrupt as error:
        screen.note(_stopped(run.folder, done))
        raise StoppedError from error
    except (MediaError, OutputError):
        if done:
            screen.note(f"edgetam: ended early at frame {done - 1}; results so far are in {run.folder}.")
        raise
    report(screen, writer.paths, done, seconds, job.choice)


def _stopped(folder: Path, done: int) -> str:
    if not done:
        return "edgetam: stopped before the first frame; nothing was tracked."
    return (
        f"edgetam: stopped while the results were completed; files of single frames up to {done - 1} are in "
        f"{folder}, and the pictures of an overlay that was not encoded in {folder / '.edgetam' / 'overlay'}."
    )


def _name(source: str) -> str:
    """A folder name: the host of an address, or the number of a camera."""
    return urlsplit(source).hostname or "stream" if "://" in source else f"camera-{source.strip()}"
