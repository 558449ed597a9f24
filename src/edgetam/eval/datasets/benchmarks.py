"""The benchmarks people compare trackers on, and how each of them lies on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edgetam.errors import ConfigError
from edgetam.eval.datasets.video import MaskKind
from edgetam.hints import did_you_mean

__all__ = ["BENCHMARKS", "Benchmark", "Layout", "get_benchmark"]

SubmissionForm = Literal["videos", "Annotations"]
"""What stands at the top of the zip a server takes: the videos, or a folder called Annotations."""

GENERIC_FRAMES = "JPEGImages/{video}/{frame}.*"
GENERIC_MASKS = "Annotations/{video}/{frame}.*"
GENERIC_OBJECTS = "Annotations/{video}/{object}/{frame}.*"


@dataclass(frozen=True)
class Layout:
    """Where a split lies below the root, as patterns for `FilePattern`.

    Attributes:
        frames: the frames to track through.
        masks: ground truth.
        listed: a text file with one video per line; all videos with frames when left out.
        written: the frames whose masks are asked for; all when left out.
        truth: whether ground truth goes beyond the prompts, so that results can be scored here.
    """

    frames: str = GENERIC_FRAMES
    masks: str = GENERIC_MASKS
    listed: str | None = None
    written: str | None = None
    truth: bool = True


@dataclass(frozen=True)
class Benchmark:
    """A data set and its rules.

    Attributes:
        name: what it is called in options.
        title: what people call it.
        splits: layouts by split, tried in order; the first split is the default.
        kind: what pixel values mean; layouts with ``{object}`` have one file per object whatever it says.
        late: objects that appear after the first frame are prompted where they appear.
        protocol: one of `edgetam.eval.metrics.PROTOCOLS`, which it is scored by.
        void: pixel value that is no object but background, if any.
        submission: form of the zip its server takes, if it has one.
        note: what must be known or done before, for the documentation and messages.
    """

    name: str
    title: str
    splits: Mapping[str, tuple[Layout, ...]] = field(
        default_factory=lambda: {"all": (Layout(), Layout(masks=GENERIC_OBJECTS))}
    )
    kind: MaskKind = "ids"
    late: bool = True
    protocol: str = "vos-benchmark-void"
    void: int | None = 255
    submission: SubmissionForm | None = None
    note: str = ""


def _davis(lists: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[Layout, ...]]:
    """Splits by the files that may list them."""
    frames, masks = "JPEGImages/480p/{video}/{frame}.jpg", "Annotations/480p/{video}/{frame}.png"
    return {
        split: tuple(Layout(frames, masks, f"ImageSets/{file}", truth=split != "test-dev") for file in files)
        for split, files in lists.items()
    }


def _parts(names: Mapping[str, tuple[str, ...]], blind: tuple[str, ...]) -> dict[str, tuple[Layout, ...]]:
    """Splits that are folders of their own; the root may also be that folder itself.

    Args:
        names: what the folder of each split may be called.
        blind: splits whose ground truth is on a server only.
    """
    return {
        split: tuple(
            Layout(
                f"{prefix}JPEGImages/{{video}}/{{frame}}.jpg",
                f"{prefix}Annotations/{{video}}/{{frame}}.png",
                truth=split not in blind,
            )
            for prefix in (*(f"{folder}/" for folder in folders), "")
        )
        for split, folders in names.items()
    }


def _sav(split: str) -> tuple[Layout, ...]:
    return tuple(
        Layout(
            prefix + "JPEGImages_24fps/{video}/{frame}.jpg",
            prefix + "Annotations_6fps/{video}/{object}/{frame}.png",
            f"{prefix}sav_{split}.txt",
        )
        for prefix in ("", f"sav_{split}/")
    )


def _youtube() -> dict[str, tuple[Layout, ...]]:
    """With all frames, objects are tracked through them and every fifth is written, as the server wants."""
    dense = Layout(
        "valid_all_frames/JPEGImages/{video}/{frame}.jpg",
        "valid/Annotations/{video}/{frame}.png",
        written="valid/JPEGImages/{video}/{frame}.jpg",
        truth=False,
    )
    parts = _parts({"val": ("valid",), "test": ("test",), "train": ("train",)}, blind=("val", "test"))
    return {**parts, "val-all-frames": (dense,)}


_DAVIS_2016 = {split: (f"2016/{split}.txt", f"480p/{split}.txt") for split in ("val", "train")}
_DAVIS_2017 = {split: (f"2017/{split}.txt",) for split in ("val", "train", "test-dev")}
_LVOS = _parts({"val": ("valid", "val"), "test": ("test",), "train": ("train",)}, blind=("test",))
_MOSE = _parts({"val": ("valid", "val"), "train": ("train",)}, blind=("val",))
_SAV = {split: _sav(split) for split in ("val", "test")}
_VOST = Layout(
    "JPEGImages/{video}/{frame}.jpg", "Annotations/{video}/{frame}.png", listed="ImageSets/val.txt"
)
_VKITTI = Layout(
    "{scene}/{video}/frames/rgb/Camera_0/rgb_{frame}.jpg",
    "{scene}/{video}/frames/instanceSegmentation/Camera_0/instancegt_{frame}.png",
)

_MAIN = (
    Benchmark("generic", "a data set of yours"),
    Benchmark(
        "davis2016",
        "DAVIS 2016",
        _davis(_DAVIS_2016),
        "foreground",
        late=False,
        protocol="davis2016",
        submission="videos",
    ),
    Benchmark(
        "davis2017", "DAVIS 2017", _davis(_DAVIS_2017), late=False, protocol="davis2017", submission="videos"
    ),
    Benchmark("mose", "MOSE", _MOSE, protocol="vos-benchmark", submission="videos"),
    Benchmark("mosev2", "MOSEv2", _MOSE, protocol="mosev2", submission="videos"),
    Benchmark("sav", "SA-V", _SAV, "objects", protocol="sav", submission="videos"),
    Benchmark(
        "youtube2018", "YouTube-VOS 2018", _youtube(), protocol="youtube-vos", submission="Annotations"
    ),
    Benchmark(
        "youtube2019", "YouTube-VOS 2019", _youtube(), protocol="youtube-vos", submission="Annotations"
    ),
    Benchmark("lvos", "LVOS v1", _LVOS, protocol="lvos", submission="Annotations"),
    Benchmark("lvosv2", "LVOS v2", _LVOS, protocol="lvos", submission="Annotations"),
)

_CONVERT = "convert its masks to the generic layout first"

_ZERO_SHOT = (
    Benchmark("endovis2018", "EndoVis 2018", note=f"colours stand for classes: {_CONVERT}"),
    Benchmark("esd", "ESD", note=_CONVERT),
    Benchmark("lvvis", "LV-VIS", note=f"run lengths in JSON: {_CONVERT}"),
    Benchmark("uvo", "UVO", note=f"run lengths in JSON: {_CONVERT}"),
    Benchmark(
        "vost", "VOST", {"val": (_VOST,)}, late=False, protocol="davis2017", note="papers report J only"
    ),
    Benchmark("pumavos", "PUMaVOS"),
    Benchmark("vkitti2", "Virtual KITTI 2", {"all": (_VKITTI, Layout())}),
    Benchmark("vipseg", "VIPSeg", note=f"panoptic ids of 16 bits: {_CONVERT}"),
    Benchmark("wildfires", "Wildfires", note=_CONVERT),
    Benchmark("visor", "VISOR", note=f"polygons in JSON: {_CONVERT}"),
    Benchmark("fbms", "FBMS", note=_CONVERT),
    Benchmark("egoexo4d", "Ego-Exo4D", note=f"run lengths in JSON: {_CONVERT}"),
    Benchmark("cityscapes", "Cityscapes", note=f"ids must stay the same over time: {_CONVERT}"),
    Benchmark("lindenthal", "Lindenthal Camera", note=_CONVERT),
    Benchmark("ht1080wt", "HT1080WT Cells", note=_CONVERT),
    Benchmark("drosophila", "Drosophila Heart", note=_CONVERT),
)

BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in (*_MAIN, *_ZERO_SHOT)}
"""All of them by name; LVOS v2 belongs to both groups."""


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in BENCHMARKS:
        hint = did_you_mean(name, BENCHMARKS)
        raise ConfigError(f"There is no data set '{name}'{hint}; expected one of {', '.join(BENCHMARKS)}.")
    return BENCHMARKS[name]
