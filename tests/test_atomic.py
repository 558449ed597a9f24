"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from edgetam.atomic import atomic_folder, atomic_open, atomic_path, atomic_write, check_file, make_folder
from edgetam.errors import OutputError


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    atomic_write(path, b"one")
    atomic_write(path, memoryview(b"two"))
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["a.bin"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
def test_an_interruption_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.bin"
    atomic_write(path, b"old")
    with pytest.raises(type(error)), atomic_open(path) as file:
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "may not write"),
        (errno.EIO, "error"),
    ],
)
def test_a_failing_disk_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    path = tmp_path / "a.bin"
    with pytest.raises(OutputError, match=message) as caught:
        atomic_write(path, b"data")
    assert str(path) in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize("lend", [atomic_path, atomic_folder])
@pytest.mark.parametrize(("where", "named"), [("tmp/x", "tmp/x"), ("out/.part/x", "out/a")])
def test_the_disk_that_is_full_is_named(tmp_path: Path, lend: Any, where: str, named: str) -> None:
    """Temporary files of what is called in the block may lie on another one."""
    (tmp_path / "out").mkdir()
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / where))
    with pytest.raises(OutputError) as caught, lend(tmp_path / "out" / "a"):
        raise full
    assert str(caught.value).startswith(f"Cannot write '{tmp_path / named}': the disk is full")


def test_folders_that_are_missing_or_files(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        atomic_write(tmp_path / "none" / "a.bin", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        atomic_write(tmp_path / "file" / "a.bin", b"")
    with pytest.raises(OutputError, match="not a folder"):
        make_folder(tmp_path / "file" / "sub")
    with pytest.raises(OutputError, match="in the way"):
        make_folder(tmp_path / "file")


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(OutputError, match="in the way"):
        atomic_write(tmp_path / "a.bin", b"data")
    assert names(tmp_path) == ["a.bin"]


def test_a_file_that_cannot_be_written_is_found_out_beforehand(tmp_path: Path) -> None:
    check_file(tmp_path / "new" / "report.json")
    assert list((tmp_path / "new").iterdir()) == [], "only its folder is made"
    with pytest.raises(OutputError, match="a folder of that name is in the way"):
        check_file(tmp_path / "new")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "Input/output error")])
def test_a_folder_is_never_lost_between_two_steps(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "old").write_text("whole")
    replace = Path.replace

    def stopped(self: Path, other: Path) -> Path:
        if self.suffix == ".part":
            raise error
        return replace(self, other)

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises((KeyboardInterrupt, OutputError)), atomic_folder(target) as folder:
        (folder / "new").write_text("half")
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]
    assert (target / "old").read_text() == "whole"
