"""The command itself, ``doctor`` and the mounted apps."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import edgetam
from edgetam.cli import doctor
from edgetam.engine import requirements
from edgetam.engine.select import choose_engine


def test_help_names_every_command_and_needs_no_torch():
    code = (
        "import sys\n"
        "from edgetam.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'torch' not in sys.modules\n"
        "try: app(['track', 'gone.mp4', '--point', 'x'])\n"
        "except SystemExit as end: assert end.code == 2\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("track", "segment", "automask", "doctor", "demo", "weights"):
        assert f" {name} " in done.stdout
    assert "--point is 'x'" in done.stderr


def test_commands_that_need_torch_say_so_and_others_do_not():
    code = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['filelock'] = sys.modules['huggingface_hub'] = None\n"
        "from edgetam.cli.main import app\n"
        "for arguments in (['weights', 'list'], ['synth', '-o', 'x.mp4'], ['weights', 'info']):\n"
        "    try: app(arguments)\n"
        "    except SystemExit as end: print('code', end.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    codes = [line for line in done.stdout.splitlines() if line.startswith("code")]
    assert codes == ["code 0", "code 3", "code 3"]
    told = "edgetam: error: This command needs PyTorch, which is not installed; run: pip install torch\n"
    assert done.stderr == 2 * told


def test_version(run):
    assert run("--version").output.strip() == f"edgetam {edgetam.__version__}"


@pytest.mark.parametrize("command", ["track", "segment", "automask", "doctor", "demo"])
def test_help_of_commands(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"edgetam {command}" in result.output


def test_the_short_form_of_help(run):
    for words in ((), ("track",), ("weights",), ("weights", "info"), ("eval", "vos")):
        result = run(*words, "-h")
        assert (result.exit_code, "Usage" in result.output) == (0, True), words


def test_nothing_and_nonsense(run):
    assert "Usage" in run().output
    assert run("trakc").exit_code == 2


def test_weights_are_mounted(run):
    assert "convert" in run("weights", "--help").output
    result = run("weights", "list")
    assert result.exit_code == 0
    assert "sam2.1-b+" in result.output
    result = run("weights", "info", "gone.pt")
    assert result.exit_code == 3
    assert result.stderr.startswith("edgetam: error: ")
    assert run("weights", "nonsense").exit_code == 2


def test_doctor_for_people_and_programs(run):
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "Everything needed is here." in result.output
    for text in ("python", "memory", "torch", "H.264 encoder", "bundled", "openvino"):
        assert text in result.output
    report = json.loads(run("doctor", "--json").output)
    assert report["healthy"] is True
    names = {finding["name"]: finding for finding in report["findings"]}
    assert names["edgetam"]
    assert all(
        f["hint"]
        for f in report["findings"]
        if f["name"] in ("openvino", "cuda") and f["status"] == "missing"
    )


def test_doctor_lists_engines_and_export_targets(run, monkeypatch):
    def found():
        report = json.loads(run("doctor", "--json").output)
        return {(f["topic"], f["name"]): f for f in report["findings"]}

    names = {name for topic, name in found() if topic == "export"}
    assert names == {"onnx", "openvino", "coreml", "executorch"}
    monkeypatch.setattr(requirements, "missing", lambda modules: [m for m in modules if m != "torch"])
    without = found()
    assert without["engines", "onnx"]["status"] == "missing"
    assert "pip install 'edgetam[onnx]'" in without["engines", "onnx"]["hint"]
    assert without["export", "onnx"]["detail"] == "needs onnx, onnxscript, onnxruntime"
    assert without["export", "coreml"]["hint"] == "pip install 'edgetam[coreml]'"


def test_doctor_where_only_bundles_run(run, monkeypatch):
    """Without PyTorch something is missing, and nothing is broken."""
    monkeypatch.setattr(requirements, "missing", lambda modules: [m for m in modules if m != "onnxruntime"])
    monkeypatch.setattr("edgetam.engine.select.missing", requirements.missing)
    result = run("doctor", "--json")
    assert result.exit_code == 0, result.output
    found = {(f["topic"], f["name"]): f for f in json.loads(result.output)["findings"]}
    for each in (("torch", "torch"), ("engines", "torch"), ("engines", "auto")):
        assert found[each]["status"] == "missing"
    assert found["engines", "onnx"]["status"] == "ok"


def test_doctor_says_what_a_model_would_run_on(run):
    found = {(f["topic"], f["name"]): f for f in json.loads(run("doctor", "--json").output)["findings"]}
    engine, device, precision, _ = choose_engine()
    assert found["engines", "auto"]["status"] == "ok"
    assert found["engines", "auto"]["detail"].startswith(f"{engine} on {device} in {precision} (")
    assert found["engines", engine]["status"] == "ok"


def test_doctor_tries_the_cache(run, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGETAM_CACHE", str(tmp_path / "file" / "cache"))
    found = {f["name"]: f for f in json.loads(run("doctor", "--json").output)["findings"]}
    assert found["cache"]["status"] == "missing"
    assert "EDGETAM_CACHE" in found["cache"]["hint"]


def test_doctor_says_what_is_broken(run, monkeypatch):
    def broken():
        raise ImportError("libcuda is not what it was")
        yield

    monkeypatch.setattr(doctor, "_torch", broken)
    result = run("doctor")
    assert result.exit_code == 1
    assert "libcuda is not what it was" in result.output
    assert "broken" in result.output
