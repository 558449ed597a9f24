"""Libraries that talk to their developers while they work for ours."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet", "unreported"]

IN_CI = {"CI": "true", "NNCF_CI": "1"}
"""What keeps OpenVINO's tools from reporting that they are used."""


_turn = threading.RLock()
"""Levels and variables are the process's: two threads that put them back in turn would leave them changed."""


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Hear only errors of a library's logger, and no warnings.

    Its handlers stay as they are: they may be those of the caller's own logging.
    """
    with _turn:
        logger = logging.getLogger(name)
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logger.setLevel(level)


@contextmanager
def unreported() -> Iterator[None]:
    """Let OpenVINO's tools tell nobody that they run: unasked, they would post it to Google Analytics."""
    with _turn:
        before = {name: os.environ.get(name) for name in IN_CI}
        os.environ.update(IN_CI)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
