"""Live sources: generators, files played once, addresses, cameras."""

from __future__ import annotations

import functools
import http.server
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import av.error
import numpy as np
import pytest
from PIL import Image

from edgetam.errors import MediaError
from edgetam.io import LiveFrame, open_live
from edgetam.io.live import LiveSource, _network_frames
from tests.io.clips import make_video, number, picture


def test_a_generator_is_read_one_frame_at_a_time() -> None:
    made: list[int] = []
    closed: list[bool] = []

    def endless() -> Iterator[np.ndarray]:
        try:
            for index in range(10**9):
                made.append(index)
                yield picture(index)
        finally:
            closed.append(True)

    with open_live(endless()) as source:
        first, second = next(source), next(source)
        assert (first.index, second.index, first.time) == (0, 1, None)
        assert number(np.asarray(second)) == 1
        assert made == [0, 1]
    assert closed == [True]


def test_a_source_may_be_closed_while_another_thread_waits_for_a_frame() -> None:
    waits, goes_on, closed = threading.Event(), threading.Event(), threading.Event()

    def slow() -> Iterator[np.ndarray]:
        try:
            waits.set()
            assert goes_on.wait(10)
            yield picture(0)
        finally:
            closed.set()

    source, frames = open_live(slow()), list[LiveFrame]()
    thread = threading.Thread(target=lambda: frames.extend(source))
    thread.start()
    assert waits.wait(10)
    source.close()
    goes_on.set()
    thread.join(10)
    assert closed.is_set()
    assert frames == []


def test_images_of_other_kinds_and_times_pass_through() -> None:
    items = [Image.fromarray(picture(3)), LiveFrame(9, picture(4), 1.5), np.zeros((4, 4), np.uint8)]
    frames = list(open_live(items))
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.time for frame in frames] == [None, 1.5, None]
    assert frames[2].image.shape == (4, 4, 3)


def test_a_file_is_played_once_with_times(tmp_path: Path) -> None:
    frames = list(open_live(make_video(tmp_path / "a.mp4", count=6)))
    assert [number(frame.image) for frame in frames] == list(range(6))
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(6)])


def test_a_list_of_paths_is_played_once(tmp_path: Path) -> None:
    for index in range(3):
        Image.fromarray(picture(index)).save(tmp_path / f"{index}.png")
    paths = sorted(tmp_path.iterdir())
    for given in (paths, tuple(map(str, paths))):
        assert [number(frame.image) for frame in open_live(given)] == [0, 1, 2]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_file_behind_an_address_loses_no_frames(tmp_path: Path, server: str) -> None:
    make_video(tmp_path / "a.mp4", count=20)
    with open_live(f"{server}/a.mp4") as source:
        frames = list(source)
    assert [number(frame.image) for frame in frames] == list(range(20))
    assert frames[5].time == pytest.approx(0.2)


def test_addresses_that_do_not_answer_keep_passwords_secret(server: str) -> None:
    with pytest.raises(MediaError, match="does not answer"):
        open_live(f"{server}/missing.mp4")
    with pytest.raises(MediaError, match="does not answer") as caught:
        open_live("rtsp://user:sec@ret@127.0.0.1:9/stream")
    assert "'rtsp://127.0.0.1:9/stream'" in str(caught.value)


class BreaksOff(socketserver.BaseRequestHandler):
    """Sends half of what it promised and closes the connection."""

    video = b""

    def handle(self) -> None:
        self.request.recv(4096)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nContent-Length: {2 * len(self.video)}\r\n\r\n"
        self.request.sendall(head.encode() + self.video)


def test_a_connection_that_breaks_off_is_no_ordinary_end(tmp_path: Path) -> None:
    BreaksOff.video = make_video(tmp_path / "a.ts", count=100, size=(240, 320)).read_bytes()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), BreaksOff) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_address[1]}/a.ts"
        with (
            open_live(f"http://user:secret@{address}") as source,
            pytest.raises(MediaError, match="broke off") as caught,
        ):
            list(source)
        server.shutdown()
    assert f"'http://{address}'" in str(caught.value)


class Container:
    """A stream of one packet with one picture, then an error."""

    def __init__(self, error: av.error.FFmpegError):
        self.error = error
        self.codec_context = self
        self.closed = False

    def demux(self, stream: object) -> Iterator[Container]:
        yield self
        raise self.error

    def decode(self, packet: object = None) -> list[av.VideoFrame]:
        return [av.VideoFrame.from_ndarray(picture(3))]

    def close(self) -> None:
        self.closed = True


def test_a_stream_that_stalls_is_told_after_the_frames_that_came() -> None:
    container = Container(av.error.ExitError(1414092869, "Immediate exit requested"))
    frames = _network_frames(container, container, "rtsp://cam")
    assert [number(image) for image, _ in islice(frames, 2)] == [3, 3]  # one that came, one held back
    with pytest.raises(MediaError, match=r"'rtsp://cam' broke off \(nothing came for 10 seconds\)"):
        next(frames)
    assert container.closed


class RtspServer(socketserver.StreamRequestHandler):
    """Plays one MPEG-TS file to one client, as RTP inside the RTSP connection (RFC 2326 and 2250)."""

    video = b""

    def handle(self) -> None:
        while (request := self.rfile.readline()).strip():
            lines = iter(self.rfile.readline, b"\r\n")
            headers = dict(line.decode().strip().split(": ", 1) for line in lines)
            verb = request.split()[0].decode()
            self.answer(headers["CSeq"], *self.reply(verb, headers))
            if verb == "PLAY":
                self.play()
            if verb == "TEARDOWN":
                return

    def reply(self, verb: str, headers: dict[str, str]) -> tuple[str, str]:
        if verb == "DESCRIBE":
            sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\n"
            return "Content-Type: application/sdp\r\n", sdp
        if verb == "SETUP":
            return f"Session: 1\r\nTransport: {headers['Transport']}\r\n", ""
        return "Session: 1\r\nPublic: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", ""

    def answer(self, number: str, headers: str, body: str) -> None:
        head = f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self.wfile.write((head + body).encode())

    def play(self) -> None:
        size = 7 * 188
        for place, start in enumerate(range(0, len(self.video), size)):
            packet = (
                struct.pack(">BBHII", 0x80, 33, place, place * 3600, 1) + self.video[start : start + size]
            )
            self.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)


def test_rtsp(tmp_path: Path) -> None:
    RtspServer.video = make_video(tmp_path / "a.ts", count=200).read_bytes()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), RtspServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with open_live(f"rtsp://127.0.0.1:{server.server_address[1]}/live") as source:
            frame = next(source)
            assert frame.image.shape == (48, 64, 3)
            assert frame.time is not None
            assert 0 <= number(frame.image) < 45
        server.shutdown()


def test_a_slow_reader_gets_the_newest_frame() -> None:
    produced = threading.Event()

    def frames() -> Iterator[tuple[np.ndarray, float]]:
        for index in range(30):
            yield picture(index), index / 25
        produced.set()

    source = LiveSource(frames(), name="fast", newest=True)
    assert produced.wait(10)
    seen = [number(frame.image) for frame in source]
    assert seen == [29]


def test_a_stream_that_breaks_says_so_and_one_that_is_left_stops() -> None:
    def breaks() -> Iterator[tuple[np.ndarray, float]]:
        yield picture(0), 0.0
        raise OSError("cable pulled")

    with pytest.raises(MediaError, match="cable pulled"):
        list(LiveSource(breaks(), name="broken", newest=True))

    stopped = threading.Event()

    def endless() -> Iterator[tuple[np.ndarray, float]]:
        try:
            while True:
                time.sleep(0.001)
                yield picture(0), 0.0
        finally:
            stopped.set()

    with LiveSource(endless(), name="endless", newest=True) as source:
        next(source)
    assert stopped.wait(10)
    with pytest.raises(StopIteration):
        next(source)


class FakeCamera:
    """Stands in for OpenCV's, because test machines have none."""

    released = False

    def __init__(self, number: int):
        self.left = 3 if number == 1 else 0

    def isOpened(self) -> bool:  # noqa: N802
        return self.left > 0

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return (True, picture(self.left)[..., ::-1]) if self.left >= 0 else (False, None)

    def release(self) -> None:
        FakeCamera.released = True


@pytest.mark.parametrize("which", [1, "1"])
def test_cameras_give_rgb_and_are_released(monkeypatch: pytest.MonkeyPatch, which: object) -> None:
    monkeypatch.setattr("cv2.VideoCapture", FakeCamera)
    FakeCamera.released = False
    frames = []
    with open_live(which) as source:
        with pytest.raises(MediaError, match="Camera 1 gives no more pictures"):
            frames.extend(iter(source.__next__, None))
        assert source.name == "camera 1"
    assert FakeCamera.released


def test_a_missing_camera_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cv2.VideoCapture", FakeCamera)
    with pytest.raises(MediaError, match="Camera 7 does not open"):
        open_live(7)


def test_things_that_are_not_live() -> None:
    with pytest.raises(MediaError, match="no file or folder"):
        open_live("nowhere.mp4")
    with pytest.raises(MediaError, match="no file or folder '²'"):  # a digit, but no number
        open_live("²")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (1.5, "float"),
        ({}, "from a dict; expected a camera number"),
        ({0: picture(0)}, "from a dict"),
        (True, "from a bool"),
        ([], "no frames in the list; give at least one"),
        (np.zeros((0, 8, 8, 3), np.uint8), "no frames in the ndarray"),
        (picture(0), "one image; expected"),
        (-1, "no camera -1; cameras are numbered from 0"),
        (10**12, "no camera 1000000000000"),
    ],
)
def test_what_can_give_no_frame_is_told_at_once(source: object, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        open_live(source)
