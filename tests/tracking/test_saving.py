"""Sessions that are saved go on as if they had not been."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import edgetam.tracking.saving
from edgetam.errors import InputError, OutputError
from edgetam.tracking import TrackerOptions, TrackingSession, VideoTracker
from tests.tracking.fake_engine import Clip, FakeEngine
from tests.tracking.helpers import fake, open_session, rectangle, state, summaries


class OpenClip(Clip):
    """A clip that `open_frames` takes for a source of frames."""

    name = "clip"
    fps = 10.0

    def __enter__(self) -> OpenClip:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


def resume(folder: Path, length: int = 40, **options: Any) -> TrackingSession:
    return VideoTracker(FakeEngine(), TrackerOptions(**options)).resume(folder, OpenClip(length))


def begin(**options: Any) -> TrackingSession:
    session = open_session(40, **options)
    session.prompt(0, 5, points=[[3, 4]])
    session.prompt(6, 2, mask=rectangle())
    list(session.propagate(frames=20))
    session.prompt(12, 5, box=[1, 1, 9, 9])
    session.prompt(30, 2, points=[[9, 9], [2, 2]], labels=[1, 0])
    return session


@pytest.mark.parametrize(
    "options", [{}, {"history": False}, {"store": "bf16"}, {"joint": True}, {"keep_corrections": False}]
)
def test_a_resumed_session_gives_the_same_results(tmp_path: Path, options: dict[str, Any]) -> None:
    session = begin(**options)
    session.save(tmp_path / "new" / "folder")
    resumed = resume(tmp_path / "new" / "folder", **options)
    assert state(resumed.tracks) == state(session.tracks)
    assert resumed.objects == [5, 2]
    assert list(resumed.tracks[5].prompted) == list(session.tracks[5].prompted)
    assert resumed.tracks[5].visited == session.tracks[5].visited
    assert summaries(resumed.propagate(start=20)) == summaries(session.propagate(start=20))
    for each in (session, resumed):
        each.prompt(25, 5, points=[[5, 5]])
    assert state(resumed.tracks) == state(session.tracks)


@pytest.mark.parametrize("history", [True, False])
def test_going_on_backwards(tmp_path: Path, history: bool) -> None:
    """What was put in last is what the next frame reads, whatever its number."""
    session = open_session(60, history=history)
    session.prompt(59, 1, points=[[3, 4]])
    list(session.propagate(reverse=True, frames=40))
    session.save(tmp_path)
    resumed = resume(tmp_path, 60, history=history)
    expected = summaries(session.propagate(start=19, reverse=True))
    assert summaries(resumed.propagate(start=19, reverse=True)) == expected


def test_prompted_frames_keep_their_order(tmp_path: Path) -> None:
    session = open_session(40)
    for frame in (30, 2, 17):
        session.prompt(frame, 1, points=[[3, 4]])
        session.commit()
    session.save(tmp_path)
    assert list(resume(tmp_path).tracks[1].prompted) == [30, 2, 17]


def test_saving_reads_as_little_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgetam.tracking.saving, "CHUNK", 5)
    session = begin()
    session.save(tmp_path)
    files = sorted(tmp_path.glob("object-5-*.safetensors"))
    assert max(len({n.rpartition(".")[0] for n in load_file(f)}) for f in files) == 5
    assert state(resume(tmp_path).tracks) == state(session.tracks)


def test_saving_again_replaces_what_was_saved(tmp_path: Path) -> None:
    session = begin()
    session.save(tmp_path)
    session.remove_object(5)
    list(session.propagate(start=20))
    session.save(tmp_path)
    assert state(resume(tmp_path).tracks) == state(session.tracks)
    assert not list(tmp_path.glob("object-5-*"))


def test_an_interrupted_save_leaves_the_earlier_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = begin()
    session.save(tmp_path)
    before = state(session.tracks)
    files = set(tmp_path.iterdir())
    list(session.propagate(start=20))

    def interrupt(path: Path, data: bytes) -> None:
        if path.name == "session.json":
            raise KeyboardInterrupt
        path.write_bytes(data)

    monkeypatch.setattr(edgetam.tracking.saving, "atomic_write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        session.save(tmp_path)
    assert set(tmp_path.iterdir()) == files, "and nothing beside it"
    assert state(resume(tmp_path).tracks) == before


def test_the_folder_may_be_unusable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        begin().save(tmp_path / "file")


def test_there_may_be_no_session(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no saved session"):
        resume(tmp_path)
    for text in ("[1, 2", "[" * 100_000):
        (tmp_path / "session.json").write_text(text)
        with pytest.raises(InputError, match="no saved session"):
            resume(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"model": "sam2.1-t"}, "model sam2.1-t, but now it is edgetam"),
        ({"image_size": 512}, "image_size 512, but now it is 256"),
        ({"video": {"width": 40, "height": 30, "frames": 41}}, "41.*40"),
        ({"weights_id": "0123456789ab"}, "weights_id 0123456789ab, but now it is .*go on with what"),
        ({"video": None}, "video None"),
        ({"objects": None}, "damaged"),
        ({"objects": [{}]}, "damaged"),
        ({"objects": [5]}, "damaged"),
        ({"objects": "ab"}, "damaged"),
    ],
)
def test_sessions_of_other_things_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    begin().save(tmp_path)
    manifest = tmp_path / "session.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    with pytest.raises(InputError, match=message):
        resume(tmp_path)


def test_sessions_that_name_no_weights_are_older_ones(tmp_path: Path) -> None:
    session = begin()
    session.save(tmp_path)
    manifest = json.loads((tmp_path / "session.json").read_text())
    del manifest["weights_id"]
    (tmp_path / "session.json").write_text(json.dumps(manifest))
    assert state(resume(tmp_path).tracks) == state(session.tracks)


def test_a_list_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "session.json").write_text("[1, 2]")
    with pytest.raises(InputError, match="format None"):
        resume(tmp_path)


def change_entry(folder: Path, **change: Any) -> None:
    manifest = json.loads((folder / "session.json").read_text())
    manifest["objects"][0] |= change
    (folder / "session.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "change",
    [
        {"files": [{"name": "../secret.safetensors", "records": []}]},
        {"files": [{"name": "missing.safetensors", "records": []}]},
        {"files": [{"name": "session.json", "records": []}]},
        {"masks": "missing.safetensors"},
        {"prompts": {"0": {"points": [[1]], "labels": [1]}}},
        {"prompts": {"0": {"points": [[1, 2]], "labels": -1}}},
        {"prompts": {"0": {"points": [[1, 2]], "labels": [1, 1]}}},
        {"prompts": {"0": {"points": [[1, 2]], "labels": [4]}}},
        {"prompts": {"x": {"points": [[1, 2]], "labels": [1]}}},
        {"prompts": []},
        {"visited": [0]},
        {"id": "x"},
    ],
)
def test_damaged_sessions_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "session").mkdir()
    save_file({"a": np.zeros(1)}, tmp_path / "secret.safetensors")
    begin().save(tmp_path / "session")
    change_entry(tmp_path / "session", **change)
    with pytest.raises(InputError, match="damaged"):
        resume(tmp_path / "session")


@pytest.mark.parametrize(
    "change",
    [
        {"prompts": {"40": {"points": [[1, 2]], "labels": [1]}}},
        {"prompts": {"-1": {"points": [[1, 2]], "labels": [1]}}},
        {"corrected": [40]},
        {"visited": {"-1": False}},
    ],
    ids=str,
)
def test_sessions_of_frames_that_the_video_lacks_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    begin().save(tmp_path)
    change_entry(tmp_path, **change)
    with pytest.raises(InputError, match=r"speaks of frame (40|-1), and the video has frames 0 to 39"):
        resume(tmp_path)


@pytest.mark.parametrize("kind", ["prompted", "pending", "tracked"])
def test_memories_of_frames_that_the_video_lacks_are_refused(tmp_path: Path, kind: str) -> None:
    begin().save(tmp_path)
    manifest = json.loads((tmp_path / "session.json").read_text())
    (file,) = manifest["objects"][0]["files"]
    name = next(name for name in file["records"] if name.startswith(kind))
    file["records"] = [f"{kind}.40" if each == name else each for each in file["records"]]
    manifest["objects"][0]["conditioning"]["40"] = True
    (tmp_path / "session.json").write_text(json.dumps(manifest))
    path = tmp_path / file["name"]
    save_file({n.replace(f"{name}.", f"{kind}.40."): a for n, a in load_file(path).items()}, path)
    with pytest.raises(InputError, match=r"speaks of frame 40, and the video has frames 0 to 39"):
        resume(tmp_path)


def test_damaged_memories_are_refused_and_the_video_is_closed(tmp_path: Path) -> None:
    begin().save(tmp_path)
    for file in tmp_path.glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:100])
    video = OpenClip(40)
    with pytest.raises(InputError, match="damaged"):
        VideoTracker(FakeEngine()).resume(tmp_path, video)
    assert video.closed


def test_memories_of_another_shape_are_refused(tmp_path: Path) -> None:
    begin().save(tmp_path)
    for file in tmp_path.glob("object-5-*.safetensors"):
        save_file({n: a[..., :1].copy() if a.ndim == 2 else a for n, a in load_file(file).items()}, file)
    with pytest.raises(InputError, match="damaged"):
        resume(tmp_path)


def test_saving_changes_nothing(tmp_path: Path) -> None:
    session = begin()
    before, asked = state(session.tracks), len(fake(session).prompts)
    session.save(tmp_path)
    assert state(session.tracks) == before
    assert len(fake(session).prompts) == asked


def test_masks_are_saved_as_they_are_however_they_lie_in_memory(tmp_path: Path) -> None:
    session = open_session(3)
    mask = np.asfortranarray(rectangle())
    assert not mask.flags.c_contiguous
    session.prompt(0, 1, mask=mask)
    session.save(tmp_path)
    clicks = resume(tmp_path, 3).tracks[1].prompts[0]
    assert clicks.mask is not None
    assert np.array_equal(clicks.mask, mask)


def test_files_of_others_and_of_saves_under_way_stay(tmp_path: Path) -> None:
    mine = tmp_path / "object-7.safetensors"
    under_way = tmp_path / "object-1-0123abcd-0000.safetensors"
    left = tmp_path / "object-1-0123abce-masks.safetensors"
    for file in (mine, under_way, left):
        file.write_bytes(b"x")
    os.utime(left, (0, 0))  # years ago: whoever wrote it is gone
    begin().save(tmp_path)
    assert mine.exists() and under_way.exists() and not left.exists()
