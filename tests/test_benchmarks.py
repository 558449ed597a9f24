"""Figures in the README are those of the committed records."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import absence, bundled_weights, tracking
from benchmarks.absence import Footage, pairs
from benchmarks.study import RECIPE, TEACHER, runs
from benchmarks.table import END, ROOT, START, section
from benchmarks.training import only_stage
from edgetam.train.recipe_file import load_recipe


def test_the_readme_shows_the_records() -> None:
    text = (ROOT / "README.md").read_text()
    shown = text[text.index(START) : text.index(END) + len(END)]
    assert shown == section(), "run python -m benchmarks.table"


def test_the_study_trains_what_it_was_asked_for(tmp_path: Path) -> None:
    asked = list(runs(tmp_path, 2, ("all", "Muon")))
    assert [(name, seed) for name, seed, _, _ in asked] == [("all", 0), ("Muon", 0), ("all", 1), ("Muon", 1)]
    assert len({folder for _, _, folder, _ in asked}) == 4
    name, _, folder, _ = next(runs(tmp_path, 1, ("distilled",)))  # needs a teacher, which comes first
    assert name == TEACHER
    *_, (_, _, _, overrides) = runs(tmp_path, 1, ("distilled",))
    assert str(folder / "weights.safetensors") in overrides[0]


def test_the_recipe_of_the_study_knows_all_its_variants(tmp_path: Path) -> None:
    for _, _, _, overrides in runs(tmp_path, 1):
        load_recipe(RECIPE, overrides)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_stage_of_our_recipes_can_be_measured_by_itself(path: Path) -> None:
    recipe = load_recipe(path)
    for number, stage in enumerate(recipe.stages):
        (alone,) = only_stage(recipe, number, 7).stages
        assert alone == replace(stage, steps=7, minutes=None)


def test_objects_are_lost_to_every_other_sequence_but_their_own() -> None:
    for count in (2, 3, 6):
        found = [Footage(str(i), [], []) for i in range(count)]
        names = [(own.name, other.name) for own, other in pairs(found)]
        assert len(set(names)) == len(names) == (2 * count if count > 3 else count)
        assert all(own != other for own, other in names)
    with pytest.raises(SystemExit, match="expected two or more"):
        list(pairs([Footage("alone", [], [])]))


def rows(main: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    """What a program prints, by row."""
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    main()
    return json.loads(capsys.readouterr().out)["rows"]


def test_weights_of_one_name_have_rows_of_their_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absence, "measured", lambda root, weights, size, threads: str(weights))
    files = [f"{folder}/weights.safetensors" for folder in "ab"]
    found = rows(absence.main, capsys, monkeypatch, "--root", ".", "--weights", *files)
    assert found == {"bundled weights": "None", **{file: file for file in files}}


def test_only_bundled_weights_are_called_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled_weights, "evaluate", lambda options, root, weights: list(options))
    words = ("--root", ".", "--also", "256", "768")
    found = rows(bundled_weights.main, capsys, monkeypatch, *words)
    # the names that the committed record has
    record = json.loads((ROOT / "benchmarks/records/bundled_weights.json").read_text())
    assert list(found) == list(record["rows"])
    other = rows(bundled_weights.main, capsys, monkeypatch, *words, "--weights", "a/b.safetensors")
    assert [name.replace("a/b.safetensors", "bundled weights") for name in other] == list(found)
    assert other["a/b.safetensors, 1 click, 256-pixel input"] == ["--prompt", "1click", "--imgsz", "256"]
    assert not any("bundled" in name for name in other)


@pytest.mark.parametrize("objects", [[1, 2], [2, 5]])
def test_published_code_is_compared_by_its_one_object(
    objects: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{verb} x{n}" for n in objects for verb in ("attend", "decode", "remember")]
    monkeypatch.setattr(tracking, "build_model", lambda config: None)
    monkeypatch.setattr(tracking, "TorchEngine", lambda model, precision: None)
    monkeypatch.setattr(tracking, "our_tasks", lambda *_: dict.fromkeys(["encode", *names], lambda: None))
    monkeypatch.setattr(tracking, "published_tasks", lambda *_: {"published encode": lambda: None})
    options = tracking.parse(["--published", "x", "--repeats", "1", "--objects", *map(str, objects)])
    record = tracking.run_size(256, options)
    assert "published_frame_ms" in record and set(record["frame_ms"]) == {str(n) for n in objects}
    assert ("speed_over_published" in record) is (1 in objects)
