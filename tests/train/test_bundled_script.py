"""The script that trains weights like the bundled ones runs what their model card says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edgetam.train.recipe_file import load_recipe

SCRIPT = Path(__file__).parent.parent.parent / "recipes" / "bundled.sh"
STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$LOG"
for word in "$@"; do
  case "$word" in *"$FAIL"*) exit 1 ;; esac
  if [ "$last" = -o ]; then out=$word; fi
  last=$word
done
if [ "$(basename "$0")" = torchrun ]; then mkdir -p "$out"; fi
"""
pytestmark = pytest.mark.skipif(os.name != "posix", reason="a script for bash")


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """A folder with commands that write down how they were called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("torchrun", "edgetam"):
        (folder / name).write_text(STUB)
        (folder / name).chmod(0o755)
    return folder


def run(stubs: Path, fail: str = "nothing fails") -> tuple[int, list[list[str]]]:
    """Exit code, and the commands in their order."""
    log = stubs / "log"
    log.write_text("")
    environment = {**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}", "LOG": str(log), "FAIL": fail}
    code = subprocess.run(["bash", SCRIPT, "out"], cwd=stubs, env=environment, capture_output=True).returncode
    return code, [line.split() for line in log.read_text().splitlines()]


def test_seven_runs_and_their_means(stubs: Path) -> None:
    code, calls = run(stubs)
    assert code == 0
    trained = [words[words.index("train") + 1 :] for words in calls if words[0] == "torchrun"]
    assert [Path(recipe).name for recipe, *_ in trained] == ["default.yaml", *["further.yaml"] * 6]
    seeds, starts = [], []
    for recipe, *overrides, _, _ in trained:
        seeds.append(load_recipe(Path(recipe), overrides).seed)
        starts += [word.removeprefix("model.init=out/") for word in overrides if "init" in word]
    assert seeds[1:] == [1, 2, 19, 20, 21, 23]
    first = "1/weights.safetensors"
    means = ["of-3.safetensors", "of-5.safetensors", "of-6.safetensors"]
    assert starts == [first, first, means[0], "4/weights.safetensors", *means[1:]]
    assert [words[2] for words in calls if words[0] == "edgetam"] == ["average"] * 4 + ["convert"]
    assert "out/default.safetensors" in calls[-1]


def test_it_goes_on_where_it_stopped(stubs: Path) -> None:
    code, calls = run(stubs, fail="seed=19")
    assert code != 0
    assert len([words for words in calls if words[0] == "torchrun"]) == 4
    code, calls = run(stubs)
    assert code == 0
    assert [words[-1] for words in calls if words[0] == "torchrun"] == ["out/4", "out/5", "out/6", "out/7"]
