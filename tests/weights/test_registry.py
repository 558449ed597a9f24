"""Names to files: the registry, the cache, the hub and the bundled weights."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from edgetam.config import VARIANTS
from edgetam.errors import DownloadError, OutputError, WeightsError
from edgetam.weights import (
    REGISTRY,
    bundled,
    bundled_path,
    cache,
    cache_dir,
    download,
    hub,
    registry,
    resolve,
)
from edgetam.weights.cache import Records

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def fetched(monkeypatch):
    """Replaces the network: writes CONTENT and notes what was asked for."""
    asked = []

    def fake(url, target, sha256=None, size=None, progress=None):
        asked.append(url)
        if "huggingface" not in url and fake.first_is_down:
            raise DownloadError(f"{url} cannot be reached")
        target.write_bytes(CONTENT)
        if sha256 not in (None, SHA256):
            raise DownloadError("another hash")
        return SHA256

    fake.first_is_down = False
    monkeypatch.setattr(registry, "fetch", fake)
    asked_entry = replace(REGISTRY["edgetam"], sha256=SHA256, size=len(CONTENT))
    monkeypatch.setitem(REGISTRY, "edgetam", asked_entry)
    return fake, asked


def test_every_variant_is_published_with_all_that_can_be_said():
    assert set(REGISTRY) == set(VARIANTS)
    for entry in REGISTRY.values():
        assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
        assert entry.size > 1_000_000
        assert entry.licence == "Apache-2.0"
        assert entry.scores
        assert all(url.startswith("https://") and url.endswith(entry.filename) for url in entry.urls)
    assert len({entry.sha256 for entry in REGISTRY.values()}) == len(REGISTRY)
    assert REGISTRY["edgetam"].scores["SA-V test"] == 71.7
    assert registry.find_published("sam2.1_hiera_base_plus") is REGISTRY["sam2.1-b+"]


def test_a_name_is_downloaded_once(fetched, own_cache):
    _, asked = fetched
    path = resolve("edgetam")
    assert path == own_cache / "edgetam.pt"
    assert resolve("edgetam") == path
    assert len(asked) == 1
    record = json.loads((own_cache / "downloads.json").read_text())["edgetam.pt"]
    assert record["sha256"] == SHA256


def test_a_damaged_file_in_the_cache_is_fetched_again(fetched):
    _, asked = fetched
    path = download("edgetam")
    path.write_bytes(b"weightz")
    assert download("edgetam").read_bytes() == CONTENT
    assert len(asked) == 2


def test_the_second_address_helps_out(fetched):
    fake, asked = fetched
    fake.first_is_down = True
    assert download("edgetam").read_bytes() == CONTENT
    assert len(asked) == 2


def test_the_first_hash_of_an_unknown_file_is_kept_and_checked(fetched, own_cache):
    _, asked = fetched
    url = "https://example.org/mine.safetensors"
    path = download(url)
    assert download(url) == path
    assert len(asked) == 1
    records = json.loads((own_cache / "downloads.json").read_text())
    records["mine.safetensors"]["sha256"] = "0" * 64
    (own_cache / "downloads.json").write_text(json.dumps(records))
    path.write_bytes(b"tampered")
    with pytest.raises(DownloadError, match="another hash"):
        download(url)


def test_same_file_name_at_another_address_is_another_file(fetched):
    _, asked = fetched
    download("https://example.org/a/w.pt")
    download("https://example.org/b/w.pt")
    assert len(asked) == 2


@pytest.mark.parametrize("variable", ["EDGETAM_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_uses_the_cache_and_says_what_is_missing(variable, fetched, monkeypatch):
    _, asked = fetched
    monkeypatch.setenv(variable, "1")
    with pytest.raises(DownloadError, match=rf"{variable} forbids.*put it there"):
        download("edgetam")
    monkeypatch.delenv(variable)
    download("edgetam")
    monkeypatch.setenv(variable, "true")
    download("edgetam")
    assert len(asked) == 1


def test_disks_without_locks_keep_downloads_too(fetched, own_cache, monkeypatch):
    class NoLock:
        def __init__(self, path, timeout):
            pass

        def __enter__(self):
            raise NotImplementedError

        def __exit__(self, *details):
            raise AssertionError

    monkeypatch.setattr("filelock.FileLock", NoLock)
    assert download("edgetam").read_bytes() == CONTENT
    assert Records(own_cache).get("edgetam.pt")["sha256"] == SHA256


def test_records_are_written_by_one_process_at_a_time(own_cache, monkeypatch):
    own_cache.mkdir(parents=True, exist_ok=True)
    read, seen = Records._read, []

    def guarded(records):
        with pytest.raises(Timeout):
            FileLock(own_cache / "downloads.json.lock").acquire(timeout=0)
        seen.append(read(records))
        return seen[-1]

    file = own_cache / "a.pt"
    file.write_bytes(CONTENT)
    with monkeypatch.context() as patch:
        patch.setattr(Records, "_read", guarded)
        Records(own_cache).note(file, "https://a/a.pt", SHA256)
    assert seen == [{}]
    assert Records(own_cache).get("a.pt")["sha256"] == SHA256


def test_an_unwritable_cache_is_named(fetched, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DownloadError, match="EDGETAM_CACHE"):
        download("edgetam")


def test_damaged_records_do_no_harm(fetched, own_cache):
    own_cache.mkdir()
    for text in ("{", "[]", '{"edgetam.pt": 3}'):
        (own_cache / "downloads.json").write_text(text)
        assert Records(own_cache).get("edgetam.pt") == {}
    assert download("edgetam").is_file()


def test_paths_come_first_and_folders_of_the_hub_are_understood(tmp_path, monkeypatch):
    file = tmp_path / "edgetam"
    file.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    assert resolve("edgetam") == Path("edgetam")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert resolve(tmp_path) == tmp_path / "model.safetensors"


def test_a_folder_that_is_called_like_weights_is_in_nobodys_way(fetched, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("edgetam", "default", "other"):
        (tmp_path / name).mkdir()
    assert resolve("edgetam").name == "edgetam.pt"
    assert resolve("default") == bundled_path()
    with pytest.raises(WeightsError, match=r"'other' is a folder without model\.safetensors"):
        resolve("other")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("edgetan", "did you mean edgetam"),
        ("sam2.1-xl", "sam2.1"),
        ("a/b.pt", "check the path"),
        ("a/b.pth", "check the path"),
    ],
)
def test_unknown_names_get_a_hint(name, hint):
    with pytest.raises(WeightsError, match=hint):
        resolve(name)


def test_repositories_on_the_hub(fetched, monkeypatch, tmp_path):
    _, asked = fetched
    calls = []

    def get(repo, file, revision=None, local_files_only=False):
        calls.append((repo, file, revision, local_files_only))
        if file == "model.safetensors" and repo == "some/one":
            raise EntryNotFoundError("no such file")
        if local_files_only:
            raise LocalEntryNotFoundError("not here")
        return str(tmp_path / file)

    monkeypatch.setattr(hub.huggingface_hub, "hf_hub_download", get)
    monkeypatch.setattr(hub.huggingface_hub, "list_repo_files", lambda repo, revision: ["README.md", "w.pt"])
    assert resolve("yonigozlan/EdgeTAM-hf").name == "model.safetensors"
    assert resolve("hf://some/one").name == "w.pt"
    assert resolve("hf://some/one@v2/deep/x.safetensors") == tmp_path / "deep/x.safetensors"
    assert calls[-1] == ("some/one", "deep/x.safetensors", "v2", False)
    assert resolve("facebook/EdgeTAM").name == "edgetam.pt"
    assert len(asked) == 1
    monkeypatch.setenv("EDGETAM_OFFLINE", "1")
    with pytest.raises(DownloadError, match="EDGETAM_OFFLINE"):
        resolve("yonigozlan/EdgeTAM-hf")
    monkeypatch.delenv("EDGETAM_OFFLINE")
    monkeypatch.setattr(hub.huggingface_hub, "list_repo_files", lambda repo, revision: ["a.pt", "b.pt"])
    with pytest.raises(DownloadError, match="2 checkpoints"):
        resolve("hf://some/one")
    with pytest.raises(DownloadError, match="hf://owner/name"):
        resolve("hf://nothing")


def test_the_bundled_default(monkeypatch, tmp_path):
    monkeypatch.setattr(bundled, "__file__", str(tmp_path / "bundled.py"))
    with pytest.raises(WeightsError, match="no default weights"):
        bundled_path()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "default.safetensors").write_bytes(b"x")
    own = tmp_path / "data" / "default.safetensors"
    assert resolve("default") == resolve("bundled") == bundled_path() == own


def test_the_cache_follows_the_platform(monkeypatch, tmp_path):
    monkeypatch.delenv("EDGETAM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_dir() == tmp_path / "edgetam"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_dir() == Path.home() / "Library/Caches/edgetam"


def test_without_a_home_the_cache_is_a_temporary_folder(monkeypatch, caplog):
    def home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("EDGETAM_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)
    cache._passing_dir.cache_clear()
    folder = cache_dir()
    assert folder.is_dir()
    assert cache_dir() == folder
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "EDGETAM_CACHE" in caplog.text

    def full(**_):
        raise FileNotFoundError(2, "No usable temporary directory found")

    cache._passing_dir.cache_clear()
    monkeypatch.setattr(cache.tempfile, "TemporaryDirectory", full)
    with pytest.raises(OutputError, match=r"neither a home folder .* \(No usable temporary directory"):
        cache_dir()


def test_a_cache_that_may_not_be_entered_holds_nothing(monkeypatch, own_cache):
    """A folder of mode 0700 of another user; played, because root may enter it."""
    reach = {name: getattr(Path, name) for name in ("stat", "mkdir")}

    def refused(name):
        def play(path, *arguments, **options):
            if path.is_relative_to(own_cache):
                raise PermissionError(13, "Permission denied")
            return reach[name](path, *arguments, **options)

        return play

    for name in reach:
        monkeypatch.setattr(Path, name, refused(name))
    assert registry.cached_path("edgetam") is None
    with pytest.raises(DownloadError, match="cannot be written"):
        download("edgetam")


@pytest.mark.parametrize("name", ["~nobody-of-this-name/w.pt", "w" * 5000])
def test_names_that_cannot_be_looked_up(name):
    with pytest.raises(WeightsError, match="give a checkpoint file"):
        resolve(name)


def test_an_address_is_not_looked_up_as_a_file(monkeypatch):
    fetched = []
    monkeypatch.setattr("edgetam.weights.registry.download", lambda name, progress: fetched.append(name))
    address = "https://example.org/w.pt?signature=" + "x" * 5000
    resolve(address)
    assert fetched == [address]
