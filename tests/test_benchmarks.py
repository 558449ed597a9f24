"""Figures in the README are those of the committed records."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.absence import Footage, pairs
from benchmarks.study import RECIPE, TEACHER, runs
from benchmarks.table import END, ROOT, START, section
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


def test_objects_are_lost_to_every_other_sequence_but_their_own() -> None:
    for count in (2, 3, 6):
        found = [Footage(str(i), [], []) for i in range(count)]
        names = [(own.name, other.name) for own, other in pairs(found)]
        assert len(set(names)) == len(names) == (2 * count if count > 3 else count)
        assert all(own != other for own, other in names)
    with pytest.raises(SystemExit, match="expected two or more"):
        list(pairs([Footage("alone", [], [])]))
