"""Where the files of a data set lie: ``JPEGImages/{video}/{frame}.jpg``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from edgetam.errors import ConfigError, MediaError
from edgetam.io.images import IMAGE_SUFFIXES, natural_key

__all__ = ["FileKey", "FilePattern"]

_PLACE = re.compile(r"\{(\w+)\}|(\*)")
JOINT = "__"
"""Between the two parts of the name of a video that lies in two folders."""
_KNOWN = ("scene", "video", "object", "frame")


class FileKey(NamedTuple):
    """Which frame of which object a file shows; the object is empty where a file shows all of them."""

    object: str
    frame: str


@dataclass(frozen=True)
class FilePattern:
    """A path with places for ``{video}`` and ``{frame}``, and maybe for ``{scene}`` and ``{object}``.

    ``{scene}/{video}`` is for videos that are told apart by two folders, and called ``SCENE__VIDEO`` here;
    ``*`` is any part of a name.

    Raises:
        ConfigError: an unknown place, no video or frame, or a video and a frame in one name.
    """

    text: str

    def __post_init__(self) -> None:
        names = [name for name, _ in _PLACE.findall(self.text) if name]
        if unknown := [name for name in names if name not in _KNOWN]:
            raise ConfigError(
                f"The pattern '{self.text}' has the unknown place {{{unknown[0]}}}; "
                f"expected some of {', '.join(f'{{{name}}}' for name in _KNOWN)}."
            )
        if "video" not in names or "frame" not in names:
            raise ConfigError(
                f"The pattern '{self.text}' does not say where videos and frames are; expected something "
                "like JPEGImages/{video}/{frame}.jpg."
            )
        if "{frame}" in self._head or "{object}" in self._head:
            raise ConfigError(
                f"The pattern '{self.text}' has the frame before or in the name of the video; expected a "
                "folder per video, such as {video}/{frame}.png."
            )

    @property
    def per_object(self) -> bool:
        """Whether every object has files of its own."""
        return "{object}" in self.text

    @cached_property
    def _split(self) -> tuple[str, str]:
        parts = self.text.strip("/").split("/")
        last = max((i for i, part in enumerate(parts) if "{video}" in part), default=0)
        return "/".join(parts[: last + 1]), "/".join(parts[last + 1 :])

    @property
    def _head(self) -> str:
        """The folder of a video."""
        return self._split[0]

    @property
    def _tail(self) -> str:
        """The files below that folder."""
        return self._split[1]

    def videos(self, root: Path) -> list[str]:
        """Names of the videos below ``root``, in natural order."""
        regex = re.compile(_regex(self._head))
        names = set()
        for folder in root.glob(_glob(self._head)):
            match = regex.fullmatch(folder.relative_to(root).as_posix())
            if match and folder.is_dir() and not folder.name.startswith("."):
                groups = match.groupdict()
                names.add(JOINT.join(groups[place] for place in ("scene", "video") if place in groups))
        return sorted(names, key=natural_key)

    def folder(self, root: Path, video: str) -> Path:
        """The folder of a video."""
        scene, _, last = video.rpartition(JOINT) if "{scene}" in self._head else ("", "", video)
        return root / self._head.replace("{scene}", scene).replace("{video}", last)

    def files(self, root: Path, video: str) -> dict[FileKey, Path]:
        """Files of a video by object and frame, in natural order; none where the folder is missing.

        Raises:
            MediaError: two files show the same frame.
        """
        folder = self.folder(root, video)
        regex = re.compile(_regex(self._tail))
        found: dict[FileKey, Path] = {}
        for path in sorted(folder.glob(_glob(self._tail)), key=natural_key):
            match = regex.fullmatch(path.relative_to(folder).as_posix())
            if match is None or path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
                continue
            groups = match.groupdict()
            key = FileKey(groups.get("object", ""), groups["frame"])
            if key in found:
                raise MediaError(
                    f"'{found[key].name}' and '{path.name}' in '{path.parent}' are both frame {key.frame} of "
                    f"'{video}'; expected one file per frame, so move one of them away."
                )
            found[key] = path
        return found


def _glob(text: str) -> str:
    return _PLACE.sub("*", text)


def _regex(text: str) -> str:
    out, end = "", 0
    for match in _PLACE.finditer(text):
        out += re.escape(text[end : match.start()])
        # a name without dots, so that {frame}.* cannot take 'a.b' for a frame
        out += (
            "[^/]*"
            if match[2]
            else rf"(?P<{match[1]}>[^/.]+)"
            if match[1] == "frame"
            else rf"(?P<{match[1]}>[^/]+)"
        )
        end = match.end()
    return out + re.escape(text[end:])
