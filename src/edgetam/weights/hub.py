"""Checkpoints in repositories on the Hugging Face hub, through its own client and cache."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

from edgetam.errors import DownloadError
from edgetam.weights.cache import is_offline

__all__ = ["hub_download"]

_USUAL_FILE = "model.safetensors"


def hub_download(name: str) -> Path:
    """Return a file of a hub repository, fetching it if need be.

    Args:
        name: ``[hf://]owner/name[@revision][/file]``. Without a file it is ``model.safetensors``, or the
            only checkpoint in the repository.

    Raises:
        DownloadError: no such repository or file, no access, no connection or no space.
    """
    owner, _, rest = name.removeprefix("hf://").partition("/")
    repository, _, file = rest.partition("/")
    repository, _, revision = repository.partition("@")
    if not owner or not repository:
        raise DownloadError(f"{name} names no repository; expected hf://owner/name or hf://owner/name/file.")
    repo = f"{owner}/{repository}"
    try:
        if file:
            return _get(repo, file, revision or None)
        try:
            return _get(repo, _USUAL_FILE, revision or None)
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            return _get(repo, _only_checkpoint(repo, revision or None), revision or None)
    except LocalEntryNotFoundError as error:
        raise DownloadError(
            f"{name} is not in the cache and the hub cannot be reached ({is_offline() or 'no connection'}); "
            "go online once, or pass a file."
        ) from error
    except (HfHubHTTPError, EntryNotFoundError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DownloadError(
            f"{name} cannot be downloaded ({reason}); check the name and that you may read it."
        ) from error
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"{name} cannot be downloaded ({error}); check name, disk and network."
        ) from error


def _get(repo: str, file: str, revision: str | None) -> Path:
    offline = is_offline() is not None
    return Path(huggingface_hub.hf_hub_download(repo, file, revision=revision, local_files_only=offline))


def _only_checkpoint(repo: str, revision: str | None) -> str:
    files = huggingface_hub.list_repo_files(repo, revision=revision)
    found = [file for file in files if file.endswith((".safetensors", ".pt", ".pth"))]
    if len(found) != 1:
        raise DownloadError(
            f"{repo} holds {len(found)} checkpoints ({', '.join(found[:3])}), expected one; "
            f"name the file as hf://{repo}/FILE."
        )
    return found[0]
