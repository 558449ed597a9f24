"""One click and a few: who answers what, and what is counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as rle

from edgetam import ImageSegmenter
from edgetam.errors import MediaError
from edgetam.eval import sa_run
from edgetam.eval.datasets.images import CocoImages, FolderImages, open_images
from edgetam.eval.protocols.clicks import click_scores
from edgetam.eval.running import run_sequences
from edgetam.eval.sa_run import SaJob, mean_overlaps
from tests.eval.scenes import save_frame, save_ids
from tests.tracking.fake_engine import FakeEngine

Mask = NDArray[np.bool_]


def draw(*rows: str) -> Mask:
    return np.array([[c == "#" for c in row] for row in rows])


TRUTH = draw(".....", "###..", "###..", "###..", ".....")
ROW = draw(".....", ".....", "###..", ".....", ".....")
TWO_ROWS = draw(".....", "###..", "###..", ".....", ".....")
WIDE = draw(".....", "#####", "#####", "#####", ".....")


@dataclass
class Candidates:
    masks: Mask
    scores: NDArray[np.float32]
    logits: NDArray[np.int64]


class Script:
    """Gives prepared candidates for the first click, and for later ones what ``later`` says.

    The logits of a candidate are its number, and those of a later answer a hundred more than it was given.
    """

    def __init__(self, first: Sequence[Mask], scores: Sequence[float], later: dict[int, Mask]) -> None:
        self.first, self.scores, self.later = first, scores, later
        self.asked: list[tuple[Any, ...]] = []

    def set_image(self, image: Any) -> None:
        self.asked.append(("image", image.shape))

    def predict(
        self,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
        *,
        multimask: bool = True,
    ) -> Candidates:
        self.asked.append((points, labels, mask, multimask))
        if mask is None:
            masks = np.stack(self.first)
            return Candidates(masks, np.array(self.scores, np.float32), np.arange(len(masks)))
        given = int(mask) + 100
        return Candidates(self.later[given][None], np.ones(1, np.float32), np.array([given]))


def test_one_click_is_in_the_middle_and_the_oracle_takes_the_best_answer() -> None:
    script = Script([ROW, TWO_ROWS, WIDE], [0.9, 0.2, 0.5], {})
    assert click_scores(script, TRUTH, [1]) == ({1: 3 / 9}, {1: 6 / 9})
    assert script.asked == [([[1, 2]], [1], None, True)]


def test_further_clicks_refine_what_was_chosen() -> None:
    """The answer of one's own choice and the oracle's are refined apart from each other."""
    later = {100: TWO_ROWS, 200: WIDE, 101: WIDE, 201: TRUTH}
    script = Script([ROW, TWO_ROWS], [0.9, 0.2], later)
    predicted, oracle = click_scores(script, TRUTH, [1, 2, 3])
    assert predicted == {1: 3 / 9, 2: 6 / 9, 3: 9 / 15}
    assert oracle == {1: 6 / 9, 2: 9 / 15, 3: 1.0}
    chains = {asked[2] - 100 * (len(asked[0]) - 2): [] for asked in script.asked[1:]}
    for points, labels, given, multimask in script.asked[1:]:
        assert not multimask and len(points) == len(labels)
        chains[given - 100 * (len(points) - 2)].append((tuple(points[-1]), labels[-1]))
    # after the row, two rows of three are missing; after two rows, the third one is
    assert chains[0] == [((0, 1), 1), ((0, 3), 1)]
    # two columns too many on the right, none of their pixels deeper than the others
    assert chains[1] == [((0, 3), 1), ((3, 1), 0)]


def test_one_chain_where_the_own_choice_is_the_best() -> None:
    script = Script([TWO_ROWS, ROW], [0.9, 0.2], {100: TRUTH})
    predicted, oracle = click_scores(script, TRUTH, [1, 2])
    assert predicted == oracle == {1: 6 / 9, 2: 1.0}
    assert len(script.asked) == 2


def test_void_is_neither_clicked_nor_counted() -> None:
    void = draw("#####", "###..", ".....", ".....", "#####")
    script = Script([WIDE], [1.0], {100: TRUTH})
    predicted, _ = click_scores(script, TRUTH, [1, 2], void)
    assert predicted[1] == 6 / 12
    assert script.asked[0][0] == [[0, 2]]  # two rows of three are left
    assert predicted[2] == 1.0


def test_our_segmenter_keeps_the_protocol() -> None:
    segmenter = ImageSegmenter(FakeEngine())
    segmenter.set_image(np.zeros((24, 32, 3), np.uint8))
    truth = np.zeros((24, 32), bool)
    truth[4:12, 4:12] = True
    predicted, oracle = click_scores(segmenter, truth, [1, 5])
    assert predicted.keys() == oracle.keys() == {1, 5}
    assert 0 <= predicted[1] <= oracle[1] <= 1


def folder(root: Path, count: int = 2) -> Path:
    for i in range(count):
        save_frame(root / f"images/p{i}.jpg", i, (5, 5))
        save_ids(root / f"masks/p{i}.png", {3: TRUTH, 255: draw("####.", *["....."] * 4)}, (5, 5))
    return root


def test_folders_of_images(tmp_path: Path) -> None:
    images = open_images(folder(tmp_path))
    assert images.names == ("p0.jpg", "p1.jpg")
    image = images["p1.jpg"]
    assert list(image.masks) == ["3"] and (image.masks["3"] == TRUTH).all()
    assert image.void is not None and image.void.sum() == 4
    assert image.pixels().shape == (5, 5, 3)


def test_all_that_is_not_black_may_be_one_object(tmp_path: Path) -> None:
    save_ids(folder(tmp_path) / "masks/p0.png", {255: TRUTH}, (5, 5))
    save_ids(tmp_path / "masks/p1.png", {}, (5, 5))
    first, second = (FolderImages(tmp_path, foreground=True)[f"p{i}.jpg"] for i in range(2))
    assert list(first.masks) == ["1"] and (first.masks["1"] == TRUTH).all()
    assert first.void is None and not second.masks


def coco(root: Path, **changes: Any) -> Path:
    save_frame(root / "pics/a.jpg", 0, (5, 5))
    encoded = rle.encode(np.asfortranarray(TRUTH.astype(np.uint8)))
    compressed = {"size": [5, 5], "counts": encoded["counts"].decode()}
    annotations = [
        {"id": 1, "image_id": 7, "segmentation": [[0, 1, 3, 1, 3, 4, 0, 4]]},
        {"id": 2, "image_id": 7, "segmentation": {"size": [5, 5], "counts": [1, 3, 2, 3, 2, 3, 11]}},
        {"id": 3, "image_id": 7, "segmentation": compressed},
        {"id": 4, "image_id": 7, "segmentation": compressed, "iscrowd": 1},
        {"id": 5, "image_id": 7, "segmentation": {"size": [5, 5], "counts": [25]}},
    ]
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "height": 5, "width": 5}, {"id": 8, "file_name": "b.jpg"}],
        "annotations": annotations,
        **changes,
    }
    (root / "set.json").write_text(json.dumps(content))
    return root / "set.json"


def test_coco(tmp_path: Path) -> None:
    images = open_images(coco(tmp_path), tmp_path / "pics")
    assert images.names == ("a.jpg",)
    masks = images["a.jpg"].masks
    assert list(masks) == ["1", "2", "3"]
    for mask in masks.values():
        assert (mask == TRUTH).all()


def test_boxes_alone_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    square = {"id": 1, "image_id": 7, "segmentation": [[0, 1, 3, 1, 3, 4, 0, 4]]}
    box = {"image_id": 7, "bbox": [0, 0, 2, 2]}
    bare = [{"id": 2, **box}, {"id": 3, **box, "segmentation": []}, {"id": 4, **box, "segmentation": [[]]}]
    file = coco(tmp_path, annotations=[*bare, square, {**bare[0], "id": 5, "image_id": 8}])
    images = CocoImages(file, tmp_path / "pics")
    assert images.names == ("a.jpg",)
    assert list(images["a.jpg"].masks) == ["1"]
    assert "4 annotations of" in caplog.text and "have no mask" in caplog.text


def test_images_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no folder"):
        FolderImages(tmp_path / "nowhere")
    with pytest.raises(MediaError, match=r"expected images/NAME.jpg and masks/NAME.png"):
        FolderImages(tmp_path)
    root = folder(tmp_path / "set")
    (root / "masks/p0.png").unlink()
    with pytest.raises(MediaError, match=r"Image 'p0.jpg': There is no file"):
        open_images(root)["p0.jpg"]
    Image.new("P", (9, 9), 1).save(root / "masks/p1.png")
    with pytest.raises(MediaError, match=r"Image 'p1.jpg', mask 1: it is 9x9 and the image 5x5"):
        open_images(root)["p1.jpg"].pixels()
    file = coco(tmp_path)
    with pytest.raises(MediaError, match=r"a.jpg' is missing, as are 0 more of 1 images"):
        CocoImages(file, tmp_path)
    broken = coco(tmp_path, annotations=[{"id": 9, "image_id": 7, "segmentation": [[1, 2]]}])
    with pytest.raises(MediaError, match="annotation 9"):
        CocoImages(broken, tmp_path / "pics")["a.jpg"]
    nameless = coco(tmp_path, annotations=[{"image_id": 7, "segmentation": [[0, 1, 3, 1, 3, 4, 0, 4]]}])
    with pytest.raises(MediaError, match=r"Image 'a.jpg', annotation None has no 'id' in"):
        CocoImages(nameless, tmp_path / "pics")["a.jpg"]
    for text in ("{", "[]", '{"images": []}'):
        file.write_text(text)
        with pytest.raises(MediaError, match="is not a COCO file"):
            CocoImages(file, tmp_path / "pics")
    with pytest.raises(MediaError, match="Cannot read"):
        CocoImages(tmp_path / "none.json", tmp_path)


def script() -> Script:
    return Script([ROW, TWO_ROWS], [0.9, 0.2], {})


def test_a_set_without_masks_is_refused_before_it_is_worked_on(tmp_path: Path) -> None:
    job = SaJob(folder(tmp_path / "set"), None, script, tmp_path / "out")
    save_ids(tmp_path / "set/masks/p0.png", {}, (5, 5))
    job.check()
    save_ids(tmp_path / "set/masks/p1.png", {}, (5, 5))
    with pytest.raises(MediaError, match=r"set' has no masks on any of its images, expected at least one\.$"):
        job.check()
    save_ids(tmp_path / "set/masks/p1.png", {255: TRUTH}, (5, 5))
    with pytest.raises(MediaError, match=r"\(255 is void; if it is the object, read it as foreground\)\.$"):
        job.check()
    (tmp_path / "set/masks/p1.png").unlink()
    job.check()  # its turn comes, and then it is named or left out


def test_a_run_in_parts_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sa_run, "PART", 2)
    job = SaJob(folder(tmp_path / "set", 5), None, script, tmp_path / "out", (1,))
    assert job.parts() == ["0000000", "0000002", "0000004"]
    assert list(run_sequences(job, job.pending()[:2])) == [("0000000", None), ("0000002", None)]
    assert job.pending() == ["0000004"]
    list(run_sequences(job, job.pending()))
    rows = [row for part in job.parts() for row in job.results.read(part)]
    assert [row["image"] for row in rows] == [f"p{i}.jpg" for i in range(5)]
    assert rows[0]["mask"] == "3" and rows[0]["area"] == 9
    assert mean_overlaps(rows, [1]) == {
        "predicted": {"1": pytest.approx(3 / 9)},
        "oracle": {"1": pytest.approx(6 / 9)},
    }
    with pytest.raises(MediaError, match="no masks on any"):
        mean_overlaps([], [1])
