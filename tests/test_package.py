"""What the package offers is what it says, documented and typed."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import edgetam

PACKAGE = Path(edgetam.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

PUBLIC = {
    "edgetam": {
        "VARIANTS",
        "EdgeTAMError",
        "Engine",
        "FrameResult",
        "ImageResult",
        "AutoMask",
        "AutoMaskOptions",
        "AutoMasker",
        "ImageSegmenter",
        "ObjectResult",
        "Prompt",
        "Stream",
        "TrackerOptions",
        "TrackingSession",
        "VideoTracker",
        "__version__",
        "load_bundle",
        "load_model",
    },
    "edgetam.tracking": {
        "ImageResult",
        "AutoMask",
        "AutoMaskOptions",
        "AutoMasker",
        "ImageSegmenter",
        "Stream",
        "TrackerOptions",
        "TrackingSession",
        "VideoTracker",
    },
    "edgetam.model": {"EdgeTAM", "build_model", "fold_", "inference_form"},
    "edgetam.errors": {
        "BundleError",
        "ConfigError",
        "DownloadError",
        "EdgeTAMError",
        "EngineError",
        "InputError",
        "MediaError",
        "NewerError",
        "OutputError",
        "PromptError",
        "TrainingError",
        "WeightsError",
    },
}
"""Names people may rely on: adding one is a promise, and taking one away breaks their code."""


@pytest.mark.parametrize("name", PUBLIC)
def test_promised_names_are_there(name: str) -> None:
    module = importlib.import_module(name)
    assert set(module.__all__) == PUBLIC[name]
    assert all(hasattr(module, public) for public in module.__all__)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_exported_names_exist_and_no_public_definition_is_forgotten(path: Path) -> None:
    """``__all__`` names what is there, once each; a package's names are all it exports."""
    tree = ast.parse(path.read_text())
    exports = [
        [ast.literal_eval(item) for item in node.value.elts]
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
        and isinstance(node.value, (ast.List, ast.Tuple))
    ]
    if not exports:
        return
    assert len(exports) == 1
    assert len(set(exports[0])) == len(exports[0])
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    missing = set(exports[0]) - bound
    assert not missing or any(isinstance(n, ast.FunctionDef) and n.name == "__getattr__" for n in tree.body)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_everything_public_is_documented(path: Path) -> None:
    tree = ast.parse(path.read_text())
    if tree.body:
        assert ast.get_docstring(tree), f"{path.name} does not say what it is for"
    _check_documented(tree, path.name)


def _check_documented(owner: ast.Module | ast.ClassDef, place: str) -> None:
    for node in owner.body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if node.name.startswith("_"):
            continue
        assert ast.get_docstring(node) or _is_protocol(owner), f"{place}: {node.name} has no docstring"
        if isinstance(node, ast.ClassDef):
            _check_documented(node, f"{place}: {node.name}")


def _is_protocol(owner: ast.Module | ast.ClassDef) -> bool:
    """Members of a protocol that only says what a part needs are explained where they are implemented."""
    return isinstance(owner, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in owner.bases)


def test_types_are_shipped() -> None:
    assert (PACKAGE / "py.typed").exists()


def test_errors_form_the_tree_that_is_drawn() -> None:
    errors = importlib.import_module("edgetam.errors")
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert issubclass(kind, errors.EdgeTAMError)
        assert name in (errors.__doc__ or "")
        assert inspect.getdoc(kind)
    assert issubclass(errors.InputError, ValueError)
    assert issubclass(errors.PromptError, errors.InputError)
    assert issubclass(errors.DownloadError, errors.WeightsError)


def test_one_version() -> None:
    pyproject = PACKAGE.parent.parent / "pyproject.toml"
    assert f'version = "{edgetam.__version__}"' in pyproject.read_text()
