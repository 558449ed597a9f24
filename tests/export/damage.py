"""Ways to spoil a bundle, whose files may be links to those of another test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgetam.engine.manifest import CONSTANTS, MANIFEST
from edgetam.hashing import sha256_of


def rewrite(path: Path, text: str) -> None:
    """Replace a file, which may be a link to that of another test."""
    path.unlink()
    path.write_text(text)


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / MANIFEST
        data = json.loads(path.read_text())
        change(data)
        rewrite(path, json.dumps(data))

    return damage


def manifest_with(**changes: Any) -> Callable[[Path], None]:
    return edited(lambda data: data.update(changes))


def list_again(folder: Path, name: str) -> None:
    """Let the manifest vouch for a file as it is now."""
    entry = {"sha256": sha256_of(folder / name), "size": (folder / name).stat().st_size}
    edited(lambda data: data["files"].update({name: entry}))(folder)


def constants_with(**changes: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / CONSTANTS
        rewrite(path, json.dumps(json.loads(path.read_text()) | changes))
        list_again(folder, CONSTANTS)

    return damage


def first_program(**changes: Any) -> Callable[[Path], None]:
    return edited(lambda data: data["programs"][0].update(changes))


def no_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def torn_manifest(folder: Path) -> None:
    text = (folder / MANIFEST).read_text()
    rewrite(folder / MANIFEST, text[:200])
