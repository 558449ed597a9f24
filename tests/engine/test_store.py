"""Converted models on disk: made once, checked, and never in the way."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from edgetam.engine import store as module
from edgetam.engine.store import Store
from edgetam.errors import OutputError


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


def test_whoever_finishes_first_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes convert the same graph: the second keeps the first one's."""
    store, slow = Store("toy-1"), Maker()

    def raced(folder: Path) -> None:
        slow(folder)
        Store("toy-1").get("encode", Maker())
        monkeypatch.setattr(module.shutil, "rmtree", lambda *_, **__: None)  # taken away and back in between

    folder = store.get("encode", raced)
    assert json.loads((folder / "sha256.json").read_text()).keys() == {"a.bin", "b.txt"}


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
