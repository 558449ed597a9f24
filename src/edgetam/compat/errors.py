"""The one failure that published scripts expect under another name."""

from __future__ import annotations

from edgetam.errors import PromptError

__all__ = ["StateError"]


class StateError(PromptError, RuntimeError):
    """A call at the wrong time; a `RuntimeError` as well, since that is what SAM 2 raises."""
