"""Downloading one file over HTTP: resumed, verified and atomic.

What has arrived lies in ``NAME.part`` beside the target until size and hash agree; then it
is renamed. An interrupted download goes on where it stopped, if the server can and the
file on it is still the same one (``If-Range``); else it starts over.
"""

from __future__ import annotations

import errno
import http.client
import logging
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from edgetam.errors import DownloadError
from edgetam.weights.cache import sha256_of

__all__ = ["Progress", "fetch"]

Progress = Callable[[int, "int | None"], None]
"""Called with the bytes that are there and the bytes there will be, if known."""

TRIES = 4
TIMEOUT_S = 30.0
PAUSE_S = 0.5
"""Before the second try; doubled before each one after it."""
_CHUNK = 1 << 18
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows has no quota error
_RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}
_log = logging.getLogger("edgetam")


class _ConnectionLostError(Exception):
    """The connection failed in a way that may not last."""


def fetch(
    url: str,
    target: Path,
    sha256: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> str:
    """Download ``url`` to ``target`` and return its sha256.

    Args:
        url: http or https.
        target: file to write; replaced in one step once all is there.
        sha256: expected hash; None accepts what comes.
        size: expected number of bytes.
        progress: told how far it is.

    Raises:
        DownloadError: no connection, no such file, another file than expected, or no space.
    """
    if not url.startswith(("https://", "http://")):
        raise DownloadError(f"{url} cannot be downloaded, expected an https:// address; check it.")
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _with_retries(url, part, target, sha256, size, progress)
        found = _verified(url, part, sha256)
        part.replace(target)
        _validator(part).unlink(missing_ok=True)
    except OSError as error:
        raise DownloadError(_disk_message(target, part, error)) from error
    return found


def _with_retries(
    url: str, part: Path, target: Path, sha256: str | None, size: int | None, progress: Progress | None
) -> None:
    tries, reason = 0, ""
    while tries < TRIES:
        if tries:
            time.sleep(PAUSE_S * 2 ** (tries - 1))
        before = _bytes_in(part)
        try:
            return _attempt(url, part, sha256 is not None, size, progress)
        except _ConnectionLostError as error:
            reason = str(error)
        # As long as bytes arrive it is worth going on.
        tries = 1 if _bytes_in(part) > before else tries + 1
        _log.info("Download of %s interrupted (%s).", url, reason)
    raise DownloadError(
        f"{url} cannot be reached ({reason}); check the connection and try again, or download it elsewhere "
        f"and put it at {target}."
    )


def _attempt(url: str, part: Path, hash_known: bool, size: int | None, progress: Progress | None) -> None:
    start = _resume_from(part, hash_known)
    with _open(url, start, part) as response:
        status = response.status
        if status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            _beyond_end(response, part, start)
            return
        if "text/html" in response.headers.get("Content-Type", ""):
            raise DownloadError(
                f"{url} is a web page, expected a file; check the address, and whether it needs a login."
            )
        resumed = status == http.HTTPStatus.PARTIAL_CONTENT and _range_start(response) == start
        if status == http.HTTPStatus.PARTIAL_CONTENT and not resumed:
            part.unlink(missing_ok=True)
            raise _ConnectionLostError("the server sent another part than asked for")
        done = start if resumed else 0
        total = _total(response, done)
        if size is not None and total is not None and total != size:
            part.unlink(missing_ok=True)
            raise DownloadError(
                f"{url} has {total} bytes, expected {size}; it is another file, so check the address."
            )
        _check_space(url, part, total, done)
        _note_validator(response, part)
        with part.open("ab" if resumed else "wb") as file:
            _copy(response, file, done, total, progress)


def _resume_from(part: Path, hash_known: bool) -> int:
    """Bytes to keep; none where nothing would tell that the file has changed in between."""
    return _bytes_in(part) if hash_known or _validator(part).is_file() else 0


def _open(url: str, start: int, part: Path) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "edgetam", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        if _validator(part).is_file():
            request.add_header("If-Range", _validator(part).read_text())
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            return error  # type: ignore[return-value]
        error.close()
        if error.code in _RETRIED_STATUS:
            raise _ConnectionLostError(f"the server answered {error.code}") from error
        raise DownloadError(
            f"{url} cannot be downloaded (the server says {error.code} {error.reason}); check the address."
        ) from error
    except urllib.error.URLError as error:
        raise _ConnectionLostError(str(error.reason)) from error
    except (http.client.HTTPException, OSError) as error:
        raise _ConnectionLostError(str(error) or type(error).__name__) from error
    except ValueError as error:
        raise DownloadError(f"{url} is not an address ({error}); check it.") from error


def _beyond_end(response: http.client.HTTPResponse, part: Path, start: int) -> None:
    """The server has nothing after what we have: either we have it all, or something else."""
    total = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
    if total is None or int(total.group(1)) != start:
        part.unlink(missing_ok=True)
        raise _ConnectionLostError("the file on the server has changed")


def _range_start(response: http.client.HTTPResponse) -> int | None:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found.group(1)) if found else None


def _total(response: http.client.HTTPResponse, done: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return done + int(length) if length.isdecimal() else None


def _check_space(url: str, part: Path, total: int | None, done: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - done > free:
        raise DownloadError(
            f"{url} needs {total - done} bytes and {part.parent} has {free} free; free some disk space, or "
            "set EDGETAM_CACHE to a folder on another disk."
        )


def _copy(
    response: http.client.HTTPResponse,
    file: BinaryIO,
    done: int,
    total: int | None,
    progress: Progress | None,
) -> None:
    while True:
        try:
            chunk = response.read(_CHUNK)
        except (http.client.HTTPException, OSError) as error:  # no route, TLS: the disk has no part in it
            raise _ConnectionLostError(str(error) or type(error).__name__) from error
        if not chunk:
            break
        file.write(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done, total)
    file.flush()
    os.fsync(file.fileno())
    if total is not None and done < total:
        raise _ConnectionLostError(f"{done} of {total} bytes arrived")


def _verified(url: str, part: Path, sha256: str | None) -> str:
    found = sha256_of(part)
    if sha256 is not None and found != sha256:
        part.unlink(missing_ok=True)
        _validator(part).unlink(missing_ok=True)
        raise DownloadError(
            f"{url} has sha256 {found}, expected {sha256}; what arrived was deleted, so try again, and if it "
            "happens again do not use that address."
        )
    return found


def _bytes_in(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _validator(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _note_validator(response: http.client.HTTPResponse, part: Path) -> None:
    """Keep what tells this version of the file from a later one; weak tags do not."""
    tag = response.headers.get("ETag", "")
    version = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    if version:
        _validator(part).write_text(version)
    else:
        _validator(part).unlink(missing_ok=True)


def _disk_message(target: Path, part: Path, error: OSError) -> str:
    if error.errno in _FULL:
        return (
            f"The disk is full: {target} needs more room than there is; free some (the {_bytes_in(part)} "
            f"bytes in {part.name} are kept to go on from), or set EDGETAM_CACHE to a folder on another disk."
        )
    return f"{target} cannot be written ({error}); check the folder, or set EDGETAM_CACHE to another one."
