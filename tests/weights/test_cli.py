"""``edgetam weights``, as typed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from edgetam.cli.weights import app
from edgetam.engine.store import Store
from edgetam.errors import EdgeTAMError, OutputError
from edgetam.weights import load_state, registry, save_native


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


def test_an_average_of_weights(run, official_file, tmp_path):
    first = load_state(official_file)
    moved = {name: x + 1 if x.is_floating_point() else x for name, x in first.state.items()}
    other = save_native(tmp_path / "moved.safetensors", moved, first.config)
    target = tmp_path / "mean.safetensors"
    result = run("average", official_file, other, "--share", 3, "--share", 1, "-o", target)
    assert result.exit_code == 0, result.exception
    for name, tensor in load_state(target).state.items():
        expected = first.state[name] + 0.25 if tensor.is_floating_point() else first.state[name]
        torch.testing.assert_close(tensor, expected)
    assert isinstance(run("average", official_file, other, "-o", target).exception, OutputError)
    assert run("average", official_file, other, "-o", target, "--force").exit_code == 0
    name = "mask_decoder.score_token"
    assert name in first.state
    torch.testing.assert_close(load_state(target).state[name], first.state[name] + 0.5)


def test_an_average_that_makes_no_sense(run, official_file, tmp_path):
    target = tmp_path / "mean.safetensors"
    first = load_state(official_file)
    config = replace(first.config, aligned_places=True)
    aligned = save_native(tmp_path / "aligned.safetensors", first.state, config)
    smaller = save_native(tmp_path / "s.safetensors", first.state, replace(first.config, image_size=512))
    for arguments, message in (
        ((official_file,), "two or more"),
        ((official_file, aligned), "aligned_places"),
        ((official_file, smaller), "image_size"),
        ((official_file, official_file, "--share", 1), "one for each"),
        ((official_file, official_file, "--share", 1, "--share", 0), "above 0"),
        ((official_file, official_file, "--share", 1, "--share", "nan"), "above 0"),
        ((official_file, "nothing.pt"), "nothing.pt"),
    ):
        error = run("average", *arguments, "-o", target).exception
        assert isinstance(error, EdgeTAMError), arguments
        assert message in str(error)
        assert not target.exists()


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
