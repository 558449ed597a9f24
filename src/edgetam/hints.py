"""What somebody probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A hint, in brackets and after a space; empty where nothing is near."""
    choices = list(known)
    near = difflib.get_close_matches(str(name), choices, n=1)
    near = near or [choice for choice in choices if name and choice.startswith(str(name))]
    return f" (did you mean {near[0]}?)" if near else ""
