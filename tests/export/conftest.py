"""One exported bundle for all tests of this folder, shared by the processes that run them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from edgetam.export import BundleSpec, export_bundle
from edgetam.model import EdgeTAM

OBJECTS = 2


@pytest.fixture(scope="session")
def exported(model: EdgeTAM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for OpenVINO; tests must leave it as it is."""
    pytest.importorskip("openvino")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "exported"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            spec = BundleSpec("openvino", "fp32", objects=OBJECTS, prompted=2, points=8, origin="random")
            export_bundle(model, spec, folder)
    return folder


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(exported, tmp_path / "copied", copy_function=os.link))
