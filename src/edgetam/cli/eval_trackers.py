"""Which tracker an evaluation runs; travels to worker processes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgetam.cli.options import ModelChoice, check_memory
from edgetam.errors import ConfigError
from edgetam.hashing import sha256_of
from edgetam.tracking import ImageSegmenter, TrackerOptions, VideoTracker

if TYPE_CHECKING:
    from edgetam.eval.protocols.clicks import Segmenter
    from edgetam.eval.trackers import Tracker

__all__ = ["PUBLISHED", "TRACKERS", "TrackerChoice"]

TRACKERS = ("edgetam", "copy", "flow")

PUBLISHED = TrackerOptions(fill_holes=0, stable_single=False, binarize_prompted=False, store="bf16")
"""How SAM 2 and EdgeTAM are measured by their authors: without post-processing (tools/vos_inference.py)."""


@dataclass(frozen=True)
class TrackerChoice:
    """A tracker by name; calling it makes one.

    Attributes:
        name: one of `TRACKERS`, or ``module:function`` for a function that returns a `Tracker`.
        model: the model of our own tracker.
        postprocess: whether our own tracker cleans its masks.
        history: whether our own tracker must be able to correct frames that are long past.
        memory: which frames our own tracker remembers.
    """

    name: str
    model: ModelChoice
    postprocess: bool = False
    history: bool = True
    memory: str = "auto"

    @property
    def options(self) -> TrackerOptions:
        """How our own tracker behaves."""
        chosen = TrackerOptions() if self.postprocess else PUBLISHED
        return replace(chosen, history=self.history, memory_selection=check_memory(self.memory))

    @property
    def about(self) -> list[object]:
        """All that results depend on; of a tracker of the user's own, its module's file.

        Raises:
            ConfigError: there is no such tracker.
        """
        if self.name == "edgetam":
            return [self.name, *self.model.identity, repr(self.options)]
        if self.name in TRACKERS:
            return [self.name]
        self._function()
        file = Path(getattr(sys.modules[self._module], "__file__", None) or "")
        return [self.name, *([sha256_of(file)] if file.is_file() else [])]

    def check(self) -> None:
        """Find out what can be known without loading anything.

        Raises:
            ConfigError: an unknown tracker, model or size.
            EngineError: an unknown engine or precision.
        """
        check_memory(self.memory)
        if self.name == "edgetam":
            self.model.check()
        elif self.name not in TRACKERS:
            self._function()

    def sharing(self, processes: int) -> TrackerChoice:
        """The same for one of several processes, each with its part of the cores unless threads are given."""
        if processes == 1 or self.model.threads is not None:
            return self
        threads = max(1, (os.cpu_count() or 1) // processes)
        return replace(self, model=replace(self.model, threads=threads))

    def __call__(self) -> Tracker:
        """Make the tracker."""
        from edgetam.eval.trackers import CopyTracker, EdgeTAMTracker, FlowTracker

        if self.name == "edgetam":
            return EdgeTAMTracker(VideoTracker(self.model.load(), self.options))
        if self.name in TRACKERS:
            return CopyTracker() if self.name == "copy" else FlowTracker()
        made: Tracker = self._made("tracker", "open")
        return made

    def check_clicks(self) -> None:
        """As `check`, where there is nothing but clicks.

        Raises:
            ConfigError: also for the baselines, which take none.
        """
        if self.name in TRACKERS and self.name != "edgetam":
            raise ConfigError(
                f"--tracker is '{self.name}', which takes no clicks; expected edgetam or MODULE:FUNCTION."
            )
        self.check()

    def segmenter(self) -> Segmenter:
        """Make what answers clicks on images; a function of the user's must return a `Segmenter` then."""
        if self.name == "edgetam":
            return ImageSegmenter(self.model.load(partial="image"))
        made: Segmenter = self._made("segmenter", "set_image", "predict")
        return made

    def _made(self, what: str, *methods: str) -> Any:
        """What the user's function returns, if that can be used."""
        made = self._function()()
        if isinstance(made, type) or not all(callable(getattr(made, method, None)) for method in methods):
            found = made.__name__ if isinstance(made, type) else type(made).__name__
            raise ConfigError(
                f"--tracker is '{self.name}', which returns a {found}; expected a {what} with the "
                f"method{'s'[: len(methods) > 1]} {' and '.join(methods)}."
            )
        return made

    @property
    def _module(self) -> str:
        return self.name.partition(":")[0]

    def _function(self) -> Callable[[], Any]:
        function = self.name.partition(":")[2]
        sys.path.insert(0, str(Path.cwd()))  # as python -m does, so that a script of one's own is found
        try:
            made: Callable[[], Any] = getattr(importlib.import_module(self._module), function)
            if not callable(made):
                raise ValueError(f"it is a {type(made).__name__} and no function")
            return made
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"--tracker is '{self.name}' ({error}); expected one of {', '.join(TRACKERS)}, or "
                "MODULE:FUNCTION for a function of yours that returns a tracker."
            ) from error
        finally:
            sys.path.pop(0)
