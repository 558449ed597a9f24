"""Video files as sources of frames."""

from __future__ import annotations

import itertools
import logging
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetam.errors import ConfigError, MediaError
from edgetam.io import FrameSource, open_frames
from edgetam.io.video import Orientation
from tests.io.clips import damage, make_video, number, picture


def numbers(source) -> list[int]:
    return [number(source[index]) for index in range(len(source))]


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("clip.mp4", "libx264", "yuv420p"),
        ("clip.mkv", "libx264", "yuv420p10le"),
        ("clip.mp4", "libx265", "yuv420p10le"),
        ("clip.mkv", "ffv1", "yuv444p10le"),
        ("clip.webm", "libvpx-vp9", "yuv420p"),
        ("clip.webm", "libvpx", "yuv420p"),
        ("clip.avi", "mpeg4", "yuv420p"),
        ("clip.avi", "libx264", "yuv420p"),
        ("clip.ts", "libx264", "yuv420p"),
        ("clip.h264", "libx264", "yuv420p"),
    ],
)
def test_every_frame_in_any_order(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    special = {"libx265": {"x265-params": "log-level=none"}, "mpeg4": {"g": "8", "b": "8000000", "qmax": "2"}}
    options = special.get(codec, {"g": "8"})
    path = make_video(tmp_path / name, codec=codec, pixels=pixels, options=options)
    with open_frames(path) as source:
        assert (len(source), source.width, source.height, source.fps) == (24, 64, 48, 25.0)
        forwards = [source[index] for index in range(24)]
        assert [number(image) for image in forwards] == list(range(24))
        order = [*range(23, -1, -1), 5, 20, 6, 0, 23, 12, 12, 3]
        assert all(np.array_equal(source[index], forwards[index]) for index in order)
        assert source.time(10) == pytest.approx(0.4)
        assert source.bad_frames == ()
        assert source.name == name


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("long") / "clip.mp4", count=44, options={"g": "10", "bf": "3"})


@settings(max_examples=20)
@given(order=st.lists(st.integers(0, 43), min_size=1, max_size=12))
def test_jumping_about_gives_the_right_frames(long_clip: Path, order: list[int]) -> None:
    with open_frames(long_clip) as source:
        assert [number(source[index]) for index in order] == order


def test_backwards_with_little_room_to_hold_frames(long_clip: Path) -> None:
    with open_frames(long_clip) as source:
        source._backward_held = 2
        assert [number(source[index]) for index in range(43, -1, -1)] == list(range(43, -1, -1))
        assert len(source._held) <= 2


def test_memory_does_not_grow_with_the_video(long_clip: Path) -> None:
    with open_frames(long_clip) as source:
        for index in range(44):
            source[index]
            assert len(source._held) <= 2
            assert len(source._reader._recent) <= 4


def test_odd_sizes_survive(tmp_path: Path) -> None:
    path = make_video(tmp_path / "odd.mkv", codec="ffv1", pixels="yuv444p", size=(47, 63))
    with open_frames(path) as source:
        assert source[3].shape == (47, 63, 3)
        assert np.abs(source[3].astype(int) - picture(3, 47, 63)).max() <= 4


@pytest.mark.parametrize("turn", [0, 90, 180, -90])
def test_rotation_is_applied(tmp_path: Path, turn: int) -> None:
    path = make_video(tmp_path / "turned.mp4", rotation=turn)
    with open_frames(path) as source:
        expected = np.rot90(picture(2), turn // 90)
        assert (source.height, source.width) == expected.shape[:2] == source[2].shape[:2]
        assert np.abs(source[2].astype(int) - expected).mean() < 8


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), lambda image: image),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((1, 0, 0, -1), lambda image: image[::-1]),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda image: image.transpose(1, 0, 2)[::-1, ::-1]),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    ],
)
def test_mirrored_display_matrices(matrix, expected) -> None:
    a, b, c, d = (value * 65536 for value in matrix)
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    numbers9 = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], np.int32)
    assert np.array_equal(Orientation(numbers9).apply(image), expected(image))


def test_variable_frame_rate_keeps_the_real_times(tmp_path: Path) -> None:
    times = [100, 140, 300, 310, 900, 1000, 1500, 1501]
    path = make_video(tmp_path / "vfr.mkv", count=8, times=times)
    with open_frames(path) as source:
        seconds = [source.time(index) for index in range(8)]
        assert seconds == pytest.approx([(time - 100) / 1000 for time in times])
        assert numbers(source) == list(range(8))


def test_negative_times_start_at_zero(tmp_path: Path) -> None:
    path = make_video(tmp_path / "early.mkv", count=6, times=[-80, -40, 0, 40, 80, 120])
    with open_frames(path) as source:
        assert source.time(0) == 0
        assert source.time(5) == pytest.approx(0.2)
        assert numbers(source) == list(range(6))


def test_a_recording_that_starts_between_keyframes(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "cut.ts", count=40, options={"g": "10", "bf": "2", "x264-params": "open-gop=1"}
    )
    import av

    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    second = [packet for packet in packets if packet.is_keyframe][1]
    path.write_bytes(path.read_bytes()[second.pos // 188 * 188 :])
    with open_frames(path) as source:
        seen = numbers(source)
    assert seen == list(range(seen[0], 40))
    assert len(seen) >= 28


def test_indices_outside(long_clip: Path) -> None:
    with open_frames(long_clip) as source:
        for index in (-1, 44):
            with pytest.raises(IndexError, match=r"0\.\.43"):
                source[index]


def test_drawing_on_a_frame_does_not_change_it(long_clip: Path) -> None:
    with open_frames(long_clip) as source:
        source[4][:] = 0
        assert number(source[4]) == 4


def test_closed_sources_say_so(long_clip: Path) -> None:
    source = open_frames(long_clip)
    assert source._decoder.stream is not None
    source.close()
    source.close()
    assert source._decoder.stream is None  # it would keep the codec's pictures in memory
    with pytest.raises(MediaError, match="closed"):
        source[0]


def test_two_threads_share_a_source(long_clip: Path) -> None:
    wrong: list[int] = []
    with open_frames(long_clip) as source:

        def read(order: range) -> None:
            wrong.extend(index for index in order if number(source[index]) != index)

        threads = [threading.Thread(target=read, args=(order,)) for order in (range(44), range(43, -1, -2))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_source_may_be_closed_while_another_thread_reads(long_clip: Path) -> None:
    for _ in range(10):
        source, said = open_frames(long_clip), list[str]()
        begun = threading.Event()

        def read(
            source: FrameSource = source, said: list[str] = said, begun: threading.Event = begun
        ) -> None:
            try:
                for index in itertools.cycle(range(len(source))):
                    source[index]
                    begun.set()
            except MediaError as error:
                said.append(str(error))

        thread = threading.Thread(target=read)
        thread.start()
        begun.wait(10)
        source.close()  # FFmpeg would crash the process if a frame were being decoded
        thread.join()
        assert "has been closed" in said[0]


def test_damaged_frame_stops_by_default(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", options={"g": "1"})
    damage(path, 10)
    with open_frames(path) as source:
        assert number(source[9]) == 9
        with pytest.raises(MediaError, match=r"Frame 10 of 'clip\.mp4' cannot be read"):
            source[10]
        assert number(source[11]) == 11


def test_damaged_frame_is_skipped_on_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = make_video(tmp_path / "clip.mp4", options={"g": "1"})
    for index in (0, 10, 11):
        damage(path, index)
    with caplog.at_level(logging.WARNING, "edgetam"), open_frames(path, on_bad_frame="skip") as source:
        seen = numbers(source)
        assert seen == [1, *range(1, 10), 9, 9, *range(12, 24)]
        assert numbers(source) == seen
        assert source.bad_frames == (0, 10, 11)
    assert len(caplog.records) == 1


@pytest.fixture
def damaged_start(tmp_path: Path) -> Path:
    """A recording whose first picture decodes, with damage: one packet of its data is lost."""
    whole = make_video(tmp_path / "whole.ts", size=(240, 320), options={"g": "8", "bf": "0"}).read_bytes()
    path = tmp_path / "damaged.ts"
    for lost in range(3, 12):
        path.write_bytes(whole[: 188 * lost] + whole[188 * (lost + 1) :])
        with av.open(str(path)) as container:
            corrupt = [picture.is_corrupt for picture in container.decode(video=0)]
        if corrupt[0] and len(corrupt) == 24 and not corrupt[-1]:
            return path
    raise AssertionError("No lost packet damages the first picture.")


def test_a_damaged_start_is_a_bad_frame_like_any_other(damaged_start: Path) -> None:
    with open_frames(damaged_start) as source:
        assert (source.width, source.height, len(source)) == (320, 240, 24)
        with pytest.raises(MediaError, match="Frame 0 of"):
            source[0]
        assert number(source[23]) == 23
    with open_frames(damaged_start, on_bad_frame="skip") as source:
        stand_in = source[0]
        assert source.bad_frames[0] == 0
        assert np.array_equal(stand_in, source[source.bad_frames[-1] + 1])
        assert number(source[23]) == 23


def test_cut_off_video_serves_what_is_there(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", options={"g": "1"}, container_options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with open_frames(path) as source:
        assert len(source) == 24
        assert number(source[8]) == 8
        with pytest.raises(MediaError, match="breaks off"):
            source[23]
    with open_frames(path, on_bad_frame="skip") as source:
        seen = numbers(source)
        last = min(source.bad_frames) - 1
        assert seen == [*range(last + 1), *[last] * (23 - last)]
        assert source.bad_frames == tuple(range(last + 1, 24))


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_hopeless_files_fail_when_opened(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4").read_bytes()
    cases = {
        "no file": tmp_path / "missing.mp4",
        "empty": write(tmp_path / "empty.mp4", b""),
        "not a video": write(tmp_path / "noise.mp4", bytes(range(256)) * 64),
        "no video": write(tmp_path / "notes.txt", b"just text\n" * 400),
        "cut off": write(tmp_path / "cut.mp4", whole[: len(whole) // 2]),
        "holds no": make_video(tmp_path / "zero.mp4", count=0),
    }
    for message, path in cases.items():
        with pytest.raises(MediaError) as caught:
            open_frames(path)
        text = str(caught.value)
        assert message in text, text
        assert str(path) in text
        assert text.count("\n") == 0
        assert text.endswith(".")


def test_sound_without_pictures_is_not_a_video(tmp_path: Path) -> None:
    import av

    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match="holds no video"):
        open_frames(path)


def test_unknown_choice_for_bad_frames(long_clip: Path) -> None:
    with pytest.raises(ConfigError, match="'stop' or 'skip'"):
        open_frames(long_clip, on_bad_frame="ignore")  # type: ignore[arg-type]
