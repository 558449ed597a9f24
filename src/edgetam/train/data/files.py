"""Files by name, in a folder or in a tar file."""

from __future__ import annotations

import os
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from edgetam.errors import MediaError

__all__ = ["Files", "Folder", "Joined", "Tar", "describe", "open_files"]


class Files(Protocol):
    """A tree of files that only grows in memory by its names."""

    @property
    def path(self) -> Path:
        """The folder or the tar file."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Paths inside it, with slashes, in alphabetical order."""
        ...

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            MediaError: it cannot be read.
        """
        ...

    def label(self, name: str) -> str:
        """The file as errors name it."""
        ...

    def whole(self, name: str) -> Path:
        """The file as a path, for readers that want one.

        Raises:
            MediaError: it is only a part of a tar file.
        """
        ...


@dataclass(frozen=True)
class Folder:
    """Files below a folder."""

    path: Path
    names: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """The content of a file."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise MediaError(f"'{self.path / name}' cannot be read ({error.strerror}): check it.") from error

    def label(self, name: str) -> str:
        """The path of the file."""
        return str(self.path / name)

    def whole(self, name: str) -> Path:
        """The file as a path."""
        return self.path / name


@dataclass(frozen=True)
class Tar:
    """Files inside an uncompressed tar file, read in place."""

    path: Path
    places: dict[str, tuple[int, int]]  # first byte and size

    @property
    def names(self) -> tuple[str, ...]:
        """Paths inside the tar file, in alphabetical order."""
        return tuple(self.places)

    def read(self, name: str) -> bytes:
        """The content of a file."""
        start, size = self.places[name]
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                data = file.read(size)
        except OSError as error:
            raise MediaError(f"'{self.path}' cannot be read ({error.strerror}): check it.") from error
        if len(data) < size:
            raise MediaError(f"'{name}' in '{self.path}' is cut off: fetch the tar file again.")
        return data

    def label(self, name: str) -> str:
        """The path of the tar file, and the path inside it."""
        return f"{self.path}/{name}"

    def whole(self, name: str) -> Path:
        """Nothing: parts of a tar file are not files."""
        raise MediaError(
            f"'{name}' is inside '{self.path}', expected a file of its own: unpack the tar file."
        )


@dataclass(frozen=True)
class Joined:
    """Two trees as one: images here, annotations there."""

    first: Files
    second: Files

    @property
    def path(self) -> Path:
        """The folder or tar file of the first."""
        return self.first.path

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Paths inside both; where they agree, the first has it."""
        return (*self.first.names, *(name for name in self.second.names if name not in self._firsts))

    @cached_property
    def _firsts(self) -> frozenset[str]:
        return frozenset(self.first.names)

    def _owner(self, name: str) -> Files:
        return self.first if name in self._firsts else self.second

    def read(self, name: str) -> bytes:
        """The content of a file."""
        return self._owner(name).read(name)

    def label(self, name: str) -> str:
        """The file as errors name it."""
        return self._owner(name).label(name)

    def whole(self, name: str) -> Path:
        """The file as a path."""
        return self._owner(name).whole(name)


def open_files(path: Path) -> Files:
    """List a folder or a tar file, or a JSON file on its own; hidden files are left out.

    Raises:
        MediaError: it is missing, damaged, or compressed.
    """
    if path.is_dir():
        return Folder(path, _listed(path))
    if not path.exists():
        raise MediaError(f"'{path}' does not exist, expected a folder or a tar file: check the path.")
    if path.suffix.lower() == ".json":
        return Folder(path.parent, (path.name,))
    return Tar(path, _members(path))


def _visible(name: str) -> bool:
    return not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _listed(root: Path) -> tuple[str, ...]:
    found = []
    for folder, _, files in os.walk(root, followlinks=True):
        inside = Path(folder).relative_to(root)
        found += [name for name in ((inside / file).as_posix() for file in files) if _visible(name)]
    return tuple(sorted(found))


def _members(path: Path) -> dict[str, tuple[int, int]]:
    try:
        with tarfile.open(path, "r:") as archive:
            found = {
                PurePosixPath(member.name).as_posix().removeprefix("./"): (member.offset_data, member.size)
                for member in archive
                if member.isfile()
            }
    except (tarfile.TarError, OSError) as error:
        raise MediaError(
            f"'{path}' cannot be read as an uncompressed tar file ({error}): unpack it into a folder."
        ) from error
    return {name: found[name] for name in sorted(found) if _visible(name)}


def describe(files: Files) -> str:
    """What is there, in a few words: for errors about layouts."""
    if not files.names:
        return "no files"
    kinds = Counter(PurePosixPath(name).suffix.lower() or "(no suffix)" for name in files.names)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(4))
    folders = sorted({name.rpartition("/")[0] or "." for name in files.names})
    shown = ", ".join(folders[:4]) + (", ..." if len(folders) > 4 else "")
    return f"{counts} in {shown}; the first is {files.names[0]}"
