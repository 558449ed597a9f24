"""One process at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgetam.errors import OutputError
from edgetam.locks import LOCK, alone, sole_writer

HOLD = """
import sys
from pathlib import Path
from edgetam.locks import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("here", flush=True)
    input()
"""


def test_a_folder_has_one_writer_until_its_process_ends(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdout is not None
    assert held.stdout.readline() == "here\n"
    with pytest.raises(OutputError, match="Another run is writing to"), sole_writer(folder):
        pytest.fail("two at once")
    held.kill()
    held.communicate()
    with sole_writer(folder):
        assert [path.name for path in folder.iterdir()] == [LOCK]


def test_folders_have_writers_of_their_own(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "a"), sole_writer(tmp_path / "b"):
        pass


@pytest.mark.parametrize("error", [TimeoutError("slow"), OSError(28, "full"), OutputError("no room")])
def test_what_goes_wrong_inside_is_not_taken_for_a_lock(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, sole_writer(tmp_path):
        raise error
    assert caught.value is error


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(OutputError, match=LOCK), sole_writer(tmp_path):
        pytest.fail("no lock can be there")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"), sole_writer(tmp_path / "file"):
        pytest.fail("no folder can be there")


def test_environments_that_only_run_bundles_have_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)
    with sole_writer(tmp_path), sole_writer(tmp_path):
        pass


def test_disks_without_locks_have_writers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoLock:
        def __init__(self, *args: object, **named: object) -> None: ...

        def __enter__(self) -> None:
            raise NotImplementedError

        def __exit__(self, *args: object) -> None: ...

    monkeypatch.setattr("filelock.FileLock", NoLock)
    with sole_writer(tmp_path), alone(tmp_path / "other"):
        pass
