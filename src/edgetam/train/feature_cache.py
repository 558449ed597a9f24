"""Image features on disk, found again by what a frame shows."""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from edgetam.atomic import atomic_write, make_folder
from edgetam.errors import OutputError
from edgetam.structs import ImageFeatures

__all__ = ["FeatureCache"]

logger = logging.getLogger("edgetam")

SPARE = 4 << 30
"""Bytes that stay free on the disk, for checkpoints."""
NAMES = ("stride4", "stride8", "stride16")


class FeatureCache:
    """Features of single frames in half precision: half a megabyte for 256 pixels, eight for 1024.

    A frame is found by its bytes, so runs that draw the same clips share the work, whatever else differs.

    Args:
        folder: created where it is missing; one teacher at one size has one subfolder.
        owner: tells teachers apart, such as the hash of their weights.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: str | Path, owner: str) -> None:
        self.folder = make_folder(Path(folder) / owner)
        self.full = False

    def key(self, frame: Tensor) -> str:
        """Name of a frame ``[S, S, 3]`` of bytes."""
        return hashlib.blake2b(frame.cpu().contiguous().numpy().tobytes(), digest_size=16).hexdigest()

    def get(self, key: str) -> ImageFeatures[Tensor] | None:
        """Features of one frame, without a batch axis; ``None`` when they are not there."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            found = safetensors.torch.load_file(path)
            return ImageFeatures(*(found[name].float() for name in NAMES))
        except (SafetensorError, KeyError, OSError) as error:
            logger.warning("%s is damaged (%s) and will be made again.", path, error)
            return None

    def put(self, key: str, features: ImageFeatures[Tensor]) -> None:
        """Keep the features of one frame, unless the disk is nearly full: a warning says so, once."""
        if self.full:
            return
        if (free := shutil.disk_usage(self.folder).free) < SPARE:
            self._stop(f"{self.folder} has {free >> 20} MB left, and {SPARE >> 20} are for checkpoints.")
            return
        maps = {
            name: getattr(features, name).detach().to("cpu", torch.float16).contiguous() for name in NAMES
        }
        path = self._path(key)
        try:
            make_folder(path.parent)
            atomic_write(path, safetensors.torch.save(maps))
        except OutputError as error:
            self._stop(str(error))

    def _stop(self, reason: str) -> None:
        self.full = True
        logger.warning("%s Training goes on without keeping more features of the teacher.", reason)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"
