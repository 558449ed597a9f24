"""Lists of videos, as data sets bring them in ``ImageSets``."""

from __future__ import annotations

from pathlib import PurePosixPath

__all__ = ["listed_videos"]


def listed_videos(text: str) -> list[str]:
    """Names of videos, each once, in their order.

    A line is a name, as in DAVIS 2017 and YouTube-VOS, or a frame and its mask, as in DAVIS 2016:
    ``/JPEGImages/480p/NAME/00000.jpg /Annotations/480p/NAME/00000.png``.
    """
    names = []
    for line in text.removeprefix("\ufeff").split("\n"):
        words = line.split()
        if words:
            path = PurePosixPath(words[0])
            is_frame = "/" in words[0] and path.suffix
            names.append(path.parent.name if is_frame else path.name)
    return list(dict.fromkeys(names))
