"""The folder of a run: what is somebody else's stays, and processes agree on where they go on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import edgetam.train.run
from edgetam.cli.main import app
from edgetam.cli.train import _clock
from edgetam.errors import ConfigError, OutputError
from edgetam.train.loader import Order
from edgetam.train.recipe_file import load_recipe
from edgetam.train.run import Run
from edgetam.train.stage import Stage
from tests.train.tiny import RECIPE, Shapes, curve, recipe, trainer

ONE = ("stages.0.steps=1", "stages.0.clips=1", "stages.0.objects=1")


@pytest.mark.parametrize("flags", [[], ["--overwrite"]])
def test_a_recipe_of_the_users_is_not_replaced_by_that_of_the_run(tmp_path: Path, flags: list[str]) -> None:
    mine = tmp_path / "recipe.yaml"
    mine.write_text(f"# my notes\n{RECIPE}")
    done = CliRunner().invoke(app, ["train", str(mine), *ONE, "-o", str(tmp_path), *flags])
    assert done.exit_code == 4
    assert "recipe.yaml was not written by a run" in " ".join(done.output.split())
    assert mine.read_text() == f"# my notes\n{RECIPE}"
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_runs_that_ended_before_their_first_checkpoint_begin_again(tmp_path: Path) -> None:
    list(Run(trainer(*ONE), tmp_path).go())
    for name in ("last.pt", "weights.safetensors"):
        (tmp_path / name).unlink()
    again = Run(trainer(*ONE, "seed=3"), tmp_path)
    assert not again.resume()
    list(again.go())
    assert load_recipe(tmp_path / "recipe.yaml").seed == 3


def test_weights_of_no_known_run_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"precious")
    run = Run(trainer(*ONE), tmp_path)
    with pytest.raises(OutputError, match=r"weights\.safetensors is there and no last\.pt"):
        run.resume()
    assert run.weights.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("others", "words"), [([None], "step 1, none"), ([7], "step 1, step 7"), ([1, 1, 2], "step 2")]
)
def test_processes_that_find_different_states_do_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: list[int | None], words: str
) -> None:
    list(Run(trainer(*ONE), tmp_path).go())
    monkeypatch.setattr(edgetam.train.run, "collect", lambda own: [own, *others])
    with pytest.raises(ConfigError, match=f"{words}.*one shared folder"):
        Run(trainer(*ONE), tmp_path).resume()


@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 0), (1, 2)])
def test_guides_may_come_and_go(tmp_path: Path, before: int, after: int) -> None:
    list(Run(trainer(*ONE, f"guides={{features: {before}, memory: 1}}"), tmp_path).go())
    run = Run(trainer(*ONE, "stages.0.steps=2", f"guides={{features: {after}, memory: 1}}"), tmp_path)
    kept = torch.load(tmp_path / "last.pt", weights_only=True)
    assert run.resume(accept_changes=True)
    first = run.trainer.optimizer.param_groups[0]["params"][0]
    running = run.trainer.optimizer.state[first]["exp_avg"]
    assert torch.equal(running, kept["optimizer"]["state"][0]["exp_avg"])
    list(run.go())
    assert run.trainer.progress.step == 2
    assert all(p in run.trainer.optimizer.state for p in run.trainer.guides.parameters())


class _Breaking(Shapes):
    """Every clip costs a broken sample."""

    def __init__(self, stage: Stage, order: Order) -> None:
        super().__init__(stage, order)
        self.broken = {"shapes": 0}

    def __getitem__(self, number: int):
        self.broken["shapes"] += 1
        return super().__getitem__(number)


def test_broken_samples_are_counted_over_stages_and_interruptions() -> None:
    stages = "stages=[{name: a, steps: 2, clips: 1, objects: 1}, {name: b, steps: 2, clips: 1, objects: 1}]"
    one = trainer(stages, clips=_Breaking)
    steps = one.run()
    assert [report.broken for report in (next(steps), next(steps), next(steps)) if report] == [1, 2, 3]
    again = trainer(stages, clips=_Breaking)
    again.restore(one.state())
    curve(again)
    assert again.progress.broken == 4


def test_budgets_on_the_command_line_replace_each_other() -> None:
    assert recipe("stages.0.minutes=2").stages[0].steps is None
    assert recipe("stages.0.minutes=2", "stages.0.steps=7").stages[0].minutes is None


def test_weights_are_for_the_largest_size_that_was_trained() -> None:
    turns = "stages.0.turns=[{share: 1}, {share: 1, image_size: 512}]"
    assert recipe("model.image_size=null", turns).model.image_size == 512
    assert recipe("model.image_size=null").model.image_size == 256


@pytest.mark.parametrize(("seconds", "shown"), [(0, "00:00:00"), (3725.4, "01:02:05"), (180000, "50:00:00")])
def test_times_do_not_start_over_after_a_day(seconds: float, shown: str) -> None:
    assert _clock(seconds) == shown
