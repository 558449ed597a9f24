"""Everything a run writes, and what is left when it is interrupted."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO

from edgetam.errors import ConfigError, MediaError, OutputError
from edgetam.io import SAVE_KINDS, ResultWriter, VideoInfo, open_frames, read_mask
from edgetam.io.journal import Journal
from edgetam.io.overlay_video import OverlayWriter, encode_video
from edgetam.io.writers import read_npz
from edgetam.structs import FrameResult, ObjectResult
from tests.io.clips import number, picture

INFO = VideoInfo("clip.mp4", 64, 48, 25.0, 12)
DEEP = pytest.param("[" * 100_000, id="deep")


def result(frame: int, ids: tuple[int, ...] = (1, 2), time: float | None = None) -> FrameResult:
    objects = {}
    for place, identity in enumerate(ids):
        mask = np.zeros((48, 64), bool)
        mask[2 : 8 + frame, 40 + 8 * place : 50 + 8 * place] = True
        objects[identity] = ObjectResult(mask, np.zeros((4, 4), np.float32), 0.9, 0.8)
    return FrameResult(frame, objects, frame / 25 if time is None else time)


def write(folder: Path, frames, kinds=SAVE_KINDS, **options) -> ResultWriter:
    with ResultWriter(folder, kinds, INFO, **options) as writer:
        for frame in frames:
            writer.write(result(frame), picture(frame))
    return writer


def shown(path: Path) -> list[int]:
    with open_frames(path) as video:
        return [number(video[index]) for index in range(len(video))]


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_every_kind_holds_the_masks(tmp_path: Path) -> None:
    writer = write(tmp_path, range(5))
    assert writer.paths == {
        "png": tmp_path / "masks",
        "objects": tmp_path / "objects",
        "coco": tmp_path / "masks.json",
        "npz": tmp_path / "npz",
        "overlay": tmp_path / "overlay.mp4",
        "cutout": tmp_path / "cutout",
    }
    coco = COCO_quiet(tmp_path / "masks.json")
    for frame in range(5):
        masks = {identity: item.mask for identity, item in result(frame).objects.items()}
        stored = read_npz(tmp_path / "npz" / f"{frame:05d}.npz")
        palette = read_mask(tmp_path / "masks" / f"{frame:05d}.png")
        assert np.array_equal(palette[1], masks[1])
        assert np.array_equal(palette[2], masks[2] & ~masks[1])
        for identity, mask in masks.items():
            assert np.array_equal(stored[identity], mask)
            single = Image.open(tmp_path / "objects" / f"{identity:03d}" / f"{frame:05d}.png")
            assert np.array_equal(np.asarray(single), np.where(mask, 255, 0))
            (annotation,) = (a for a in coco.imgToAnns[frame] if a["track_id"] == identity)
            assert np.array_equal(coco.annToMask(annotation).astype(bool), mask)
            assert annotation["area"] == mask.sum()
            assert annotation["bbox"] == [40 + 8 * (identity - 1), 2, 10, 6 + frame]
        cut = np.asarray(Image.open(tmp_path / "cutout" / f"{frame:05d}.png"))
        assert np.array_equal(cut[..., 3] > 0, masks[1] | masks[2])
    assert coco.imgs[3]["time"] == pytest.approx(0.12)
    assert tree(tmp_path / ".edgetam") == {"journal.jsonl"}


def COCO_quiet(path: Path) -> COCO:  # noqa: N802
    coco = COCO()
    coco.dataset = json.loads(path.read_text())
    coco.createIndex()
    return coco


def test_overlay_plays_in_browsers(tmp_path: Path) -> None:
    write(tmp_path, range(8), kinds=["overlay"])
    data = (tmp_path / "overlay.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        pictures = list(container.decode(stream))
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == pytest.approx(25)
        assert (int(pictures[0].colorspace), int(pictures[0].color_range)) == (1, 1)
    assert shown(tmp_path / "overlay.mp4") == list(range(8))
    middle = pictures[4].to_ndarray(format="rgb24")[6, 44].astype(int)
    assert middle[2] > middle[0] + 30  # object 1 is blue


@pytest.mark.parametrize("size", [(47, 63), (48, 63), (1, 1)])
def test_odd_sizes_grow_by_one(tmp_path: Path, size: tuple[int, int]) -> None:
    info = VideoInfo("odd", size[1], size[0])
    with ResultWriter(tmp_path, ["overlay", "png", "npz"], info) as writer:
        for frame in range(3):
            mask = np.ones(size, bool)
            item = ObjectResult(mask, np.zeros((4, 4), np.float32), 1.0, 1.0)
            writer.write(FrameResult(frame, {1: item}), np.zeros((*size, 3), np.uint8))
    with open_frames(tmp_path / "overlay.mp4") as video:
        assert (video.height, video.width) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
        assert len(video) == 3
    assert np.array_equal(read_npz(tmp_path / "npz" / "00001.npz")[1], np.ones(size, bool))


def test_frames_in_any_order_make_a_video_in_time_order(tmp_path: Path) -> None:
    write(tmp_path, [5, 6, 7, 4, 3, 1], kinds=["overlay", "coco"])
    assert shown(tmp_path / "overlay.mp4") == [1, 3, 4, 5, 6, 7]
    with open_frames(tmp_path / "overlay.mp4") as video:
        seconds = [video.time(index) for index in range(6)]
    assert seconds == pytest.approx([0, 0.08, 0.12, 0.16, 0.2, 0.24])
    images = json.loads((tmp_path / "masks.json").read_text())["images"]
    assert [image["frame"] for image in images] == [1, 3, 4, 5, 6, 7]


def test_a_video_that_lists_more_frames_than_it_has_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "overlay.mp4"
    listed = ("frames 0-2", "frames 0-999999999999", "frames 0,1,2,9")
    for comment, held in zip(listed, (True, False, False), strict=True):
        frames = ((index / 25, np.zeros((16, 16, 3), np.uint8)) for index in range(3))
        encode_video(path, frames, fps=25.0, comment=comment)
        writer = OverlayWriter(path, tmp_path / "pieces", float, 25.0)
        assert writer.holds({"frame": 2}) is held


def test_variable_times_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.5, 0.51, 2.0]
    with ResultWriter(tmp_path, ["overlay"], INFO) as writer:
        for frame, time in enumerate(times):
            writer.write(result(frame, time=time), picture(frame))
    with open_frames(tmp_path / "overlay.mp4") as video:
        assert [video.time(index) for index in range(4)] == pytest.approx(times, abs=1e-4)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0.0] * 4, [0.0, 0.04, 0.08, 0.12]),
        ([0.0, 1e-5, 2e-5, 3e-5], [0.0, 0.04, 0.08, 0.12]),
        ([0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.54, 1.04]),
        ([7.0, 9.0, 0.0, 0.5], [0.0, 2.0, 2.04, 2.54]),
    ],
    ids=["all alike", "nearly alike", "two alike", "set back"],
)
def test_frames_whose_clock_does_not_go_forward_are_shown_all_the_same(
    times: list[float], expected: list[float], tmp_path: Path
) -> None:
    with ResultWriter(tmp_path, ["overlay"], INFO) as writer:
        for frame, time in enumerate(times):
            writer.write(result(frame, time=time), picture(frame))
    assert shown(tmp_path / "overlay.mp4") == [0, 1, 2, 3]
    with open_frames(tmp_path / "overlay.mp4") as video:
        assert [video.time(index) for index in range(4)] == pytest.approx(expected, abs=1e-4)


def test_pauses_of_many_hours_are_shortened(tmp_path: Path) -> None:
    hour = 3600.0
    gaps = [1.0, 3 * hour, 400 * hour, 2.0, *[5 * hour] * 9]
    times = np.cumsum([0.0, *gaps]).tolist()
    with ResultWriter(tmp_path, ["overlay", "coco"], INFO) as writer:
        for frame, time in enumerate(times):
            writer.write(result(frame, time=time), picture(frame))
    with open_frames(tmp_path / "overlay.mp4") as video:
        shown = [video.time(index) or 0.0 for index in range(len(times))]
    assert np.diff(shown) == pytest.approx(np.minimum(gaps, hour), abs=1e-3)
    written = json.loads((tmp_path / "masks.json").read_bytes())
    assert [image["time"] for image in written["images"]] == times


def test_a_frame_written_again_replaces_the_first(tmp_path: Path) -> None:
    with ResultWriter(tmp_path, SAVE_KINDS, INFO) as writer:
        writer.write(result(0, ids=(1, 2)), picture(0))
        writer.write(result(1), picture(1))
        writer.write(result(0, ids=(2,)), picture(7))
    assert tree(tmp_path / "objects") == {"001/00001.png", "002/00000.png", "002/00001.png"}
    assert list(read_mask(tmp_path / "masks" / "00000.png")) == [2]
    annotations = json.loads((tmp_path / "masks.json").read_text())["annotations"]
    assert [(item["image_id"], item["track_id"]) for item in annotations] == [(0, 2), (1, 1), (1, 2)]
    assert shown(tmp_path / "overlay.mp4") == [7, 1]


def test_absent_objects_and_empty_frames(tmp_path: Path) -> None:
    gone = ObjectResult(np.zeros((48, 64), bool), np.zeros((4, 4), np.float32), 0.02, 0.1)
    with ResultWriter(tmp_path, SAVE_KINDS, INFO) as writer:
        writer.write(FrameResult(0, {1: gone}), picture(0))
        writer.write(FrameResult(1), picture(1))
        assert writer.done == {0, 1}
    content = json.loads((tmp_path / "masks.json").read_text())
    assert content["annotations"] == []
    assert [image["presence"] for image in content["images"]] == [{"1": 0.02}, {}]
    assert read_mask(tmp_path / "masks" / "00001.png") == {}
    assert read_npz(tmp_path / "npz" / "00001.npz") == {}


def test_nothing_written_leaves_a_valid_json(tmp_path: Path) -> None:
    write(tmp_path, [])
    assert json.loads((tmp_path / "masks.json").read_text())["images"] == []
    assert not (tmp_path / "overlay.mp4").exists()


def test_frame_names_name_the_files(tmp_path: Path) -> None:
    names = ["b.jpg", "a.png", "c.x.jpeg"]
    write(tmp_path, [2, 0], kinds=["png", "coco"], frame_names=names)
    assert tree(tmp_path / "masks") == {"b.png", "c.x.png"}
    images = json.loads((tmp_path / "masks.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["b.jpg", "c.x.jpeg"]


@pytest.mark.parametrize("names", [["a.jpg", "a.png"], ["../a.jpg"], ["x/a.jpg"], [""], [".."]])
def test_frame_names_that_would_harm(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ConfigError):
        ResultWriter(tmp_path / "res", ["png"], INFO, frame_names=names)
    assert not (tmp_path / "res").exists()


def test_an_interrupted_run_leaves_valid_files_and_resumes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ResultWriter(tmp_path, SAVE_KINDS, INFO) as writer:
        for frame in range(4):
            writer.write(result(frame), picture(frame))
        raise KeyboardInterrupt
    assert shown(tmp_path / "overlay.mp4") == [0, 1, 2, 3]
    assert len(json.loads((tmp_path / "masks.json").read_text())["images"]) == 4

    with ResultWriter(tmp_path, SAVE_KINDS, INFO, resume=True) as writer:
        assert writer.done == {0, 1, 2, 3}
        for frame in range(4, 7):
            writer.write(result(frame), picture(frame))
    whole = tmp_path / "whole"
    write(whole, range(7))
    assert tree(tmp_path) - {f"whole/{name}" for name in tree(whole)} == tree(whole)
    assert (tmp_path / "masks.json").read_bytes() == (whole / "masks.json").read_bytes()
    assert (tmp_path / "overlay.mp4").read_bytes() == (whole / "overlay.mp4").read_bytes()


def test_a_finished_run_can_be_extended(tmp_path: Path) -> None:
    write(tmp_path, [4, 5])
    writer = write(tmp_path, [1, 2, 8], resume=True)
    assert writer.done == {1, 2, 4, 5, 8}
    assert shown(tmp_path / "overlay.mp4") == [1, 2, 4, 5, 8]
    assert write(tmp_path, [], resume=True).done == {1, 2, 4, 5, 8}
    assert shown(tmp_path / "overlay.mp4") == [1, 2, 4, 5, 8]
    write(tmp_path, [4], resume=True)
    assert shown(tmp_path / "overlay.mp4") == [1, 2, 4, 5, 8]


def test_resuming_counts_only_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, range(4), kinds=["png", "objects"])
    (tmp_path / "masks" / "00001.png").unlink()
    (tmp_path / "objects" / "002" / "00002.png").unlink()
    with ResultWriter(tmp_path, ["png", "objects"], INFO, resume=True) as writer:
        assert writer.done == {0, 3}
    with ResultWriter(tmp_path, ["png", "npz"], INFO, resume=True) as writer:
        assert writer.done == set()


def test_a_killed_run_resumes(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.io.test_results import *\n"
        "writer = ResultWriter(Path(sys.argv[1]), SAVE_KINDS, INFO)\n"
        "for frame in range(3):\n"
        "    writer.write(result(frame), picture(frame))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=root, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    journal = tmp_path / ".edgetam" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"frame":3,"ti')  # cut short while writing
    with ResultWriter(tmp_path, SAVE_KINDS, INFO, resume=True) as writer:
        assert writer.done == {0, 1, 2}
        writer.write(result(3), picture(3))
    assert shown(tmp_path / "overlay.mp4") == [0, 1, 2, 3]
    assert len(json.loads((tmp_path / "masks.json").read_text())["images"]) == 4


def test_a_new_run_removes_what_the_old_one_wrote_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, range(5))
    (tmp_path / "masks" / "mine.png").write_bytes(b"keep")
    write(tmp_path, [0], kinds=["png"])
    assert tree(tmp_path) == {"masks/00000.png", "masks/mine.png", ".edgetam/journal.jsonl"}


def rewrite_journal(folder: Path, first: str | None = None, **change) -> None:
    """Change the first line of a journal, or the entry of its last frame."""
    path = folder / ".edgetam" / "journal.jsonl"
    *lines, last = path.read_text().splitlines()
    lines = lines if first is None else [first, *lines[1:]]
    path.write_text("\n".join([*lines, json.dumps(json.loads(last) | change)]) + "\n")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "{outside}"},
        {"name": "../../victim"},
        {"name": ".."},
        {"name": "../victim"},
        {"name": ""},
        {"name": 7},
        {"name": None},
        {"kinds": ["png", "gif"]},
        {"kinds": [["png"]]},
        {"kinds": None},
        {"objects": [{"id": "../../victim"}]},
        {"objects": [3]},
        {"objects": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("resume", [False, True])
def test_a_journal_from_elsewhere_leads_to_no_other_files(tmp_path: Path, change, resume: bool) -> None:
    folder = tmp_path / "res"
    kinds = ["png", "objects", "npz", "cutout"]
    write(folder, range(3), kinds=kinds)
    victims = [tmp_path / f"victim{end}" for end in (".png", ".npz", "")] + [folder / "victim.png"]
    for victim in victims:
        victim.write_text("precious")
    rewrite_journal(folder, **json.loads(json.dumps(change).replace("{outside}", str(tmp_path / "victim"))))
    with ResultWriter(folder, kinds, INFO, resume=resume) as writer:
        assert writer.done == ({0, 1} if resume else set())
        writer.write(result(2), picture(2))
    assert all(victim.read_text() == "precious" for victim in victims)
    frames = [0, 1, 2] if resume else [2]
    assert tree(folder / "masks") == {f"{frame:05d}.png" for frame in frames}
    assert write(folder, [], kinds=kinds, resume=True).done == set(frames)


@pytest.mark.parametrize("lost", ["file_name", "time", "presence", "score", "segmentation", "bbox", "area"])
def test_a_line_that_lacks_something_is_passed_over(tmp_path: Path, lost: str) -> None:
    write(tmp_path, range(3))
    whole = tree(tmp_path)
    path = tmp_path / ".edgetam" / "journal.jsonl"
    *lines, last = path.read_text().splitlines()
    entry = json.loads(last)
    for part in (entry, *entry["objects"]):
        part.pop(lost, None)
    path.write_text("\n".join([*lines, json.dumps(entry)]) + "\n")
    with ResultWriter(tmp_path, SAVE_KINDS, INFO, resume=True) as writer:
        assert writer.done == {0, 1}
    images = json.loads((tmp_path / "masks.json").read_text())["images"]
    assert [image["frame"] for image in images] == [0, 1]
    assert write(tmp_path, [2], resume=True).done == {0, 1, 2}
    assert tree(tmp_path) == whole
    assert len(json.loads((tmp_path / "masks.json").read_text())["images"]) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"file_name": 7},
        {"time": "soon"},
        {"time": float("nan")},
        {"time": True},
        {"objects": [{"id": 1, "presence": None, "score": 1.0}]},
        {"objects": [{"id": 1, "presence": 1.0, "score": "high"}]},
    ],
    ids=str,
)
def test_a_line_of_other_types_is_passed_over(tmp_path: Path, change) -> None:
    write(tmp_path, range(2), kinds=["png", "overlay"])
    rewrite_journal(tmp_path, **change)
    assert write(tmp_path, [], kinds=["png", "overlay"], resume=True).done == {0}


@pytest.mark.parametrize("first", ["garbage", "", '{"version": 2, "name": "clip.mp4"}', "[]", DEEP])
def test_a_journal_with_another_first_line_is_replaced(tmp_path: Path, first: str) -> None:
    write(tmp_path, range(3), kinds=["png"])
    rewrite_journal(tmp_path, first)
    with pytest.raises(OutputError, match="another video"):
        ResultWriter(tmp_path, ["png"], INFO, resume=True)
    assert write(tmp_path, [0], kinds=["png"]).done == {0}
    assert tree(tmp_path) == {"masks/00000.png", ".edgetam/journal.jsonl"}


@pytest.mark.parametrize("line", ["{}", '{"frame": "3"}', '{"frame": null}', '{"frame": true}', DEEP])
def test_a_journal_is_read_up_to_a_line_that_is_no_frame(tmp_path: Path, line: str) -> None:
    write(tmp_path, range(2), kinds=["png"])
    path = tmp_path / ".edgetam" / "journal.jsonl"
    whole = path.read_text()
    path.write_text(whole + line + "\n" + whole.splitlines()[-1].replace('"frame":1', '"frame":2') + "\n")
    assert write(tmp_path, [], kinds=["png"], resume=True).done == {0, 1}
    assert path.read_text() == whole
    path.write_text(whole + line + "\n")
    assert write(tmp_path, [], kinds=["png"]).done == set()


def test_resuming_into_results_of_another_video(tmp_path: Path) -> None:
    write(tmp_path, [0], kinds=["png"])
    with pytest.raises(OutputError, match="another video"):
        ResultWriter(tmp_path, ["png"], VideoInfo("other.mp4", 64, 48), resume=True)


@pytest.mark.parametrize("kinds", [[], ["gif"], ["png", "mp4"], "jpeg"])
def test_unknown_kinds(tmp_path: Path, kinds) -> None:
    with pytest.raises(ConfigError, match="png, objects, coco, npz, overlay, cutout"):
        ResultWriter(tmp_path, kinds, INFO)


def test_a_writer_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="kinds is None; expected one or more of png"):
        ResultWriter(tmp_path, None, INFO)  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="info is a tuple; expected VideoInfo"):
        ResultWriter(tmp_path, ["png"], ("clip", 64, 48))  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="The folder of the results is a NoneType; expected a path"):
        ResultWriter(None, ["png"], INFO)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="The name of a frame is 3; expected text"):
        ResultWriter(tmp_path, ["png"], INFO, frame_names=[3])  # type: ignore[list-item]


def test_wrong_input_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with ResultWriter(tmp_path, ["png", "overlay"], INFO) as writer:
        with pytest.raises(OutputError, match=r"shape \(48, 60, 3\)"):
            writer.write(result(0), picture(0, 48, 60))
        with pytest.raises(OutputError, match="needs the picture"):
            writer.write(result(0))
        item = ObjectResult(np.ones((4, 4), bool), None, 1.0, 1.0)
        with pytest.raises(OutputError, match="mask of object 7 on frame 0"):
            writer.write(FrameResult(0, {7: item}), picture(0))
        for type_, name in ((np.uint8, "uint8"), (np.float32, "float32")):
            item = ObjectResult(np.ones((48, 64), type_), None, 1.0, 1.0)
            with pytest.raises(OutputError, match=rf"object 7 on frame 0 has type {name}; expected bool"):
                writer.write(FrameResult(0, {7: item}), picture(0))
        tensor = ObjectResult(torch.ones(48, 64, dtype=torch.bool), None, 1.0, 1.0)
        with pytest.raises(OutputError, match=r"type torch.bool; expected bool in a NumPy array"):
            writer.write(FrameResult(0, {7: tensor}), picture(0))
        whole = ObjectResult(np.ones((48, 64), bool), None, 1.0, 1.0)
        with pytest.raises(OutputError, match="object on frame 0 is 'cat'; expected a number"):
            writer.write(FrameResult(0, {"cat": whole}), picture(0))  # type: ignore[dict-item]
        for image, kind in ((picture(0) / 255, "float64"), (picture(0).tolist(), "list"), ("a.png", "str")):
            with pytest.raises(OutputError, match=rf"image of frame 0 is {kind}; expected a uint8 array"):
                writer.write(result(0), image)
        with pytest.raises(OutputError, match="The result is a dict; expected a FrameResult"):
            writer.write({}, picture(0))  # type: ignore[arg-type]
        with pytest.raises(OutputError, match="palette"):
            writer.write(result(0, ids=(300,)), picture(0))
        assert writer.done == set()
    assert tree(tmp_path / "masks") == set()
    with pytest.raises(OutputError, match="closed"):
        writer.write(result(0), picture(0))


@pytest.mark.parametrize("kind", [kind for kind in SAVE_KINDS if kind != "coco"])
def test_a_full_disk_loses_no_earlier_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="disk is full"), ResultWriter(tmp_path, [kind], INFO) as writer:
        writer.write(result(0), picture(0))
        before = tree(tmp_path)
        monkeypatch.setattr(os, "fsync", fail)
        writer.write(result(1), picture(1))
    monkeypatch.undo()
    assert tree(tmp_path) == before
    assert ResultWriter(tmp_path, [kind], INFO, resume=True).done == {0}


def test_a_journal_goes_on_after_the_disk_was_full(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="file size limits exist on Unix only")
    path = tmp_path / "hidden" / "journal.jsonl"
    journal = Journal(path, {"name": "a"}, resume=False)
    journal.add({"frame": 0})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, limits[1]))
    try:
        with pytest.raises(OutputError, match="larger than this system allows"):
            journal.add({"frame": 1})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    journal.add({"frame": 2})
    assert list(journal) == [{"frame": 0}, {"frame": 2}]
    journal.close()
    again = Journal(path, {"name": "a"}, resume=True)
    assert list(again) == [{"frame": 0}, {"frame": 2}]
    again.close()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="Cannot write"):
        ResultWriter(tmp_path / "file" / "out", ["png"], INFO)


def test_npz_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"junk")
    with pytest.raises(MediaError, match="NPZ"):
        read_npz(tmp_path / "a.npz")


def test_rle_is_that_of_coco(tmp_path: Path) -> None:
    write(tmp_path, [3], kinds=["coco"])
    (first, _) = json.loads((tmp_path / "masks.json").read_text())["annotations"]
    assert np.array_equal(rle.decode(first["segmentation"]).astype(bool), result(3).objects[1].mask)


@pytest.mark.parametrize("trouble", [b"", b"no picture", None])
def test_a_lost_overlay_picture_is_said_and_the_others_stay(tmp_path: Path, trouble: bytes | None) -> None:
    writer = ResultWriter(tmp_path, ["overlay", "coco"], INFO)
    for index in range(3):
        writer.write(result(index), picture(index))
    pieces = tmp_path / ".edgetam" / "overlay"
    (pieces / "00001.jpg").unlink()
    if trouble is not None:
        (pieces / "00001.jpg").write_bytes(trouble)
    with pytest.raises(OutputError, match=r"00001\.jpg"):
        writer.close()
    assert (pieces / "00002.jpg").is_file()
    assert not (tmp_path / "overlay.mp4").exists()
    assert (tmp_path / "masks.json").is_file()


def test_an_overlay_needs_no_path_that_opencv_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cv2.imread", lambda *_: None)  # as on Windows
    write(tmp_path, range(3), kinds=["overlay"])
    assert shown(tmp_path / "overlay.mp4") == [0, 1, 2]
