"""Pictures turned upright as their EXIF asks.

Odd EXIF data must not cost a picture whose pixels are fine. So only the orientation is read, it counts as 1
(upright) when it cannot be made out, and nothing is written anew, as `ImageOps.exif_transpose` does.
"""

from __future__ import annotations

import warnings

from PIL import Image

__all__ = ["read_orientation", "upright", "upright_size"]

_ORIENTATION, _WIDTH, _HEIGHT = 0x0112, 0x0100, 0x0101  # tags of EXIF, and of TIFF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {5, 6, 7, 8}  # those that exchange width and height


def read_orientation(image: Image.Image) -> int:
    """Read the EXIF orientation, 1 to 8; 1 where there is none or none that makes sense."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about parts that are not needed
            value = image.getexif().get(_ORIENTATION)
    except Exception:  # malformed EXIF makes PIL raise almost anything
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Tell the (width, height) that `upright` gives, from the header where the format has one."""
    width, height = image.size
    if read_orientation(image) not in _SIDEWAYS:
        return width, height
    # Newer PIL has exchanged the sides of a TIFF already; its tags say how it is stored.
    stored = getattr(image, "tag_v2", {})
    return stored.get(_HEIGHT, height), stored.get(_WIDTH, width)


def upright(image: Image.Image) -> Image.Image:
    """Turn a picture upright; the same one where nothing has to be turned."""
    if image.format == "TIFF":  # PIL turns these while it loads them
        image.load()
        return image
    turn = _TURNS.get(read_orientation(image))
    return image if turn is None else image.transpose(turn)
