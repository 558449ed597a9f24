"""Published checkpoints: where they are, what they hash to, and how well they do.

Addresses, sizes and hashes are those of the official releases (facebookresearch/EdgeTAM at
7711e01, facebookresearch/sam2), the hashes as listed on the Hugging Face hub. Scores are J&F,
on YouTube-VOS G, from the READMEs of those repositories and, for SAM 2, from table 17 of arXiv
2408.00714 (the rows of models trained as the released ones were).
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edgetam.errors import DownloadError, WeightsError
from edgetam.locks import alone
from edgetam.weights.bundled import bundled_path
from edgetam.weights.cache import Records, cache_dir, is_offline, sha256_of
from edgetam.weights.fetch import Progress, fetch

__all__ = [
    "REGISTRY",
    "Published",
    "cached_path",
    "download",
    "find_published",
    "on_this_machine",
    "published_as",
    "resolve",
    "weights_path",
]

OWN = ("bundled", "default")
"""Names of the weights that come with the package."""
_ADDRESSES = ("https://", "http://", "hf://")
BUNDLED = "edgetam"
"""The variant whose weights come with the package."""
_FILES = (".pt", ".pth", ".safetensors")
_log = logging.getLogger("edgetam")


@dataclass(frozen=True)
class Published:
    """One published checkpoint.

    Attributes:
        name: of the model, and of this entry.
        urls: where it is; the first one that answers is used.
        hub: its repository on the Hugging Face hub.
        sha256: None where unknown: then the hash of the first download is kept and checked later.
        size: bytes.
        licence: SPDX identifier.
        scores: data set to published score, in percent.
    """

    name: str
    urls: tuple[str, ...]
    hub: str
    sha256: str | None
    size: int | None
    licence: str = "Apache-2.0"
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def filename(self) -> str:
        """Name in the cache."""
        return _filename(self.urls[0])


def _filename(url: str) -> str:
    return unquote(urlsplit(url).path).rsplit("/", 1)[-1]


_BASE_URL = "https://dl.fbaipublicfiles.com/segment_anything_2"
_LONG = {"t": "tiny", "s": "small", "b+": "base_plus", "l": "large"}


_SAV_VAL, _SAV, _MOSE, _LVOS = "SA-V val", "SA-V test", "MOSE val", "LVOS v2 val"
_DAVIS, _YTVOS = "DAVIS 2017 val", "YouTube-VOS 2019 val"

_EDGETAM_COMMIT = "7711e012a30a2402c4eaab637bdb00a521302c91"

_EDGETAM = Published(
    "edgetam",
    (
        f"https://github.com/facebookresearch/EdgeTAM/raw/{_EDGETAM_COMMIT}/checkpoints/edgetam.pt",
        "https://huggingface.co/facebook/EdgeTAM/resolve/main/edgetam.pt",
    ),
    "facebook/EdgeTAM",
    "ed2d4850b8792c239689b043c47046ec239b6e808a3d9b6ae676c803fd8780df",
    56_116_523,
    scores={_SAV_VAL: 72.3, _SAV: 71.7, _MOSE: 70.0, _DAVIS: 87.7, _YTVOS: 86.2},
)


def _sam2(version: str, size: str, length: int, sha256: str, scores: Mapping[str, float]) -> Published:
    date = {"2": "072824", "2.1": "092824"}[version]
    file = f"sam{version}_hiera_{_LONG[size]}.pt"
    hub = f"facebook/sam{version}-hiera-{_LONG[size].replace('_', '-')}"
    urls = (f"{_BASE_URL}/{date}/{file}", f"https://huggingface.co/{hub}/resolve/main/{file}")
    return Published(f"sam{version}-{size}", urls, hub, sha256, length, scores=scores)


# fmt: off
_ENTRIES = (
    _EDGETAM,
    _sam2("2.1", "t", 156_008_466, "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
          {_SAV: 76.5, _MOSE: 71.8, _LVOS: 77.3}),
    _sam2("2.1", "s", 184_416_285, "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
          {_SAV: 76.6, _MOSE: 73.5, _LVOS: 78.3}),
    _sam2("2.1", "b+", 323_606_802, "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
          {_SAV: 78.2, _MOSE: 73.7, _LVOS: 78.2}),
    _sam2("2.1", "l", 898_083_611, "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
          {_SAV: 79.5, _MOSE: 74.6, _LVOS: 80.6}),
    _sam2("2", "t", 155_906_050, "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125",
          {_SAV_VAL: 73.7, _SAV: 75.0, _MOSE: 70.9, _LVOS: 75.3, _DAVIS: 89.2, _YTVOS: 87.4}),
    _sam2("2", "s", 184_309_650, "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3",
          {_DAVIS: 88.8}),
    _sam2("2", "b+", 323_493_298, "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071",
          {_SAV_VAL: 75.3, _SAV: 74.7, _MOSE: 72.8, _DAVIS: 88.9}),
    _sam2("2", "l", 897_952_466, "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b",
          {_DAVIS: 89.3}),
)
# fmt: on

REGISTRY: dict[str, Published] = {entry.name: entry for entry in _ENTRIES}


def find_published(name: str) -> Published | None:
    """Look up a name; the file names of the official releases are understood as well."""
    known = {entry.filename.removesuffix(".pt"): entry for entry in _ENTRIES}
    return REGISTRY.get(name) or known.get(name)


def cached_path(name: str, folder: Path | None = None) -> Path | None:
    """Return where a published checkpoint lies intact in the cache, or None."""
    entry = find_published(name)
    if entry is None:
        return None
    folder = folder or cache_dir()
    path = folder / entry.filename
    return path if Records(folder).is_good(path, entry.sha256, entry.size) else None


def download(name: str, folder: str | Path | None = None, progress: Progress | None = None) -> Path:
    """Return the file of a published checkpoint, or of an http(s) address, fetching it if need be.

    Args:
        name: from `REGISTRY`, or an address.
        folder: instead of `cache_dir`.
        progress: told how far a download is.

    Raises:
        DownloadError: it cannot be fetched, is another file than expected, or we are offline.
        WeightsError: unknown name.
    """
    if name.startswith(("https://", "http://")):
        entry = Published(name, (name,), "", None, None, licence="unknown")
        if not entry.filename:
            raise DownloadError(f"{name} names no file; expected an address that ends in a file name.")
    else:
        found = find_published(name)
        if found is None:
            raise WeightsError(_unknown(name))
        entry = found
    place = Path(folder) if folder is not None else cache_dir()
    target, records = place / entry.filename, Records(place)
    if records.is_good(target, entry.sha256, entry.size) and _same_source(entry, records):
        return target
    _check_online(entry, target)
    try:
        place.mkdir(parents=True, exist_ok=True)
        with alone(f"{target}.lock"):
            if not (records.is_good(target, entry.sha256, entry.size) and _same_source(entry, records)):
                _fetch_any(entry, target, records, progress)
    except OSError as error:
        raise DownloadError(
            f"{place} cannot be written ({error}); check the folder, or set EDGETAM_CACHE."
        ) from error
    return target


def _same_source(entry: Published, records: Records) -> bool:
    """Two addresses may end in the same file name; a published file is known by its hash."""
    return entry.sha256 is not None or records.get(entry.filename).get("url") in entry.urls


def _check_online(entry: Published, target: Path) -> None:
    variable = is_offline()
    if variable:
        raise DownloadError(
            f"{target} is not there (or damaged) and {variable} forbids downloads; unset it, or download "
            f"{entry.urls[0]} elsewhere and put it there."
        )


def _fetch_any(entry: Published, target: Path, records: Records, progress: Progress | None) -> None:
    known = records.get(target.name)
    expected = entry.sha256 or (known.get("sha256") if known.get("url") in entry.urls else None)
    failures: list[DownloadError] = []
    for url in entry.urls:
        try:
            found = fetch(url, target, expected, entry.size, progress)
        except DownloadError as error:
            _log.info("%s", error)
            failures.append(error)
        else:
            records.note(target, url, found)
            return
    raise failures[0]


def resolve(name_or_path: str | Path, progress: Progress | None = None) -> Path:
    """Turn what a user names into a file on this machine.

    Understood are, in this order: a file or a folder with ``model.safetensors``, "bundled" or "default"
    for the bundled weights, a name from `REGISTRY`, an http(s) address, and a repository on the
    Hugging Face hub as ``hf://owner/name[@revision][/file]`` or ``owner/name``.

    Raises:
        WeightsError: none of them.
        DownloadError: it has to be fetched and cannot be.
    """
    name = str(name_or_path)
    if not name.startswith(_ADDRESSES) and (path := on_this_machine(name)) is not None:
        if not path.is_dir():
            return path
        if name not in OWN and find_published(name) is None:  # else a folder that happens to be called so
            raise WeightsError(
                f"'{path}' is a folder without model.safetensors; give a checkpoint file. (An exported "
                "bundle is run with edgetam.load_bundle, or --weights of commands that track.)"
            )
    if name in OWN:
        return bundled_path()
    if find_published(name) or name.startswith(("https://", "http://")):
        return download(name, progress=progress)
    if name.startswith("hf://") or _looks_like_repository(name):
        for entry in _ENTRIES:
            if name in (entry.hub, "hf://" + entry.hub):
                return download(entry.name, progress=progress)
        from edgetam.weights.hub import hub_download  # lacking there too

        return hub_download(name)
    raise WeightsError(_unknown(name))


def on_this_machine(name: str) -> Path | None:
    """A file, the one in a folder, or a folder without one; None where there is nothing.

    Raises:
        WeightsError: that cannot be told.
    """
    try:
        path = Path(name).expanduser()
        if path.is_dir() and (path / "model.safetensors").is_file():
            return path / "model.safetensors"
        return path if path.is_file() or path.is_dir() else None
    except (OSError, RuntimeError, ValueError) as error:  # no home, a folder that may not be entered
        raise WeightsError(f"{name!r} cannot be looked up ({error}); give a checkpoint file.") from error


def weights_path(name: str, weights: str | Path | None) -> Path:
    """The file of a variant's weights; ``None`` stands for its own: bundled for EdgeTAM, else the published.

    Raises:
        WeightsError: there is no such file, name or address.
        DownloadError: it has to be fetched and cannot be.
    """
    if weights is not None:
        return resolve(weights)
    return bundled_path() if name == BUNDLED else download(name)


def _looks_like_repository(name: str) -> bool:
    return re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) is not None and not name.endswith(_FILES)


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, REGISTRY, n=1)
    hint = f"did you mean {near[0]}?" if near else "check the path."
    return f"{name} is neither a file nor one of {', '.join((OWN[0], *REGISTRY))}; {hint}"


def published_as(path: Path) -> Published | None:
    """Say which published checkpoint the file at ``path`` is, byte for byte."""
    size = path.stat().st_size
    if all(entry.size != size for entry in _ENTRIES):
        return None
    digest = sha256_of(path)
    return next((entry for entry in _ENTRIES if entry.sha256 == digest), None)
