"""Ground truth as PNG files: maps of object ids, and one mask per file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgetam.errors import MediaError

__all__ = ["Mask", "read_foreground", "read_ids"]

Mask = NDArray[np.bool_]
"""``[H, W]``."""

_ID_MODES = {"P", "L", "1", "I", "I;16", "I;16B"}


def read_ids(path: Path) -> NDArray[np.int32]:
    """A picture whose pixel values are object ids, ``[H, W]``.

    Raises:
        MediaError: the file is missing, damaged, or shows colours instead of ids.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in _ID_MODES:
                raise MediaError(
                    f"'{path}' is {image.mode}, expected a palette or grey PNG whose pixel values are object "
                    "ids; save it without converting it to colours."
                )
            return np.asarray(image).astype(np.int32)
    except FileNotFoundError as error:
        raise MediaError(f"There is no mask '{path}'; check the path.") from error
    except MediaError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(
            f"The mask '{path}' cannot be read: it is empty, damaged or not an image."
        ) from error


def read_foreground(path: Path) -> Mask:
    """A picture as one mask: whatever is not 0; ``[H, W]``.

    Raises:
        MediaError: see `read_ids`.
    """
    return read_ids(path) != 0
