"""Choices made when tracking, none of which the network knows about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from edgetam.config import ModelConfig, check_whole
from edgetam.errors import ConfigError

__all__ = ["MemorySelection", "TrackerOptions"]

MemorySelection = Literal["auto", "recent", "confident"]


@dataclass(frozen=True)
class TrackerOptions:
    """How a session or a stream behaves.

    Attributes:
        keep_corrections: a frame corrected after tracking becomes a prompted frame, so that tracking again
            neither loses nor overwrites the correction. The published predictors do not.
        fill_holes: background specks of at most this many cells of the mask logits are filled.
        stable_single: fall back to the best of three masks when the single one has an uncertain outline.
        binarize_prompted: remember prompted masks as hard masks.
        exclusive: objects may not overlap in the results.
        exclusive_memory: nor in what is remembered.
        joint: all objects share their prompted frames (the published EdgeTAM predictor); by default objects
            are independent (SAM 2 since December 2024).
        track_before_prompt: also look for an object on frames before its first prompt.
        memory_stride: remember every n-th frame instead of the last ones.
        memory_selection: which tracked frames are read: ``recent`` are the last six as published,
            ``confident`` the last six whose answer can be trusted, however long ago that was, so that what is
            taken up while the object is gone is not learned (recent ones until there is one). ``auto`` is
            confident with weights that skip frames without the object (`ModelConfig.skips_absent`), as the
            bundled ones.
        max_prompted: read at most this many prompted frames; ``None`` for all.
        clear_around_prompts: forget tracked frames close to a new prompt.
        store: precision memories are kept in: ``fp32``, ``bf16`` as the published predictors do, or ``auto``:
            fp32 where the engine computes in it, which keeps engines within rounding errors of each other.
        history: keep what was tracked (in a temporary folder once it is old), so that any frame can be
            corrected later. Without, only what the next frame can read is kept.
        batch: at most this many objects are decoded at once.

    Raises:
        ConfigError: a number is too small or not whole, or a word is unknown.
    """

    keep_corrections: bool = True
    fill_holes: int = 8
    stable_single: bool = True
    binarize_prompted: bool = True
    exclusive: bool = False
    exclusive_memory: bool = False
    joint: bool = False
    track_before_prompt: bool = False
    memory_stride: int = 1
    memory_selection: MemorySelection = "auto"
    max_prompted: int | None = None
    clear_around_prompts: bool = False
    store: Literal["auto", "fp32", "bf16"] = "auto"
    history: bool = True
    batch: int = 16

    def __post_init__(self) -> None:
        check_whole("fill_holes", self.fill_holes, 0)
        check_whole("memory_stride", self.memory_stride, 1)
        check_whole("batch", self.batch, 1)
        if self.max_prompted is not None:
            check_whole("max_prompted", self.max_prompted, 1)
        if self.store not in ("auto", "fp32", "bf16"):
            raise ConfigError(f"store is {self.store!r}; expected 'auto', 'fp32' or 'bf16'.")
        if self.memory_selection not in get_args(MemorySelection):
            raise ConfigError(
                f"memory_selection is {self.memory_selection!r}; expected 'auto', 'recent' or 'confident'."
            )

    def confident(self, config: ModelConfig) -> bool:
        """Whether only frames are read whose answers can be trusted."""
        return self.memory_selection == "confident" or (
            self.memory_selection == "auto" and config.skips_absent
        )

    @classmethod
    def of(cls, options: Any) -> TrackerOptions:
        """``options``, or the defaults for None.

        Raises:
            ConfigError: they are something else.
        """
        if options is not None and not isinstance(options, cls):
            raise ConfigError(f"options is a {type(options).__name__}; expected TrackerOptions(...).")
        return options or cls()
