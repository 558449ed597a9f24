"""Every failure a user can meet is one of these.

::

    EdgeTAMError
    ├── InputError            what was given cannot be used (also a ValueError)
    │   ├── MediaError        a video, image or folder cannot be read
    │   ├── PromptError       a click, box, mask, frame or object id is wrong
    │   └── ConfigError       an unknown variant, option, key or size
    │       └── NewerError    a newer version wrote this
    ├── WeightsError          a checkpoint cannot be used
    │   ├── DownloadError     a checkpoint cannot be fetched
    │   └── BundleError       an exported bundle cannot be used
    ├── EngineError           a runtime or precision is not available here
    ├── OutputError           a result cannot be written
    └── TrainingError         a training run cannot go on

Messages are one sentence: what was given, what was expected, what to do.
"""

from __future__ import annotations

__all__ = [
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
]


class EdgeTAMError(Exception):
    """Base of every error raised on purpose by this package."""


class InputError(EdgeTAMError, ValueError):
    """Something the user gave cannot be used."""


class MediaError(InputError):
    """A video, an image, a folder of frames or a stream cannot be read."""


class PromptError(InputError):
    """A prompt does not fit the frame, the video or the session."""


class ConfigError(InputError):
    """A variant, an option or a size is not one we know."""


class NewerError(ConfigError):
    """A newer version wrote this; nothing is wrong with it."""

    advice = "this version of edgetam does not know; update it with 'pip install -U edgetam'."


class WeightsError(EdgeTAMError):
    """A checkpoint is damaged, unsafe or belongs to another model."""


class DownloadError(WeightsError):
    """A checkpoint cannot be downloaded."""


class BundleError(WeightsError):
    """An exported bundle is incomplete, altered or made by a newer version."""


class EngineError(EdgeTAMError):
    """A runtime, device or precision is not available on this machine."""


class OutputError(EdgeTAMError):
    """A result cannot be written."""


class TrainingError(EdgeTAMError):
    """A training run cannot go on."""
