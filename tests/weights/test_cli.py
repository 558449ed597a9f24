"""``edgetam weights``, as typed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgetam.cli.weights import app
from edgetam.engine.store import Store
from edgetam.errors import EdgeTAMError, OutputError
from edgetam.weights import load_state, registry


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        return CliRunner().invoke(app, [str(x) for x in arguments])

    return run


def test_list_shows_every_published_checkpoint(run):
    result = run("list")
    assert result.exit_code == 0
    for text in ("edgetam", "sam2.1-b+", "56 MB", "Apache-2.0", "SA-V test 71.7"):
        assert text in result.output


def test_info_of_a_published_checkpoint_downloads_nothing(run, own_cache, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")  # sums stay whole on narrow screens
    result = run("info", "sam2.1-t")
    assert result.exit_code == 0
    assert "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69" in result.output
    assert not own_cache.exists()


def test_convert_then_info(run, official_file, tmp_path):
    target = tmp_path / "small [x].safetensors"
    result = run("convert", official_file, target, "--dtype", "bfloat16")
    assert result.exit_code == 0, result.exception
    result = run("info", target)
    for text in ("native", "13,895,794", "bfloat16", "converted from edgetam.pt", "[x]"):
        assert text in result.output.replace("\n", "")


def test_convert_to_hugging_face_and_never_over_a_file(run, official_file, tmp_path):
    target = tmp_path / "hf.safetensors"
    assert run("convert", official_file, target, "--to", "hf").exit_code == 0
    assert load_state(target).layout == "hf"
    assert isinstance(run("convert", official_file, target, "--to", "hf").exception, OutputError)
    assert run("convert", official_file, target, "--to", "native", "--force").exit_code == 0
    assert load_state(target).layout == "native"


def test_download_prints_the_path(run, monkeypatch, own_cache):
    def fetch(url, target, sha256, size, progress):
        progress(1, 2)
        target.write_bytes(b"x")
        return sha256

    monkeypatch.setattr(registry, "fetch", fetch)
    result = run("download", "edgetam")
    assert result.exit_code == 0, result.exception
    assert str(own_cache / "edgetam.pt") in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("download", "edgetan"),
        ("info", "nothing.pt"),
        ("convert", "nothing.pt", "x.pt"),
        ("convert", "SOURCE", "x.pt", "--to", "onnx"),
    ],
)
def test_mistakes_are_our_errors(arguments, run, official_file):
    arguments = [official_file if x == "SOURCE" else x for x in arguments]
    assert isinstance(run(*arguments).exception, EdgeTAMError)


def test_clean_says_what_goes_and_keeps_what_is_used(run, own_cache):
    def make(folder):
        (folder / "model.bin").write_bytes(b"x" * 2_000_000)

    old, new = Store("toy-1", "old"), Store("toy-1", "new")
    for store in (old, new):
        store.get("encode", make)
    os.utime(old.folder, (0, 0))
    (own_cache / "edgetam.pt").write_bytes(b"a download")
    for arguments, text in ((("--dry-run",), "1 folder with 2 MB would be removed."), ((), "2 MB removed.")):
        assert old.folder.is_dir()
        result = run("clean", *arguments)
        assert result.exit_code == 0, result.exception
        assert text in result.output
        assert str(old.folder) in result.output
        assert str(new.folder) not in result.output
    assert not old.folder.exists()
    assert "0 folders" in run("clean").output
    assert "1 folder " in run("clean", "--days", "0").output
    assert [path.name for path in own_cache.iterdir() if path.is_file()] == ["edgetam.pt"]


def test_clean_says_why_it_cannot(run, own_cache, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    Store("toy-1").get("encode", lambda folder: (folder / "a").write_text("a"))
    for name in ("replace", "glob"):
        monkeypatch.setattr(Path, name, refused)
        error = run("clean", "--days", "0").exception
        assert isinstance(error, OutputError)
        assert "(Permission denied)" in str(error)
