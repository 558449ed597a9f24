"""Figures in the README are those of the committed records."""

from __future__ import annotations

from benchmarks.table import END, ROOT, START, section


def test_the_readme_shows_the_records() -> None:
    text = (ROOT / "README.md").read_text()
    shown = text[text.index(START) : text.index(END) + len(END)]
    assert shown == section(), "run python -m benchmarks.table"
