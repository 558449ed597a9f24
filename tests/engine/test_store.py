"""Converted models on disk: made once, checked, and never in the way."""

from __future__ import annotations

import errno
import io
import logging
import os
import secrets
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import pytest

from edgetam.engine import store as module
from edgetam.engine.store import DAY_S, Store, remove, unneeded
from edgetam.errors import EngineError, OutputError
from edgetam.weights import cache as cache_module


class Maker:
    """Counts how often an artifact is made."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, folder: Path) -> None:
        self.count += 1
        (folder / "a.bin").write_bytes(b"weights" * 100)
        (folder / "b.txt").write_text("graph")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_made_once_and_found_by_the_next_process(cache: Path) -> None:
    make = Maker()
    first = Store("toy-1", "weights", 7).get("encode", make)
    assert Store("toy-1", "weights", 7).get("encode", make) == first
    assert make.count == 1
    assert first.is_relative_to(cache)
    assert sorted(p.name for p in first.iterdir()) == ["a.bin", "b.txt", "sha256.json"]
    assert [p.name for p in first.parent.iterdir()] == ["encode"]


@pytest.mark.parametrize(
    ("runtime", "facts"), [("toy-2", ("w", 7)), ("toy-1", ("w", 8)), ("toy-1", ("v", 7))]
)
def test_other_facts_are_other_artifacts(runtime: str, facts: tuple[object, ...]) -> None:
    make = Maker()
    Store("toy-1", "w", 7).get("encode", make)
    Store(runtime, *facts).get("encode", make)
    assert make.count == 2


def damage_truncate(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"weights" * 99)


def damage_alter(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"weighty" * 100)


def damage_remove(folder: Path) -> None:
    (folder / "b.txt").unlink()


def damage_sums(folder: Path) -> None:
    (folder / "sha256.json").write_text("[]")


def damage_no_sums(folder: Path) -> None:
    (folder / "sha256.json").unlink()


@pytest.mark.parametrize(
    "damage", [damage_truncate, damage_alter, damage_remove, damage_sums, damage_no_sums]
)
def test_damage_is_noticed_and_repaired(damage, caplog: pytest.LogCaptureFixture) -> None:
    make = Maker()
    store = Store("toy-1")
    folder = store.get("encode", make)
    damage(folder)
    assert store.get("encode", make) == folder
    assert make.count == 2
    assert "damaged" in caplog.text
    caplog.clear()
    store.get("encode", make)
    assert make.count == 2
    assert not caplog.text


def test_a_cache_that_cannot_be_used_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path / "file"))
    make, store = Maker(), Store("toy-1")
    folder = store.get("encode", make)
    assert (folder / "a.bin").read_bytes() == b"weights" * 100
    store.get("attend", make)
    assert store.get("encode", make) == folder
    assert make.count == 2
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    assert "EDGETAM_CACHE" in caplog.text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Notebook(io.StringIO):
    """What a kernel puts in the place of stderr."""

    __module__ = "ipykernel.iostream"


def convert_two(monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO, handled: str | None = None) -> str:
    """What a script sees that has set up no logging, or a handler of one logger."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        for name in ("", "edgetam", "edgetam.engine"):
            handlers = [logging.NullHandler()] if name == handled else []
            patch.setattr(logging.getLogger(name), "handlers", handlers)
        store = Store("toy-1")
        store.say_converting("encode", "Toy")
        store.say_converting("attend", "Toy")
    return stderr.getvalue()


@pytest.mark.parametrize("stderr", [Terminal, Notebook, type("Outer", (Notebook,), {})])
def test_a_script_at_a_terminal_is_told_of_a_conversion_once(
    stderr: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "edgetam: converting the model for Toy, which takes a while and happens once.\n"
    assert convert_two(monkeypatch, stderr()) == said
    assert convert_two(monkeypatch, io.StringIO()) == "", "files and pipes get results alone"


@pytest.mark.parametrize("name", ["", "edgetam", "edgetam.engine"])
def test_who_set_up_logging_is_told_by_it_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert convert_two(monkeypatch, Terminal(), name) == ""


def test_who_wants_errors_only_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    logging.getLogger("edgetam").setLevel(logging.ERROR)
    assert convert_two(monkeypatch, Terminal()) == ""


def refused(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_what_a_read_only_cache_holds_is_used(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As of an image in which root converted the models: also after something in it was missing."""
    first, second = Maker(), Maker()
    baked = Store("toy-1").get("encode", first)
    monkeypatch.setattr(Path, "mkdir", refused)
    monkeypatch.setattr(module.os, "utime", refused)
    for _ in range(2):
        store = Store("toy-1")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "mkdir", refused_below(cache))
            assert not store.get("attend", second).is_relative_to(cache)
        assert store.get("encode", second) == baked
    assert second.count == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"], (
        "one, however many models are loaded"
    )


def refused_below(cache: Path) -> Callable[..., None]:
    def mkdir(path: Path, *_: object, **__: object) -> None:
        if path.is_relative_to(cache):
            refused()
        os.makedirs(path, exist_ok=True)  # noqa: PTH103  (Path.mkdir is this one now)

    return mkdir


def test_a_cache_that_may_not_be_entered_costs_one_warning(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder of mode 0700 of another user; played, because root may enter it."""
    stat = Path.stat

    def forbidden(path: Path, **options: bool) -> os.stat_result:
        return refused() if path.is_relative_to(cache) else stat(path, **options)

    monkeypatch.setattr(Path, "stat", forbidden)
    monkeypatch.setattr(Path, "mkdir", refused_below(cache))
    make = Maker()
    store = Store("toy-1")
    assert not store.get("encode", make).is_relative_to(cache)
    store.get("encode", make)
    assert make.count == 1
    assert "Permission denied" in caplog.text
    assert len(caplog.records) == 1


def test_without_a_home_models_are_converted_all_the_same(
    no_home: None, caplog: pytest.LogCaptureFixture
) -> None:
    make = Maker()
    folder = Store("toy-1").get("encode", make)
    assert Store("toy-1").get("encode", make) == folder
    assert make.count == 1
    assert "EDGETAM_CACHE" in caplog.text
    assert len(caplog.records) == 1


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user that the system does not know, as in containers."""
    for name in ("EDGETAM_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)

    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    cache_module._passing_dir.cache_clear()
    yield
    cache_module._passing_dir.cache_clear()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_others_may_read_what_the_umask_lets_them(mask: int) -> None:
    before = os.umask(mask)
    try:
        folder = Store("toy-1").get("encode", Maker())
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~mask
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o666 & ~mask}


def age(folder: Path, days: float) -> None:
    when = time.time() - days * DAY_S
    os.utime(folder, (when, when))


def test_what_killed_processes_left_goes_after_a_day(cache: Path) -> None:
    here = Store("toy-1").get("encode", Maker()).parent
    elsewhere = Store("toy-2").get("encode", Maker()).parent
    old, young, other = here / ".old.part", here / ".young.part", elsewhere / ".other.part"
    for part in (old, young, other):
        part.mkdir()
        (part / "half.bin").write_bytes(b"half")
    age(old, 1.1)
    age(other, 40)
    Store("toy-1").get("encode", Maker())
    assert old.is_dir(), "nothing was stored"
    Store("toy-1").get("attend", Maker())
    assert sorted(path.name for path in here.iterdir()) == [".young.part", "attend", "encode"]
    assert [path.name for path in elsewhere.iterdir()] == ["encode"]


def test_models_that_are_not_used_are_known(cache: Path) -> None:
    make = Maker()
    used, unused, recent = (Store("toy-1", name) for name in ("used", "unused", "recent"))
    for store in (used, unused, recent):
        store.get("encode", make)
    for store in (used, unused):
        age(store.folder, 40)
    left = recent.folder / ".left.part"
    left.mkdir()
    age(left, 2)
    age(recent.folder, 5)
    used.get("encode", make)
    found = {each.folder: each for each in unneeded(30)}
    assert found.keys() == {unused.folder, left}
    assert found[unused.folder].size == sum(
        path.stat().st_size for path in (unused.folder / "encode").iterdir()
    )
    assert found[unused.folder].days == pytest.approx(40, abs=0.1)
    assert {each.folder for each in unneeded(0)} == {store.folder for store in (used, unused, recent)}
    for folder in found:
        remove(folder)
        remove(folder)  # somebody else did already
    assert not list(cache.rglob("*.part"))
    assert not unused.folder.exists()
    assert used.get("encode", make).is_dir()
    assert make.count == 3


def test_a_full_disk_leaves_no_halves(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    make = Maker()

    def full(folder: Path) -> None:
        make(folder)
        if folder.is_relative_to(cache):
            raise OSError(28, "No space left on device")

    folder = Store("toy-1").get("encode", full)
    assert not folder.is_relative_to(cache)
    assert "No space left on device" in caplog.text
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_whoever_finishes_first_wins() -> None:
    """Two processes convert the same graph: the second keeps the first one's, and drops its own."""
    slow = Store("toy-1")

    def raced(folder: Path) -> None:
        (folder / "a.bin").write_bytes(b"late")
        Store("toy-1").get("encode", Maker())

    folder = slow.get("encode", raced)
    assert (folder / "a.bin").read_bytes() == b"weights" * 100
    assert [path.name for path in folder.parent.iterdir()] == ["encode"]
    assert not Store("toy-1").put("encode", raced).joinpath("b.txt").exists(), "put replaces in any case"


PAIR = """
import os, sys, time
from pathlib import Path
from edgetam.engine.store import Store

def make(folder):
    mark = os.urandom(16)
    for name in ("model.xml", "model.bin"):
        (folder / name).write_bytes(mark * 5000)
    time.sleep(float(sys.argv[1]))

print("ready", flush=True)
sys.stdin.readline()
folder, seen = Store("toy-1").get("encode", make), set()
until = time.monotonic() + 1
while time.monotonic() < until:
    seen |= {(folder / name).read_bytes() for name in ("model.xml", "model.bin")}
assert len(seen) == 1, "replaced while it was read"
print(next(iter(seen))[:16].hex())
"""
"""Converts, then goes on reading what the store gave it, as engines open one file after another."""


@pytest.mark.parametrize("is_damaged", [False, True])
def test_processes_that_fill_the_cache_at_once_use_the_same(is_damaged: bool, cache: Path) -> None:
    if is_damaged:
        damage_truncate(Store("toy-1").get("encode", Maker()))
    command = [sys.executable, "-c", PAIR]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*command, str(delay)], **pipes) for delay in (0, 0, 0.1, 0.3)]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0] * len(started)
    assert len(set(said)) == 1
    assert not list(cache.rglob("*.part"))


@pytest.mark.parametrize("is_damaged", [False, True])
def test_threads_that_fill_the_cache_at_once_use_the_same(is_damaged: bool) -> None:
    for round_ in range(20):
        if is_damaged:
            damage_truncate(Store("toy-1", round_).get("encode", Maker()))
        start = threading.Barrier(4)

        def fill(_: int, round_: int = round_, start: threading.Barrier = start) -> set[bytes]:
            def make(folder: Path) -> None:
                (folder / "a.bin").write_bytes(secrets.token_bytes(8))

            start.wait()
            folder = Store("toy-1", round_).get("encode", make)
            return {(folder / "a.bin").read_bytes() for _ in range(50)}

        with ThreadPoolExecutor(4) as pool:
            assert len(set.union(*pool.map(fill, range(4)))) == 1


def test_disks_without_locks_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", no_locks)
    make = Maker()
    folder = Store("toy-1").get("encode", make)
    damage_truncate(folder)
    assert Store("toy-1").get("encode", make) == folder
    assert make.count == 2


def test_mistakes_of_the_maker_are_not_hidden() -> None:
    def broken(folder: Path) -> None:
        raise ValueError("not convertible")

    with pytest.raises(ValueError, match="not convertible"):
        Store("toy-1").get("encode", broken)


def test_nowhere_to_write_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"neither to the cache .* temporary folder \(No space left"):
        Store("toy-1").get("encode", full)
    monkeypatch.setattr(module.tempfile, "TemporaryDirectory", full_disk)
    with pytest.raises(OutputError, match="No usable temporary directory"):
        Store("toy-1").get("encode", full)


def full_disk(**options: str) -> None:
    raise FileNotFoundError(2, "No usable temporary directory found")


def test_a_version_with_slashes_is_one_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path))
    store = Store("runtime-1-releases/2026/4", "weights")
    assert store.folder.parent == tmp_path / "engines" / "runtime-1-releases-2026-4"


def test_a_converter_that_cannot_be_loaded_is_not_the_disks_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    count = 0

    def broken(folder: Path) -> None:
        nonlocal count
        count += 1
        raise OSError("libtorch.so: cannot open shared object file")

    with pytest.raises(EngineError, match=r"cannot be converted \(libtorch.so"):
        Store("toy-1").get("encode", broken)
    assert count == 1
    assert not caplog.text

    def refused(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder / "a.bin"))

    with pytest.raises(OutputError, match="Permission denied"):
        Store("toy-1").get("encode", refused)


def test_a_cache_named_from_here_stays_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGETAM_CACHE", "here")
    store, make = Store("toy-1"), Maker()
    first = store.get("encode", make)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.get("encode", make) == first
    assert make.count == 1
