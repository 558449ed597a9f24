"""What a walk through data sets reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetam.errors import OutputError
from edgetam.train.data import Ask, check_data, open_source
from tests.train.data import fabricate

ASK = Ask(3, 2, 64)


def test_counts_areas_and_sizes(tmp_path: Path) -> None:
    fabricate.palette_videos(tmp_path)
    fabricate.write(
        tmp_path / "Annotations" / "video0" / "00003.png",
        fabricate.palette_png(np.zeros((fabricate.HEIGHT, fabricate.WIDTH), np.uint8)),
    )
    source = open_source({"kind": "davis", "root": str(tmp_path)})
    (audit,) = check_data({"mine": source}, {"mine": ASK})
    assert (audit.items, audit.seen, audit.frames, audit.empty, audit.objects) == (2, 2, 12, 1, 4)
    assert len(audit.areas) == 22 and not audit.broken
    assert audit.sizes == {(104, 72): 2}
    text = "\n".join(audit.lines())
    assert "mine: 2 videos or images" in text
    assert "12 annotated frames, 1 without an object; 4 objects" in text
    assert "sizes: 104x72 (2)" in text and "0 broken" in text


def test_broken_files_are_listed_and_the_rest_is_counted(tmp_path: Path) -> None:
    fabricate.static_images(tmp_path, count=14)
    for number in range(12):
        (tmp_path / "images" / f"p{number}.jpg").write_bytes(b"broken")
    (tmp_path / "masks" / "p12.png").unlink()
    sources = {"mine": open_source({"kind": "static", "root": str(tmp_path)})}
    (audit,) = check_data(sources, dict.fromkeys(sources, ASK), sheet=tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 0
    assert audit.seen == 13 and len(audit.broken) == 12 and audit.frames == 1
    text = "\n".join(audit.lines())
    assert "left out: 1 images have no mask" in text
    assert "12 broken:" in text and "and 2 more" in text
    assert "p0.jpg' cannot be decoded (not an image, or damaged)" in text


def test_large_data_sets_are_looked_at_in_part(tmp_path: Path) -> None:
    fabricate.static_images(tmp_path, count=9)
    told = []
    source = open_source({"kind": "static", "root": str(tmp_path)})
    (audit,) = check_data({"mine": source}, {"mine": ASK}, most=3, tell=lambda: told.append(1))
    assert (audit.seen, audit.frames, len(told)) == (3, 3, 3)
    assert "9 videos or images, 3 of them looked at" in audit.lines()[0]


def test_the_picture_has_a_band_for_every_source(tmp_path: Path) -> None:
    fabricate.palette_videos(tmp_path / "videos")
    fabricate.static_images(tmp_path / "images")
    sources = {
        "clips": open_source({"kind": "davis", "root": str(tmp_path / "videos")}),
        "stills": open_source({"kind": "static", "root": str(tmp_path / "images")}),
        "drawn": open_source({"kind": "synthetic"}),
    }
    audits = list(check_data(sources, dict.fromkeys(sources, ASK), sheet=tmp_path / "sheet.png"))
    assert [audit.name for audit in audits] == list(sources)
    assert "no files to check" in audits[2].lines()[0]
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))
    bands = np.split(sheet, 3)
    for band in bands:  # three tiles in four rows, none left empty
        tiles = [
            band[26 + 148 * row : 26 + 148 * row + 144, 4 + 148 * c : 148 + 148 * c]
            for row in range(4)
            for c in range(3)
        ]
        assert all(tile.std() > 3 for tile in tiles)


def test_what_things_are_cut_out_of_is_looked_at_too(tmp_path: Path) -> None:
    fabricate.palette_videos(tmp_path / "videos", frames=2)
    images = {"kind": "static", "root": str(fabricate.static_images(tmp_path / "images"))}
    (tmp_path / "images" / "masks" / "p0.png").write_bytes(b"broken")
    sources = {
        "clips": open_source({"kind": "davis", "root": str(tmp_path / "videos"), "cutouts": images}),
        "drawn": open_source({"kind": "synthetic", "images": images}),
    }
    clips, cutouts, drawn = check_data(sources, dict.fromkeys(sources, ASK))
    assert [cutouts.name, drawn.name] == ["clips, cutouts", "drawn, images"]
    assert len(cutouts.broken) == len(drawn.broken) == 1 and not clips.broken
    assert "  all have fewer than 3 annotated frames, too few for the longest clips" in clips.lines()
    assert not (cutouts.short or drawn.short)


def test_a_picture_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    sources = {"drawn": open_source({"kind": "synthetic"})}
    with pytest.raises(OutputError, match="nowhere"):
        list(check_data(sources, {"drawn": Ask(1, 1, 32)}, sheet=tmp_path / "nowhere" / "sheet.png"))
