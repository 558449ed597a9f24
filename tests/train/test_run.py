"""Runs on disk and from the command line: folders, interruptions, full disks, many processes."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from edgetam.cli.main import app
from edgetam.errors import ConfigError, OutputError, WeightsError
from edgetam.locks import sole_writer
from edgetam.train.checkpoint import load_checkpoint, save_checkpoint
from edgetam.train.data import Clip
from edgetam.train.progress import Report
from edgetam.train.run import Run, Scores
from edgetam.train.setup import starting_model
from edgetam.train.sources import StageClips
from edgetam.weights import load_state, save_native
from tests.cli.conftest import refused
from tests.train.tiny import RECIPE, recipe, trainer


def started(folder: Path, *overrides: str, **named) -> Run:
    return Run(trainer("stages.0.clips=1", "stages.0.objects=1", *overrides), folder, **named)


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def totals(folder: Path) -> list[float]:
    return [line["total"] for line in lines(folder) if "total" in line]


def test_a_run_leaves_weights_a_recipe_and_a_log(tmp_path: Path) -> None:
    run = started(
        tmp_path, "notes.licence=Apache-2.0", evaluate=lambda trainer, journal: {"drawn/tracked": 0.5}
    )
    events = list(run.go())
    assert [type(e) for e in events] == [Report] * 4 + [Scores]
    assert {p.name for p in tmp_path.iterdir()} == {
        "last.pt", "weights.safetensors", "recipe.yaml", "log.jsonl", "tensorboard",
    }  # fmt: skip
    loaded = load_state(run.weights)
    assert loaded.metadata["steps"] == "4" and loaded.metadata["licence"] == "Apache-2.0"
    assert loaded.config == run.trainer.recipe.model.config
    assert lines(tmp_path)[-1] == {"step": 4, "scores": {"drawn/tracked": 0.5}}
    again = started(tmp_path)
    assert again.resume() and again.trainer.finished
    assert [type(e) for e in again.go()] == []


def test_lines_of_steps_that_are_done_again_are_dropped(tmp_path: Path) -> None:
    run = started(tmp_path / "a")
    for event in run.go():
        if isinstance(event, Report) and event.step == 2:
            run.save()
        if isinstance(event, Report) and event.step == 3:
            break  # as if killed: step 3 is in the log and not in the checkpoint
    with (tmp_path / "a" / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "to')
    second = started(tmp_path / "a")
    assert second.resume() and second.trainer.progress.step == 2
    list(second.go())
    list(started(tmp_path / "b").go())
    assert totals(tmp_path / "a") == totals(tmp_path / "b")


def test_another_recipe_does_not_go_on_by_accident(tmp_path: Path) -> None:
    list(started(tmp_path, "stages.0.steps=1").go())
    longer = started(tmp_path, "stages.0.steps=2")
    with pytest.raises(ConfigError, match=r"stages\.0\.steps differ; pass --accept-changes"):
        longer.resume()
    assert started(tmp_path, "stages.0.steps=1", "every.log_steps=5", "threads=1").resume()
    assert longer.resume(accept_changes=True)
    list(longer.go())
    assert longer.trainer.progress.step == 2  # a finished run may be made longer
    more = started(tmp_path, "stages=[{name: a, steps: 2}, {name: b, steps: 1, clips: 1, objects: 1}]")
    assert more.resume(accept_changes=True)
    list(more.go())
    assert more.trainer.progress.step == 3
    with pytest.raises(ConfigError, match=r"model\.attention_layers differ, and a network cannot change"):
        started(tmp_path, "stages.0.steps=1", "model.attention_layers=2").resume(accept_changes=True)


def test_a_run_goes_on_with_a_stage_of_a_larger_size(tmp_path: Path) -> None:
    own = "model.image_size=null"
    list(started(tmp_path, "stages.0.steps=1", own).go())
    larger = "stages.1={name: large, steps: 1, image_size: 512, clips: 1, objects: 1}"
    more = started(tmp_path, "stages.0.steps=1", own, larger)
    assert more.trainer.recipe.model.image_size == 512
    with pytest.raises(ConfigError, match=r"model\.image_size.* differ; pass --accept-changes"):
        more.resume()
    assert more.resume(accept_changes=True)
    more.save()
    config = load_state(more.weights).config
    assert config is not None and config.image_size == 512


def test_settings_of_the_optimizer_may_change_between_runs(tmp_path: Path) -> None:
    list(started(tmp_path, "stages.0.steps=1").go())
    other = started(tmp_path, "stages.0.steps=2", "optimizer={weight_decay: 0.3, betas: [0.5, 0.6]}")
    assert other.resume(accept_changes=True)
    list(other.go())
    groups = other.trainer.optimizer.param_groups
    assert {group["weight_decay"] for group in groups} == {0.0, 0.3}
    assert {tuple(group["betas"]) for group in groups} == {(0.5, 0.6)}
    assert max(float(state["step"]) for state in other.trainer.optimizer.state.values()) == 2  # goes on


@pytest.mark.parametrize("kinds", [("adamw", "muon"), ("muon", "adamw")])
def test_another_optimizer_takes_over_and_begins_anew(kinds: tuple[str, str], tmp_path: Path) -> None:
    list(started(tmp_path, "stages.0.steps=1", f"optimizer.kind={kinds[0]}").go())
    other = started(tmp_path, "stages.0.steps=2", f"optimizer.kind={kinds[1]}")
    assert other.resume(accept_changes=True)
    assert not other.trainer.optimizer.state
    list(other.go())
    assert other.trainer.progress.step == 2


def test_a_run_can_be_started_anew(tmp_path: Path) -> None:
    list(started(tmp_path, "stages.0.steps=1").go())
    run = started(tmp_path, "stages.0.steps=2")
    run.start_anew()
    assert {p.name for p in tmp_path.iterdir()} == {"recipe.yaml"}
    assert not run.resume()


def test_damaged_states_are_refused(tmp_path: Path) -> None:
    run = started(tmp_path)
    run.save()
    whole = run.checkpoint.read_bytes()
    for content in (b"", b"not a state", whole[: len(whole) // 2]):
        run.checkpoint.write_bytes(content)
        with pytest.raises(WeightsError, match=r"last\.pt cannot be read as a training state"):
            started(tmp_path).resume()
    torch.save({"model": {}}, run.checkpoint)
    with pytest.raises(WeightsError, match=r"last\.pt is no training state"):
        started(tmp_path).resume()


def test_a_full_disk_keeps_the_last_checkpoint_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = started(tmp_path, "every.save_minutes=0")
    steps = run.go()
    next(steps), next(steps)  # the first step is saved before the second one
    before = run.checkpoint.read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert isinstance(next(steps), Report)
    assert "the disk is full" in caplog.text and "tried again later" in caplog.text
    with pytest.raises(OutputError, match="the disk is full"):
        list(steps)
    assert run.trainer.finished
    assert run.checkpoint.read_bytes() == before
    assert {p.name for p in tmp_path.glob(".*")} == set()  # nothing half-written is left
    assert load_checkpoint(run.checkpoint)["progress"]["step"] == 1


def test_a_write_that_fails_inside_pytorch_is_named_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, data) -> int:
            if self.tell() > 1000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    monkeypatch.setattr("edgetam.train.checkpoint.atomic_open", lambda path: nullcontext(Full()))
    with pytest.raises(OutputError, match="the disk is full"):
        save_checkpoint(tmp_path / "last.pt", {"model": torch.zeros(3000)})


def test_a_run_starts_from_weights_and_from_other_runs(tmp_path: Path) -> None:
    first = started(tmp_path, "stages.0.steps=1")
    list(first.go())
    average = dict(first.trainer.average.named_parameters())
    for path in (first.weights, first.checkpoint):
        model = trainer(f"model.init={path}").model
        for name, value in model.named_parameters():
            assert torch.equal(value, average[name]), name
    for path in (first.weights, first.checkpoint):
        with pytest.raises(WeightsError, match=r"of another model|the model is"):
            trainer(f"model.init={path}", "model.attention_layers=2")
        with pytest.raises(WeightsError, match=r"aligned_places"):  # of which no shape tells
            trainer(f"model.init={path}", "model.aligned_places=true")
        trainer(f"model.init={path}", "model.skips_absent=true")
    with pytest.raises(WeightsError, match=r"missing\.safetensors"):
        trainer("model.init=missing.safetensors")


def test_given_weights_get_a_vector_for_keys_without_a_place(tmp_path: Path) -> None:
    """One that lets all places of the image see these keys about alike, whatever rotary positions say."""
    first = started(tmp_path, "stages.0.steps=1")
    list(first.go())
    for path in (first.weights, first.checkpoint):
        model = trainer(f"model.init={path}", "model.unplaced_embed=true").model
        states = [m.state_dict() for m in (model, first.trainer.average)]
        embed = states[0].pop("memory_attention.unplaced_embed")
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])
        for layer in model.requires_grad_(False).memory_attention.layers:
            cross = layer.cross_attn
            query = cross.q_proj(layer.norm2.bias)
            seen = cross.rotary(query.expand(1, cross.rotary.cells, -1))[0]
            at_home = query @ cross.k_proj.bias / 16
            bare = seen @ cross.k_proj.bias / 16
            assert float(bare.max() - bare.min()) > 8
            for vector, below in zip(embed, (4, 3), strict=True):
                level = seen @ cross.k_proj(vector) / 16
                assert float(level.std()) < 1.5
                assert float(at_home - level.mean()) == pytest.approx(below, abs=0.5)
    own = trainer(*("model.unplaced_embed=true",)).model.memory_attention.unplaced_embed
    assert own is not None and own.norm() > 1
    with pytest.raises(WeightsError, match="unplaced_embed"):
        kept = tmp_path / "kept.safetensors"
        save_native(kept, trainer("model.unplaced_embed=true").model)
        trainer(f"model.init={kept}")


def test_a_run_goes_on_when_recipes_have_got_more_to_say(tmp_path: Path) -> None:
    first = started(tmp_path, "stages.0.steps=1")
    list(first.go())
    state = load_checkpoint(first.checkpoint)
    del state["recipe"]["model"]["aligned_places"], state["recipe"]["losses"]["ambiguous"]
    save_checkpoint(first.checkpoint, state)
    assert started(tmp_path, "stages.0.steps=1").resume()
    skipping = started(tmp_path, "stages.0.steps=1", "model.skips_absent=true")
    with pytest.raises(ConfigError, match=r"model\.skips_absent"):
        skipping.resume()
    assert skipping.resume(accept_changes=True)


# The command line, with clips that are drawn.

DRAWN = """
data: { workers: 1, sources: { synthetic: { kind: synthetic, difficulty: 0.1 } } }
every: { log_steps: 1 }
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    content = yaml.safe_load(RECIPE) | yaml.safe_load(DRAWN)
    content["stages"][0] |= {"clips": 1, "objects": 1, "norms": "frozen", "steps": 3}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def command(recipe: Path, folder: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "edgetam", "train", str(recipe), *overrides, "-o", str(folder)]


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"} | more


def wait_for_step(folder: Path, step: int, process: subprocess.Popen) -> None:
    while process.poll() is None:
        if (folder / "log.jsonl").exists() and len((folder / "log.jsonl").read_text().splitlines()) >= step:
            return
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_runs_go_on_from_a_whole_checkpoint(
    recipe_file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    # those that are told to stop save at the end; one that is killed must have saved before
    often = ["every.save_minutes=0"] if number is signal.SIGKILL else []
    folder = tmp_path / "run"
    process = subprocess.Popen(
        command(recipe_file, folder, "stages.0.steps=100000", *often),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for_step(folder, 2, process)
    os.killpg(process.pid, number)  # its workers too, as terminals and schedulers do
    _, errors = process.communicate(timeout=600)
    state = load_checkpoint(folder / "last.pt")
    if number is signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert state["progress"]["step"] >= 1
    else:
        assert process.returncode == 130
        assert f"Stopped at step {state['progress']['step']}" in errors
        assert state["progress"]["step"] == len(lines(folder))
    assert "Traceback" not in errors
    step = state["progress"]["step"]
    done = CliRunner().invoke(
        app, command(recipe_file, folder, f"stages.0.steps={step + 1}", "--accept-changes")[3:]
    )
    assert done.exit_code == 0, done.output
    assert f"Going on from {folder / 'last.pt'} (step {step}" in done.stderr
    assert done.stdout.strip() == str(folder / "weights.safetensors")


def kept(folder: Path) -> dict[str, bytes]:
    """What a step that fails must leave alone."""
    return {name: (folder / name).read_bytes() for name in ("last.pt", "weights.safetensors", "log.jsonl")}


def test_a_loss_that_is_not_finite_ends_in_one_sentence_and_keeps_what_was_saved(
    recipe_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    wild = ("stages.0.rate=1e30", "data.workers=0", "every.save_minutes=0")  # one step, and weights explode

    def run(steps: int, *words: str):
        return CliRunner().invoke(
            app, command(recipe_file, folder, *wild, f"stages.0.steps={steps}", *words)[3:]
        )

    assert run(1).exit_code == 0
    before = kept(folder)
    failed = run(3, "--accept-changes")
    refused(failed, 1, "not finite at step 1 (stage pairs, clips 1 of seed 0", "last checkpoint is kept")
    assert kept(folder) == before
    assert load_checkpoint(folder / "last.pt")["progress"]["step"] == 1


class _Impatient(StageClips):
    """Clips that are stopped twice while they are drawn."""

    def __getitem__(self, number: int) -> Clip:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return super().__getitem__(number)


def test_a_second_ctrl_c_ends_the_run_at_once(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"

    def run(steps: int, *words: str):
        return CliRunner().invoke(
            app, command(recipe_file, folder, "data.workers=0", f"stages.0.steps={steps}", *words)[3:]
        )

    assert run(1).exit_code == 0
    before, handler = kept(folder), signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        patched.setattr("edgetam.cli.train.StageClips", _Impatient)
        stopped = run(2, "--accept-changes")
    assert stopped.exit_code == 130, stopped.output
    assert stopped.stderr.count("again to stop at once") == 1
    assert stopped.stderr.splitlines()[-1] == "edgetam: stopped."
    assert "error" not in stopped.stderr and "Traceback" not in stopped.output
    assert signal.getsignal(signal.SIGINT) == handler
    assert kept(folder) == before
    again = run(2, "--accept-changes")
    assert again.exit_code == 0, again.output
    assert [line["step"] for line in lines(folder)] == [1, 2]


def test_a_student_is_distilled_from_the_command_line(recipe_file: Path, tmp_path: Path) -> None:
    teacher = save_native(tmp_path / "teacher.safetensors", starting_model(recipe().model, seed=5))
    folder = tmp_path / "run"
    words = (f"distill.teacher={teacher}", "stages.0.steps=2", "data.workers=0")
    done = CliRunner().invoke(app, ["distill", *command(recipe_file, folder, *words)[4:]])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(folder / "weights.safetensors")
    loaded = load_state(folder / "weights.safetensors")
    assert loaded.metadata["steps"] == "2"
    assert distance(loaded.state, trainer().model.state_dict()) > 0
    assert [line["step"] for line in lines(folder)] == [1, 2]
    for line in lines(folder):
        taught = [line["teacher_image"], line["teacher_memory"]]
        assert all(math.isfinite(value) and value > 0 for value in taught)
        own = 20 * line["focal"] + line["dice"] + line["score"] + line["presence"]
        assert line["total"] == pytest.approx(own + sum(taught), rel=1e-4)


UNFINISHED = """
import torch
from edgetam.train.loader import Order, open_loader
from edgetam.train.recipe import DataRecipe
from tests.train.tiny import Shapes, recipe

if __name__ == "__main__":
    order = Order(recipe().stages[0], 0)
    batches = open_loader(Shapes(order.stage, order), order, DataRecipe(workers=1), torch.device("cpu"))
    next(batches)
    print("looked", flush=True)
"""


def test_a_script_that_stops_looking_at_batches_ends(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNFINISHED)
    done = subprocess.run(
        [sys.executable, script], env=environment(), capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "looked\n"), done.stderr


WATCHED = """
import os
import torch
from edgetam.cli.main import main
from edgetam.train.run import Run

save = Run.save

def save_in_each_process(run):
    name = f"rank{os.environ['RANK']}-step{run.trainer.progress.step}.pt"
    torch.save(run.trainer.model.state_dict(), run.folder / name)
    save(run)

Run.save = save_in_each_process
main()
"""
"""The command line; after every save, the network of each process lies beside the run."""


def in_two_processes(words: list[str]) -> list[str]:
    """Run the command in two processes that train together; what each of them said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    both = [
        subprocess.Popen(
            [sys.executable, "-c", WATCHED, *words],
            env=environment(
                RANK=str(i), LOCAL_RANK=str(i), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port
            ),
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    outputs = [process.communicate(timeout=600)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    return outputs


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_processes_are_one_with_the_doubled_batch(
    optimizer: str, recipe_file: Path, tmp_path: Path
) -> None:
    asked = "{mask: 1, box: 1, corrections: 1}"
    first = [f"stages.0.prompts={asked}", "stages.0.accumulate=2", "stages.0.steps=2"]
    first += [f"optimizer.kind={optimizer}"]
    own_norms = f"stages.1={{name: own, steps: 2, frames: 2, clips: 1, objects: 1, prompts: {asked}}}"
    folder = tmp_path / "two"
    outputs = in_two_processes(command(recipe_file, folder, *first, own_norms, "every.save_minutes=0")[3:])
    assert "in 2 processes" in outputs[0] and outputs[1] == ""
    one = CliRunner().invoke(app, command(recipe_file, tmp_path / "one", *first, "stages.0.clips=2")[3:])
    assert one.exit_code == 0, one.output
    alone = totals(tmp_path / "one")
    assert totals(folder)[: len(alone)] == pytest.approx(alone, rel=1e-3)
    # where gradients are tiny, Adam makes much of how they are rounded: so all weights together
    a = load_checkpoint(tmp_path / "one" / "last.pt")["model"]
    b, after = (torch.load(folder / f"rank0-step{step}.pt", weights_only=True) for step in (2, 4))
    assert distance(a, b) < {"adamw": 0.02, "muon": 0.1}[optimizer] * distance(
        a, trainer().model.state_dict()
    )
    # each process normalises with its own clips in the second stage, and both end with one network
    other = torch.load(folder / "rank1-step4.pt", weights_only=True)
    running = [name for name in after if name.endswith(("running_mean", "running_var"))]
    assert running and any(not torch.equal(after[name], b[name]) for name in running)
    for name, value in after.items():
        assert torch.equal(value, other[name]), name


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """Between two sets of weights."""
    return float(torch.stack([(a[name] - b[name]).float().square().sum() for name in a]).sum().sqrt())


def test_mistakes_end_in_one_sentence(recipe_file: Path, tmp_path: Path) -> None:
    def run(*words: str):
        return CliRunner().invoke(app, ["train", str(recipe_file), "-o", str(tmp_path / "run"), *words])

    refused(run("stages.0.step=1"), 2, "'step'", "did you mean 'steps'")
    refused(run("distill.teacher=edgetam"), 2, "edgetam distill", "distill=null")
    refused(run("data.sources.synthetic.kind=davis", "data.sources.synthetic.root=missing"), 2, "missing")
    refused(run("model.init=missing.pt"), 3, "missing.pt")
    refused(run("device=cuda:7"), 3, "cuda:7")
    refused(CliRunner().invoke(app, ["train", str(tmp_path / "none.yaml")]), 2, "none.yaml")
    refused(CliRunner().invoke(app, ["distill", str(recipe_file)]), 2, "has no teacher", "distill.teacher=")
    (tmp_path / "file").write_text("")
    refused(CliRunner().invoke(app, ["train", str(recipe_file), "-o", str(tmp_path / "file")]), 4, "file")


def test_two_runs_do_not_write_to_one_folder(recipe_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ["train", str(recipe_file), "-o", str(folder)]
    assert CliRunner().invoke(app, words).exit_code == 0
    with sole_writer(folder):
        before = kept(folder)
        refused(CliRunner().invoke(app, [*words, "--overwrite"]), 4, "Another run is writing to", "run")
        assert kept(folder) == before


def test_data_can_be_checked_instead(recipe_file: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["train", str(recipe_file), "--check-data", "-o", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert "synthetic: drawn from nothing" in done.stdout
    assert (tmp_path / "run" / "data.png").read_bytes().startswith(b"\x89PNG")
