"""What to do about a prediction that is not complete: stop and say where, or go on and keep a list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from edgetam.errors import InputError

__all__ = ["Problems", "where"]


def where(sequence: str, frame: str | None = None, item: str | int | None = None) -> str:
    """Return ``Sequence 'a', frame '00003', object 2``."""
    parts = [f"Sequence '{sequence}'"]
    if frame is not None:
        parts.append(f"frame '{frame}'")
    if item is not None:
        parts.append(f"object {item}")
    return ", ".join(parts)


@dataclass
class Problems:
    """Collects what is wrong when ``lenient``; else the first problem is the end."""

    lenient: bool = False
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tick: Callable[[], None] = lambda: None
    """Called after each frame."""

    def report(self, sentence: str) -> None:
        """Note something that cannot be scored.

        Raises:
            InputError: not lenient.
        """
        if not self.lenient:
            raise InputError(sentence)
        self.missing.append(sentence)

    def note(self, sentence: str) -> None:
        """Note something that was scored, but perhaps not as expected; the same one only once."""
        if sentence not in self.notes:
            self.notes.append(sentence)
