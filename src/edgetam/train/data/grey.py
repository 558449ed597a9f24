"""What grey masks hold, decided once for all masks of a data set: alone, some could mean two things."""

from __future__ import annotations

from collections.abc import Sequence

from edgetam.errors import ConfigError, MediaError
from edgetam.train.data.decode import Grey, is_stark
from edgetam.train.data.files import Files

__all__ = ["MASK_VALUES", "grey_of"]

MASK_VALUES = (Grey.IDS.value, Grey.BINARY.value)
"""What ``masks`` of a description can be."""

_LOOKED_AT = 32


def grey_of(files: Files, masks: Sequence[str], wish: str | None) -> Grey:
    """What the grey ones of ``masks`` hold: the wish, or else what some of them show, evenly spread.

    255 beside ids is void, and 255 with nothing but 0 is an object, as DAVIS 2016 has it. Which of them it is
    cannot be told from a frame that the objects have left.

    Raises:
        ConfigError: the wish is unknown, or there is none and masks of both kinds were seen.
    """
    if wish is not None:
        if wish not in MASK_VALUES:
            raise ConfigError(f"masks is {wish!r}, expected one of {', '.join(MASK_VALUES)}: choose one.")
        return Grey(wish)
    seen: dict[bool, str] = {}
    count = min(_LOOKED_AT, len(masks))
    for number in range(count):
        name = masks[number * len(masks) // count]
        stark = _is_stark(files, name)
        if stark is not None:
            seen.setdefault(stark, name)
    if len(seen) == 2:
        raise ConfigError(
            f"'{files.label(seen[True])}' is black and white alone and '{files.label(seen[False])}' is not, "
            "expected grey masks of one kind: set 'masks' to 'ids' if values are object numbers and 255 is "
            "void, or to 'binary' if all that is bright is one object."
        )
    return Grey.STARK if True in seen else Grey.IDS


def _is_stark(files: Files, name: str) -> bool | None:
    try:
        return is_stark(files.read(name))
    except MediaError:  # it is named when a clip is to be made of it
        return None
