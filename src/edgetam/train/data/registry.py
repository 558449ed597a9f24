"""Data sets by name: from a few words of a recipe to a source of clips."""

from __future__ import annotations

import glob
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgetam.errors import ConfigError, InputError, MediaError
from edgetam.train.data import coco, palette, sa1b, sav, static
from edgetam.train.data.augment import PRESETS, Augment
from edgetam.train.data.clip import Ask, ClipSource
from edgetam.train.data.coco import open_coco
from edgetam.train.data.files import Files, Joined, open_files
from edgetam.train.data.items import Chain, Collection, LayoutError, Picked
from edgetam.train.data.mixture import Mixture
from edgetam.train.data.palette import open_palette
from edgetam.train.data.paste import Paste
from edgetam.train.data.pseudo import Motion, PseudoClips
from edgetam.train.data.real import RealClips
from edgetam.train.data.sa1b import open_sa1b
from edgetam.train.data.sampling import Sampling
from edgetam.train.data.sav import open_sav
from edgetam.train.data.spec import Spec
from edgetam.train.data.static import open_static
from edgetam.train.strict import build, plain

__all__ = ["KINDS", "open_collection", "open_mixture", "open_source", "own_weights"]

Reader = Callable[..., Collection]

_VIDEOS: dict[str, Reader] = {
    "davis": open_palette,
    "mose": open_palette,
    "ytvos": open_palette,
    "sav": open_sav,
}
_IMAGES: dict[str, Reader] = {"static": open_static, "coco": open_coco, "sa1b": open_sa1b}
_READERS = {**_VIDEOS, **_IMAGES}
_EXPECTED: dict[Reader, str] = {
    open_palette: palette.EXPECTED,
    open_sav: sav.EXPECTED,
    open_static: static.EXPECTED,
    open_coco: coco.EXPECTED,
    open_sa1b: sa1b.EXPECTED,
}
_KEYS: dict[Reader, tuple[str, ...]] = {
    open_palette: ("split", "resolution", "masks"),
    open_sav: ("masklets",),
    open_static: ("masks",),
    open_coco: ("split",),
    open_sa1b: (),
}
KINDS = (*_READERS, "pseudo", "synthetic")
"""What ``kind`` can be."""


def open_source(given: Mapping[str, Any]) -> ClipSource:
    """Open a source of clips from its description, as docs/data.md lists them.

    ``{"kind": "davis", "root": "data/davis"}``; ``root`` is a folder, a tar file, a pattern, or a list of
    these. ``weight`` and ``repeat`` are left to `open_mixture`.

    Raises:
        ConfigError: a kind or key is unknown, a value is wrong, or files are laid out in another way.
        MediaError: a file cannot be read.
    """
    spec = _spec(given)
    kind = spec.text("kind")
    for key in ("weight", "repeat"):  # of mixtures
        spec.take(key)
    if kind == "synthetic":
        return _synthetic(spec)
    if kind == "pseudo":
        return _pseudo(spec)
    collection = _collection(kind, spec)
    rules = spec.fill(Sampling)
    augment = _augment(spec, "image" if kind in _IMAGES else "video")
    odds = spec.number("paste", 0.0)
    paste = Paste(_collections(spec.take("cutouts")) or collection, odds)
    spec.finish()
    return RealClips(collection, augment, rules, paste)


def open_mixture(
    given: Sequence[Mapping[str, Any]], seed: int, ask: Ask | Callable[[int], Ask], length: int = 2**31 - 1
) -> Mixture:
    """Open several sources and mix them.

    A source's share is its ``weight``. Without one, it is the number of its videos or images times
    ``repeat`` (1): every one of them is met equally often, or ``repeat`` times as often. Clips drawn from
    nothing have no such number, so beside others they need a weight.

    Raises:
        ConfigError: a description is wrong.
        MediaError: a file cannot be read.
    """
    sources = [open_source(one) for one in given]
    return Mixture(sources, own_weights(given, sources), seed, ask, length)


def own_weights(given: Sequence[Mapping[str, Any]], sources: Sequence[ClipSource]) -> list[float]:
    """How often each of several sources is chosen by the words of its own description; see `open_mixture`.

    Raises:
        ConfigError: a weight is wrong, or missing where there is nothing else to go by.
    """
    alone = len(given) == 1
    return [_weight(one, source, alone=alone) for one, source in zip(given, sources, strict=True)]


def _weight(given: Mapping[str, Any], source: ClipSource, *, alone: bool) -> float:
    spec = Spec(given, f"data of kind {given['kind']!r}")
    if "weight" in given and "repeat" in given:
        raise ConfigError(f"{source.name} has a weight and a repeat factor, expected one: remove the other.")
    if "weight" in given:
        return spec.number("weight", 1.0)
    if len(source):
        return len(source) * spec.number("repeat", 1.0)
    if alone:
        return 1.0
    raise ConfigError(
        f"{source.name} is drawn from nothing and has no number of videos or images to go by, expected a "
        "weight beside other sources: give all of them one."
    )


def open_collection(given: Mapping[str, Any]) -> Collection:
    """Open the annotated videos or images of a description, without rules for clips.

    Raises:
        ConfigError: as in `open_source`.
        MediaError: a file cannot be read.
    """
    spec = _spec(given)
    collection = _collection(spec.text("kind"), spec)
    spec.finish()
    return collection


def _spec(given: Any) -> Spec:
    if not isinstance(given, Mapping):
        return Spec(given, "data")
    where = f" in {given['root']!r}" if "root" in given else ""
    return Spec(given, f"{given.get('kind')} data{where}")


def _collection(kind: str | None, spec: Spec) -> Collection:
    if kind not in _READERS:
        raise ConfigError(f"data has the kind {kind!r}, expected one of {', '.join(KINDS)}: choose one.")
    roots = _roots(spec.take("root"), kind)
    name = spec.text("name") or f"{kind}:{roots[0].stem}{'...' if len(roots) > 1 else ''}"
    only, without = _names(spec.take("only"), "only"), _names(spec.take("exclude"), "exclude")
    options = {key: spec.text(key) for key in _KEYS[_READERS[kind]]}
    apart = spec.text("annotations")
    trees = [open_files(root) for root in roots]
    if apart is not None:
        trees = [Joined(tree, open_files(Path(apart))) for tree in trees]
    parts = [_opened(kind, tree, name, options) for tree in trees]
    whole = parts[0] if len(parts) == 1 else Chain(name, parts)
    return whole if only is None and without is None else _picked(whole, only, without or set())


def _collections(given: Any) -> Collection | None:
    """What one description or a list of them says, as one."""
    if given is None:
        return None
    several = [given] if isinstance(given, Mapping) else given
    if not isinstance(several, Sequence) or isinstance(several, str) or not several:
        raise ConfigError(f"images are {given!r}, expected a description or a list of them: change it.")
    found = [open_collection(one) for one in several]
    return found[0] if len(found) == 1 else Chain(f"{found[0].name}...", found)


def _opened(kind: str, files: Files, name: str, options: Mapping[str, str | None]) -> Collection:
    try:
        return _READERS[kind](files, name, **options)
    except LayoutError as error:
        others = [other for other, reader in _READERS.items() if _fits(reader, files)]
        if any(one.endswith(".tar") for one in files.names):
            advice = f"name the tar files, as in root: '{files.path}/*.tar'"
        elif others:
            advice = f"this is the layout of {', '.join(others)}: set 'kind' to that"
        else:
            known = "; ".join(f"{' and '.join(kinds)}: {layout}" for layout, kinds in _layouts().items())
            advice = f"bring them into one of the known layouts ({known})"
        raise ConfigError(f"{error}; {advice}.") from error


def _fits(reader: Reader, files: Files) -> bool:
    try:
        reader(files, "")
    except InputError as error:
        return not isinstance(error, (LayoutError, MediaError))  # a split to choose is a layout that fits
    return True


def _layouts() -> dict[str, list[str]]:
    """Layouts, and the kinds of data that have them."""
    found: dict[str, list[str]] = defaultdict(list)
    for kind, reader in _READERS.items():
        found[_EXPECTED[reader]].append(kind)
    return found


def _roots(given: Any, kind: str) -> list[Path]:
    """Folders and tar files; patterns are filled in."""
    wanted = [given] if isinstance(given, (str, Path)) else given
    usable = isinstance(wanted, Sequence) and all(root and isinstance(root, (str, Path)) for root in wanted)
    if not wanted or not usable:
        raise ConfigError(f"root of {kind} is {given!r}, expected a folder or a tar file, or a list: add it.")
    found: list[Path] = []
    for root in map(str, wanted):
        some = [root]
        if glob.has_magic(root) and not Path(root).exists():
            some = sorted(glob.glob(root))  # noqa: PTH207 (absolute patterns)
        if not some:
            raise MediaError(f"'{root}' fits no file, expected a folder or a tar file: check the pattern.")
        found += map(Path, some)
    return found


def _names(given: Any, key: str) -> set[str] | None:
    """Names of videos or images: a list, or a text file with one per line."""
    if isinstance(given, str):
        try:
            given = Path(given).read_text().split()
        except (OSError, UnicodeDecodeError) as error:
            raise MediaError(
                f"'{given}' cannot be read as a list of names ({error}): check '{key}'."
            ) from error
    if given is None or (isinstance(given, list) and all(isinstance(name, str) for name in given)):
        return None if given is None else set(given)
    raise ConfigError(f"{key} is {given!r}, expected a list of names or a text file: change it.")


def _picked(whole: Collection, only: set[str] | None, without: set[str]) -> Picked:
    names = [whole[i].name.rpartition("/")[2] for i in range(len(whole))]
    missing = sorted(((only or set()) | without) - set(names))
    if missing:
        raise ConfigError(
            f"{whole.name} has no {missing[0]!r}, expected names such as {names[0]!r}: fix the list."
        )
    kept = [i for i, name in enumerate(names) if (only is None or name in only) and name not in without]
    if not kept:
        raise ConfigError(f"{whole.name} has nothing left, expected something: shorten 'exclude'.")
    return Picked(whole, tuple(kept))


def _augment(spec: Spec, usual: str) -> Augment:
    """A preset by name, or a mapping with changes to one."""
    given = spec.take("augment", usual)
    changes = dict(given) if isinstance(given, Mapping) else {}
    preset = changes.pop("preset", usual) if isinstance(given, Mapping) else given
    if preset not in PRESETS:
        raise ConfigError(
            f"augment of {spec.what} is {preset!r}, expected one of {', '.join(PRESETS)}, or a "
            "mapping: choose one."
        )
    return build(Augment, {**plain(PRESETS[preset]), **changes}, f"augment of {spec.what}")


def _images(spec: Spec) -> Collection | None:
    """What the descriptions in ``images`` say, or static images in ``root``, if there are any."""
    images = _collections(spec.take("images"))
    if images is None and spec.has("root"):
        return _collection("static", spec)
    return images


def _pseudo(spec: Spec) -> ClipSource:
    images = _images(spec) or _collection("static", spec)  # which says what is missing
    cutouts = _collections(spec.take("cutouts")) or images
    rules = spec.fill(Sampling, least=0.004, most=0.6, merge=0.25)
    augment = _augment(spec, "pseudo")
    motion = build(Motion, spec.take("motion", {}), f"motion of {spec.what}")
    spec.finish()
    return PseudoClips(images, augment, rules, motion, cutouts)


def _synthetic(spec: Spec) -> ClipSource:
    from edgetam.train.data.drawn import DrawnClips
    from edgetam.train.synthetic import ImageBank, SynthConfig

    images = _images(spec)
    difficulty = spec.number("difficulty", 1.0)
    spec.finish()
    return DrawnClips(SynthConfig(difficulty=difficulty), None if images is None else ImageBank(images))
