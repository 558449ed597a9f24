"""``edgetam segment``: objects in one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgetam.atomic import atomic_write, make_folder
from edgetam.cli.options import ModelChoice, parse_kinds
from edgetam.cli.prompts import Placed, check_ids, checked
from edgetam.cli.runs import Run, default_folder, describe_prompts, describe_source, open_run
from edgetam.cli.screen import STAND_IN, Screen
from edgetam.io import ResultWriter, VideoInfo, overlay, read_image
from edgetam.io.results import PLACES
from edgetam.structs import FrameResult, ObjectResult
from edgetam.tracking import ImageResult, ImageSegmenter

__all__ = ["IMAGE_KINDS", "SegmentJob", "segment_image"]

_PLACES = {**PLACES, "overlay": "overlay.png"}
IMAGE_KINDS = tuple(_PLACES)


@dataclass(frozen=True)
class SegmentJob:
    """What to segment and where to put it."""

    image: Path
    prompts: list[Placed]
    choice: ModelChoice
    output: Path | None = None
    save: str = "png,overlay,cutout,coco"
    overwrite: bool = False


def segment_image(job: SegmentJob, screen: Screen) -> Path:
    """Segment the prompted objects; returns the folder of the results.

    Raises:
        EdgeTAMError: anything that cannot be used; nothing is written then.
    """
    kinds = parse_kinds(job.save, IMAGE_KINDS)
    job.choice.check()
    image = read_image(job.image)
    height, width = image.shape[:2]
    about = {
        "source": describe_source(str(job.image), size=[width, height], frames=1),
        "prompts": describe_prompts(checked(job.prompts, (width, height), 1)),
        "model": job.choice.identity,
    }
    check_ids(job.prompts, kinds)
    folder = job.output or default_folder(job.image.name, file=True)
    run = open_run(folder, about, [_PLACES[kind] for kind in kinds], overwrite=job.overwrite)
    segmenter = ImageSegmenter(job.choice.load(partial="image"))
    segmenter.set_image(image)
    objects = {item.object_id: _answer(segmenter, item) for item in job.prompts}
    paths = _write(run, kinds, job.image.name, image, objects)
    run.note()
    for identity, item in objects.items():
        screen.say(f"object {identity}: score {item.score:.2f}, {int(item.mask.sum())} pixels")
    for kind, path in paths.items():
        screen.say(f"{kind:>8}  {path}")
    if job.choice.stand_in:
        screen.note(STAND_IN)
    return run.folder


def _answer(segmenter: ImageSegmenter, item: Placed) -> ObjectResult:
    """The best answer: of three for a single click, which may mean a part or the whole."""
    prompt = item.prompt
    lone = prompt.box is None and prompt.mask is None and len(prompt.points or ()) == 1
    answer = segmenter.predict(prompt.points, prompt.labels, prompt.box, prompt.mask, multimask=lone)
    return _best(answer)


def _best(answer: ImageResult) -> ObjectResult:
    best = answer.best
    return ObjectResult(answer.masks[best], answer.logits[best], answer.presence, float(answer.scores[best]))


def _write(
    run: Run,
    kinds: tuple[str, ...],
    name: str,
    image: NDArray[np.uint8],
    objects: Mapping[int, ObjectResult],
) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    height, width = image.shape[:2]
    files = [kind for kind in kinds if kind != "overlay"]
    if files:
        info = VideoInfo(name, width, height, frames=1)
        with ResultWriter(run.folder, files, info, frame_names=[name], resume=run.resume) as writer:
            writer.write(FrameResult(0, objects), image)
        paths |= writer.paths
    if "overlay" in kinds:
        paths["overlay"] = make_folder(run.folder) / _PLACES["overlay"]
        atomic_write(paths["overlay"], _drawn(image, objects))
    return paths


def _drawn(image: NDArray[np.uint8], objects: Mapping[int, Any]) -> bytes:
    masks = {identity: item.mask for identity, item in objects.items()}
    labels = {identity: f"{identity}  {item.score:.0%}" for identity, item in objects.items()}
    _, data = cv2.imencode(".png", overlay(image, masks, labels=labels)[..., ::-1])
    return data.tobytes()
