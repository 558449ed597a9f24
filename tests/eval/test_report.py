"""Scores as files and as a page."""

from __future__ import annotations

import base64
import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edgetam.errors import InputError, OutputError
from edgetam.eval.metrics import Scores, score_folder
from edgetam.eval.report import Illustrations, compare, write_report, write_scores
from edgetam.eval.report.page import worst_frames
from edgetam.eval.report.pictures import COLOURS, draw_errors, find_images
from tests.eval.folders import labels, pair, save


class Page(HTMLParser):
    """Tags with their attributes, and the text of the data."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.data = ""
        self._inside = False
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        self._inside = ("id", "data") in attrs

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.data += data


@pytest.fixture
def scores(tmp_path: Path) -> Scores:
    """Perfect for the dog; the cat drifts away."""
    gt, pred = pair(tmp_path, ("dog", "cat"))
    for t in range(5):
        save(pred / f"cat/{t:05d}.png", labels(1, 2, shift=t))
    return score_folder("davis2017", gt, pred)


def content(path: Path) -> dict:
    return json.loads(Page(path).data)


def test_files_hold_every_digit(scores: Scores, tmp_path: Path) -> None:
    write_scores(scores, tmp_path / "out")
    found = json.loads((tmp_path / "out/scores.json").read_text())
    assert found["summary"] == dict(scores.summary)
    assert found["sequences"]["cat"]["J&F"] == scores.sequences[0].scores["J&F"]
    assert found["objects"][0]["curves"]["J"] == scores.objects[0].curves["J"].tolist()
    assert found["objects"][0]["frames"] == ["00001", "00002", "00003"]
    with (tmp_path / "out/objects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["sequence"], row["object"], row["frames"]) for row in rows[:2]] == [
        ("cat", "1", "3"),
        ("cat", "2", "3"),
    ]
    assert float(rows[0]["J-decay"]) == scores.objects[0].scores["J-decay"]
    with (tmp_path / "out/sequences.csv").open() as file:
        assert [row["objects"] for row in csv.DictReader(file)] == ["2", "2"]


def test_no_number_is_null_and_an_empty_cell(scores: Scores, tmp_path: Path) -> None:
    scores.objects[0].scores["J-decay"] = float("nan")  # type: ignore[index]
    write_scores(scores, tmp_path)
    assert json.loads((tmp_path / "scores.json").read_text())["objects"][0]["scores"]["J-decay"] is None
    with (tmp_path / "objects.csv").open() as file:
        assert next(csv.DictReader(file))["J-decay"] == ""


def test_the_page_stands_alone(scores: Scores, tmp_path: Path) -> None:
    write_report(compare({"mine": scores}), tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    loading = [(tag, value) for tag, key, value in page.attributes if key in ("src", "href", "data")]
    assert loading == []
    text = (tmp_path / "report.html").read_text()
    assert "@import" not in text
    assert "{{" not in text.replace(page.data, "")
    # the name of a language, which nobody loads
    # the name of a language, which nobody loads
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    data = json.loads(page.data)
    assert [sequence["name"] for sequence in data["sequences"]] == ["cat", "dog"]  # the worst first
    assert data["summary"][0] == {"name": "J&F", "values": [scores.summary["J&F"]]}
    shot = data["sequences"][0]["pictures"][0]["shots"][0]
    assert shot["caption"] == "object 1, frame 00003"
    assert shot["src"].startswith("data:image/webp;base64,")
    assert len(data["sequences"][0]["items"][1]["curves"][0]["F"]) == 3


def test_several_predictions_side_by_side(scores: Scores, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    gt, pred = pair(tmp_path / "other", ("dog", "cat"))
    (pred / "cat/00002.png").unlink()
    (pred / "dog").rename(tmp_path / "gone")
    other = score_folder("davis2017", gt, pred, lenient=True)
    comparison = compare({"first": scores, "second": other})
    assert [row.sequence for row in comparison.sequences()] == ["cat", "dog"]
    assert np.isnan(comparison.sequences()[1].values("J&F")[1])
    write_report(comparison, tmp_path / "report.html")
    data = content(tmp_path / "report.html")
    cat, dog = data["sequences"]
    assert dog["scores"][1] is None
    assert dog["items"][0]["curves"][1] is None
    assert cat["items"][0]["curves"][1]["J"] == [1.0, None, 1.0]
    shots = {shot["caption"][-5:] if shot else None for moment in cat["pictures"] for shot in moment["shots"]}
    assert {"00003", "00002"} <= shots
    assert data["missing"][0].startswith("second: Sequence 'dog'")


def test_names_cannot_break_out_of_the_page(scores: Scores, tmp_path: Path) -> None:
    name = "</script><script>alert(1)</script>&amp;{{data}}"
    write_report(compare({name: scores}), tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert json.loads(page.data)["names"] == [name]
    assert "{{data}}" in (tmp_path / "report.html").read_text().partition("</title>")[0]
    assert sum(tag == "script" for tag, _, _ in page.attributes) == 2  # type and id of the data


def test_only_the_worst_sequences_get_pictures(scores: Scores, tmp_path: Path) -> None:
    write_report(compare({"a": scores}), tmp_path / "r.html", Illustrations(sequences=1, frames=2))
    assert [len(each["pictures"]) for each in content(tmp_path / "r.html")["sequences"]] == [2, 0]


def test_masks_that_are_gone_leave_no_picture(scores: Scores, tmp_path: Path) -> None:
    for path in (tmp_path / "pred/cat").iterdir():
        path.unlink()
    write_report(compare({"a": scores}), tmp_path / "r.html")
    shot = content(tmp_path / "r.html")["sequences"][0]["pictures"][0]["shots"][0]
    assert shot["src"] is None
    assert shot["J"] is not None


def test_worst_frames_are_apart(scores: Scores) -> None:
    objects = {entry.object: [entry] for entry in scores.objects if entry.sequence == "cat"}
    assert worst_frames(objects, 2) == [("1", "00003"), ("2", "00003")]
    assert len(worst_frames(objects, 100)) == 6


def test_errors_have_their_colours() -> None:
    gt, pred = np.zeros((2, 9, 9), bool)
    gt[2:7, 2:7] = True
    pred[2:7, 4:9] = True
    drawn = draw_errors(gt, pred)
    assert tuple(drawn[4, 5]) == COLOURS["both"]
    assert tuple(drawn[4, 3]) == COLOURS["missed"]
    assert tuple(drawn[4, 8]) == COLOURS["extra"]
    assert tuple(drawn[2, 2]) == (255, 255, 255)  # the outline of the truth
    assert drawn[0, 0].max() < 60


def test_errors_are_drawn_on_images_where_there_are_any(tmp_path: Path) -> None:
    gt, pred = pair(tmp_path, ("cat",))
    root = tmp_path / "set"
    (root / "Annotations").mkdir(parents=True)
    gt.rename(root / "Annotations/480p")
    for t in range(5):
        path = root / "JPEGImages/480p/cat" / f"{t:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 30, 3), (30, 60, 200), np.uint8)).save(path)
    assert find_images(root / "Annotations/480p", None) == root / "JPEGImages/480p"
    assert find_images(gt, root) == root / "JPEGImages/480p"
    assert find_images(tmp_path / "pred", None) is None
    scores = score_folder("davis2017", root, pred)
    write_report(compare({"a": scores}), tmp_path / "r.html")
    address = content(tmp_path / "r.html")["sequences"][0]["pictures"][0]["shots"][0]["src"]
    encoded = np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8)
    blue, _, red = cv2.imdecode(encoded, cv2.IMREAD_COLOR)[-5, -5]
    assert blue > 150 > red


def test_protocols_are_not_mixed(scores: Scores, tmp_path: Path) -> None:
    other = score_folder("vos-benchmark", tmp_path / "gt", tmp_path / "pred")
    with pytest.raises(InputError, match="davis2017 and vos-benchmark"):
        compare({"a": scores, "b": other})


def test_a_place_that_cannot_be_written(scores: Scores, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="create it first"):
        write_report(compare({"a": scores}), tmp_path / "nowhere" / "r.html")
