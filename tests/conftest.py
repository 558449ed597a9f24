"""One thread for all, and a small network whose every part shows in its answers."""

from __future__ import annotations

import faulthandler
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import pytest
import torch
from hypothesis import HealthCheck, settings

from edgetam.engine.torch import TorchEngine
from edgetam.model import EdgeTAM
from tests.model.lively import shared_model

# A busy machine is no failure, and every run sees the same examples.
settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

torch.set_num_threads(1)
cv2.setNumThreads(1)


_SAID = pytest.StashKey[TextIO]()

HANGS = 900
"""Seconds after which a test is taken to wait for ever; the slowest takes two minutes on a busy machine."""


def _crashes(config: pytest.Config) -> Path:
    return config.rootpath / ".pytest_cache" / "crashes"


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let processes of xdist that crash say where into a file: their output is lost with them."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        _crashes(config).mkdir(parents=True, exist_ok=True)
        config.stash[_SAID] = (_crashes(config) / f"{worker}.txt").open("w")
        faulthandler.enable(config.stash[_SAID])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """End a process of xdist whose test never does, and say where each of its threads waits."""
    if (said := item.config.stash.get(_SAID, None)) is None:
        return (yield)
    patience = HANGS if item.get_closest_marker("slow") is None else 8 * HANGS
    faulthandler.dump_traceback_later(patience, exit=True, file=said)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what they said."""
    for file in sorted(_crashes(config).glob("*.txt")):
        if config.getoption("numprocesses", None) and (said := file.read_text()):
            terminalreporter.section(f"{file.stem} crashed")
            terminalreporter.write_line(said)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the tests' own, shared by the processes that run them: models are converted once."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGETAM_CACHE", str(shared / "cache"))
        yield


@pytest.fixture(autouse=True)
def _log_levels() -> Iterator[None]:
    """The command line sets how much is said; the next test starts as a library user does."""
    loggers = [logging.getLogger(name) for name in ("edgetam", "edgetam.engine")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="session")
def model() -> EdgeTAM:
    """EdgeTAM at 256 pixels; shared, so tests must leave it as it is."""
    return shared_model("edgetam", 256)


@pytest.fixture(scope="session")
def engine(model: EdgeTAM) -> TorchEngine:
    """The same on the torch engine."""
    return TorchEngine(model)
