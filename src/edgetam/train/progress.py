"""How far a run is, and what it reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from edgetam.train.stage import Stage

__all__ = ["Progress", "Report", "Window"]


@dataclass
class Window:
    """Sums since the last line of the log."""

    sums: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    clips: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    def add(self, terms: dict[str, float], clips: int, seconds: float, waited: float) -> None:
        """Count a step."""
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.steps += 1
        self.clips += clips
        self.seconds += seconds
        self.waited += waited


@dataclass
class Progress:
    """Where a run is; with weights and optimiser this is all that a run needs to go on.

    Attributes:
        stage: number of the stage.
        stage_step: steps done in it.
        stage_seconds: time spent on it.
        step: steps done in the run.
        clips: number of the next clip.
        seconds: time spent on the run, without that between runs.
        broken: samples that could not be used and were replaced, in all processes.
        window: what the next line of the log will hold.
    """

    stage: int = 0
    stage_step: int = 0
    stage_seconds: float = 0.0
    step: int = 0
    clips: int = 0
    seconds: float = 0.0
    broken: int = 0
    window: Window = field(default_factory=Window)

    def share(self, stage: Stage) -> float:
        """How much of a stage is done, from 0 on; 1 or more is all of it."""
        if stage.steps is not None:
            return self.stage_step / stage.steps
        assert stage.minutes is not None
        return self.stage_seconds / (60 * stage.minutes)

    def seconds_left(self, stage: Stage) -> float | None:
        """Time to the end of the stage; unknown before its first step."""
        if stage.minutes is not None:
            return max(0.0, 60 * stage.minutes - self.stage_seconds)
        assert stage.steps is not None
        if not self.stage_step:
            return None
        return (stage.steps - self.stage_step) * self.stage_seconds / self.stage_step

    def step_done(self, seconds: float) -> None:
        """Count a step."""
        self.stage_step += 1
        self.step += 1
        self.spent(seconds)

    def spent(self, seconds: float) -> None:
        """Count time."""
        self.stage_seconds += seconds
        self.seconds += seconds

    def next_stage(self) -> None:
        """Begin the next stage."""
        self.stage += 1
        self.stage_step = 0
        self.stage_seconds = 0.0

    def state(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def of(cls, state: dict[str, Any]) -> Progress:
        """Undo `state`."""
        return cls(**{**state, "window": Window(**state["window"])})


@dataclass(frozen=True)
class Report:
    """A line of the log: means since the last one.

    Attributes:
        step, stage, share: how far the run is: steps, name of the stage, and how much of that is done.
        minutes: of training so far.
        losses: ``total`` and its unweighted parts.
        clips_per_second: over all processes.
        waiting: share of the time spent waiting for data.
        broken: samples that could not be used so far and were replaced, over all processes.
        seconds_left: to the end of the stage.
    """

    step: int
    stage: str
    share: float
    minutes: float
    losses: dict[str, float]
    clips_per_second: float
    waiting: float
    broken: int
    seconds_left: float | None

    @classmethod
    def of(cls, progress: Progress, stage: Stage) -> Report:
        """Close the window: report it and begin another."""
        window, progress.window = progress.window, Window()
        return cls(
            step=progress.step,
            stage=stage.name,
            share=min(1.0, progress.share(stage)),
            minutes=progress.seconds / 60,
            losses={name: value / window.steps for name, value in window.sums.items()},
            clips_per_second=window.clips / window.seconds,
            waiting=window.waited / window.seconds,
            broken=progress.broken,
            seconds_left=progress.seconds_left(stage),
        )
