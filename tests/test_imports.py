"""Imports run one way, and tracking needs no torch."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import edgetam

PACKAGE = Path(edgetam.__file__).parent
ROOT = PACKAGE.parent.parent
BASE = {"atomic", "config", "errors", "hashing", "hints", "locks", "structs"}
NETWORK = BASE | {"model", "weights"}
TRACKING = BASE | {"io", "engine", "tracking"}
ALL = NETWORK | TRACKING | {"eval", "export", "train"}
MAY_IMPORT: dict[str, set[str]] = {
    "atomic": {"errors"},
    "errors": set(),
    "hashing": set(),
    "hints": set(),
    "locks": {"atomic", "errors"},
    "config": {"errors"},
    "structs": {"errors", "config"},
    "model": BASE,
    "weights": NETWORK,
    "engine": NETWORK | {"engine"},
    "io": BASE,
    "tracking": TRACKING,
    "eval": ALL,
    "train": ALL,
    "export": ALL,
    "quantize": ALL,
    "batch": ALL,
    "compat": ALL,
    "app": ALL | {"batch"},
    "cli": ALL | {"quantize", "app", "batch", "compat"},
    "__init__": {"config", "engine", "errors", "structs", "tracking"},
    "__main__": {"cli"},
}
"""Part of the package to the other parts it may know about."""

TORCH_FREE = [*sorted(BASE), "tracking", "io", "__init__"]
TORCH_FREE_ENGINE = (
    *("__init__", "base", "select", "verbs", "candidates", "store", "source", "openvino", "int8"),
    *("manifest", "fixed", "bundle", "onnx", "requirements"),
)
TORCH_FREE_FILES = [
    *(f"engine/{name}.py" for name in TORCH_FREE_ENGINE),
    *("weights/__init__.py", "weights/registry.py", "weights/digest.py", "eval/"),
]


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """``tracking`` for ``tracking/bank.py``, ``config`` for ``config.py``."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> set[tuple[str, bool]]:
    """Modules that a file imports, and whether it does so as soon as it is itself imported."""
    tree = ast.parse(path.read_text())
    later = {
        node
        for owner in ast.walk(tree)
        if isinstance(owner, (ast.FunctionDef, ast.AsyncFunctionDef)) or _is_for_types(owner)
        for node in ast.walk(owner)
    }
    found = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "edgetam" else [module]
        found |= {(name, node not in later) for name in names}
    return found


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    part = part_of(path)
    for name, _ in imported(path):
        if name.startswith("edgetam."):
            other = name.split(".")[1]
            exported = not (PACKAGE / other).is_dir() and not (PACKAGE / f"{other}.py").exists()
            known = (
                MAY_IMPORT[part]
                | {part}
                | ({other} if exported and part in ("cli", "app", "batch") else set())
            )
            assert other in known, f"edgetam.{part} must not know about edgetam.{other}"


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_tracking_and_io_import_no_torch(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    if part_of(path) not in TORCH_FREE and not name.startswith(tuple(TORCH_FREE_FILES)):
        return
    at_once = {module.partition(".")[0] for module, now in imported(path) if now}
    assert not at_once & {"torch", "torchvision"}
    ever = {module.partition(".")[0] for module, _ in imported(path)}
    if part_of(path) in ("tracking", "io"):
        assert not ever & {"torch", "torchvision"}


WITHOUT_TORCH = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())

import edgetam, edgetam.engine, edgetam.io, edgetam.tracking
from edgetam import ImageSegmenter, Prompt, TrackerOptions, VideoTracker
from tests.tracking.fake_engine import Clip, FakeEngine

tracker = VideoTracker(FakeEngine())
with tracker.open(list(Clip(20))) as session:
    session.prompt(0, 1, points=[[3, 4]])
    session.prompt(2, 2, box=[1, 1, 9, 9])
    results = list(session.propagate())
    session.save(sys.argv[1])
with tracker.resume(sys.argv[1], list(Clip(20))) as session:
    assert session.objects == [1, 2]
stream = tracker.stream()
for frame, image in enumerate(Clip(20)):
    stream.step(image, {1: Prompt(points=[[3, 4]])} if frame == 0 else None)
segmenter = ImageSegmenter(FakeEngine())
segmenter.set_image(Clip(1).image(0))
segmenter.predict(points=[[3, 4]])

import numpy as np
from edgetam.eval.metrics import frame_scores, score_folder
from edgetam.eval.report import write_report

assert frame_scores(np.eye(3), np.eye(3)) == (1.0, 1.0)

import edgetam.eval.scoring, edgetam.eval.vos_run, edgetam.eval.pvs_run, edgetam.eval.sa_run
from edgetam.eval.trackers import EdgeTAMTracker
from edgetam.io import open_frames

measured = EdgeTAMTracker(tracker).open(open_frames([Clip(3).image(t) for t in range(3)]))
measured.prompt(0, 1, Prompt(points=[[3, 4]]))
assert len(list(measured.propagate(0))) == 3
assert "torch" not in sys.modules
print(len(results), stream.frame)
"""


def test_tracking_works_where_torch_is_not_installed(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": f"{PACKAGE.parent}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path / "session")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["20", "19"]
