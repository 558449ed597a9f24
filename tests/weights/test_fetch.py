"""The downloader, against a server on this machine that misbehaves on demand."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.server
import random
import ssl
import threading
from collections import namedtuple

import pytest

from edgetam.errors import DownloadError
from edgetam.weights import fetch as module
from edgetam.weights.fetch import fetch

CONTENT = random.Random(3).randbytes(700_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves ``content``; the switches below change how."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.tag = '"one"'
        self.kind = "application/octet-stream"
        self.ranges = True
        self.cuts: list[int] = []
        self.answers: list[int] = []
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/edgetam.pt"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        if server.answers:
            return self.send_error(server.answers.pop(0))
        start = 0
        fresh = self.headers.get("If-Range", server.tag) == server.tag
        if wanted and server.ranges and fresh:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(206)
            self.send_header(
                "Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}"
            )
        else:
            self.send_response(200)
        body = server.content[start:]
        self.send_header("Content-Type", server.kind)
        self.send_header("Content-Length", str(len(body)))
        if server.tag:
            self.send_header("ETag", server.tag)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the client may have gone, as some tests do
            self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)
        return None


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "edgetam.pt"


def files(target):
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_arrives_whole_and_nothing_else_is_left(server, target):
    seen = []
    found = fetch(server.url, target, SHA256, len(CONTENT), lambda done, total: seen.append((done, total)))
    assert found == SHA256
    assert target.read_bytes() == CONTENT
    assert files(target) == ["edgetam.pt"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_broken_connections_are_resumed_where_they_broke(server, target):
    server.cuts = [300_000, 100_000]
    fetch(server.url, target, SHA256)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=400000-"]


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_an_interrupted_download_goes_on_in_a_later_call(sha256, server, target):
    class StopError(Exception):
        pass

    def interrupt(done, total):
        if done > 200_000:
            raise StopError

    with pytest.raises(StopError):
        fetch(server.url, target, sha256, progress=interrupt)
    assert not target.exists()
    fetch(server.url, target, sha256)
    assert target.read_bytes() == CONTENT
    assert server.asked[1] is not None


def test_a_file_that_changed_in_between_starts_over(server, target):
    server.cuts = [300_000] + [0] * 3
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch(server.url, target)
    server.content, server.tag = CONTENT[::-1], '"two"'
    fetch(server.url, target)
    assert target.read_bytes() == CONTENT[::-1]


def test_without_a_hash_or_a_version_nothing_is_resumed(server, target):
    server.tag, server.cuts = "", [300_000]
    fetch(server.url, target)
    assert server.asked == [None, None]
    assert target.read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_is_read_from_the_start(server, target):
    server.ranges, server.cuts = False, [300_000]
    fetch(server.url, target, SHA256)
    assert target.read_bytes() == CONTENT


def test_a_part_that_is_already_whole_is_only_checked(server, target):
    target.parent.mkdir()
    part = target.with_name("edgetam.pt.part")
    part.write_bytes(CONTENT)
    fetch(server.url, target, SHA256)
    assert target.read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_a_part_longer_than_the_file_is_thrown_away(server, target):
    target.parent.mkdir()
    target.with_name("edgetam.pt.part").write_bytes(CONTENT + b"more")
    fetch(server.url, target, SHA256)
    assert target.read_bytes() == CONTENT


def test_another_hash_is_refused_and_deleted(server, target):
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(DownloadError, match=r"sha256 .* expected"):
        fetch(server.url, target, SHA256)
    assert files(target) == []


def test_another_size_is_refused_before_reading(server, target):
    with pytest.raises(DownloadError, match="expected 5"):
        fetch(server.url, target, SHA256, size=5)
    assert files(target) == []


def test_busy_servers_are_asked_again_and_missing_files_are_not(server, target):
    server.answers = [503, 429]
    fetch(server.url, target, SHA256)
    assert len(server.asked) == 3
    server.answers, server.asked = [404, 404], []
    with pytest.raises(DownloadError, match="404"):
        fetch(server.url, target, SHA256)
    assert len(server.asked) == 1
    assert target.read_bytes() == CONTENT


def test_a_web_page_is_not_taken_for_a_file(server, target):
    server.kind, server.content = "text/html; charset=utf-8", b"<html>please log in</html>"
    with pytest.raises(DownloadError, match="web page"):
        fetch(server.url, target)
    assert files(target) == []


def test_no_connection_says_where_to_put_the_file(server, target):
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match="cannot be reached") as caught:
        fetch(server.url, target)
    assert str(target) in str(caught.value)


@pytest.mark.parametrize(
    "error", [ssl.SSLError(1, "bad record"), OSError(errno.EHOSTUNREACH, "No route to host")]
)
def test_a_network_that_fails_is_not_the_disk(error, server, target, monkeypatch):
    urlopen, left = module.urllib.request.urlopen, [error]

    def break_once(request, timeout):
        response = urlopen(request, timeout=timeout)
        read = response.read

        def play(size):
            if left:
                raise left.pop()
            return read(size)

        response.read = play
        return response

    monkeypatch.setattr(module.urllib.request, "urlopen", break_once)
    assert fetch(server.url, target, SHA256) == SHA256
    assert len(server.asked) == 2

    def refuse(request, timeout):
        raise error

    monkeypatch.setattr(module.urllib.request, "urlopen", refuse)
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch(server.url, target.with_name("other.pt"), SHA256)


def test_a_disk_that_fills_up_keeps_what_arrived(server, target, monkeypatch):
    copy = module._copy

    def full(response, file, *rest):
        file.write(response.read(1000))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_copy", full)
    with pytest.raises(DownloadError, match="disk is full"):
        fetch(server.url, target, SHA256)
    assert not target.exists()
    monkeypatch.setattr(module, "_copy", copy)
    fetch(server.url, target, SHA256)
    assert server.asked[-1] == "bytes=1000-"
    assert target.read_bytes() == CONTENT


def test_a_disk_that_is_too_small_is_noticed_before(server, target, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(10, 10, 0))
    with pytest.raises(DownloadError, match=r"needs 700000 bytes .* 0 free"):
        fetch(server.url, target, SHA256)
    assert files(target) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "edgetam.pt"])
def test_only_web_addresses_are_fetched(url, target):
    with pytest.raises(DownloadError, match="https"):
        fetch(url, target)
