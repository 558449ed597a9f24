"""Paths that cannot even be looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgetam.errors import MediaError
from edgetam.io import open_frames, read_image, read_mask
from edgetam.io.decoder import open_video
from edgetam.io.paths import look_at


def open_list(path: Path) -> object:
    return open_frames([path])


def test_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert look_at(tmp_path) == "folder"
    assert look_at(str(tmp_path / "a.txt")) == "file"
    for missing in ("b", "a.txt/c", "zero\0byte"):
        assert look_at(tmp_path / missing) is None


@pytest.mark.parametrize("suffix", [".mp4", ".png"])
@pytest.mark.parametrize("read", [open_frames, open_list, open_video, read_image, read_mask])
def test_names_that_are_too_long(tmp_path: Path, read: Callable[[Path], object], suffix: str) -> None:
    with pytest.raises(MediaError, match="Cannot look at") as caught:
        read(tmp_path / f"{'a' * 3000}{suffix}")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("read", [open_frames, open_list, open_video, read_image, read_mask])
def test_folders_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    def refuse(self: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)  # modes mean nothing to root
    with pytest.raises(MediaError, match=r"Cannot look at '.*a\.png' \(Permission denied\)"):
        read(tmp_path / "a.png")
