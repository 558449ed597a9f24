"""Make ``data/golden.tar.xz``, a small part of a folder of golden numbers that the tests carry with them.

Global numbers of the part are averaged from the golden numbers of its objects by each benchmark's formula;
that the formula is the right one is checked first, on the whole folder.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.eval.golden.check import OVERALL

KEPT = (
    "v04_onepixel_border",
    "v10_gapids_void",
    "v11_three_frames",
    "v15_obj_only_first",
    "v16_new_id_later",
    "v17_large_ids",
)
ARCHIVE = Path(__file__).parent / "data" / "golden.tar.xz"
_LARGEST = 3000
"""Pixels of the unit masks that are kept."""

Numbers = Sequence[Mapping[str, Any]]


def mean(objects: Numbers, key: str) -> float:
    """The mean over the objects that have the number."""
    return float(np.mean([entry[key] for entry in objects if entry[key] is not None]))


def davis_global(objects: Numbers) -> dict[str, float]:
    """DAVIS: means over all objects."""
    kinds = {"M": "Mean", "R": "Recall", "D": "Decay"}
    found = {f"{m}-{kinds[k]}": mean(objects, m + k) for m in "JF" for k in kinds}
    return {"J&F-Mean": (found["J-Mean"] + found["F-Mean"]) / 2, **found}


def percent_global(objects: Numbers) -> dict[str, float]:
    """vos-benchmark and SA-V."""
    j, f = mean(objects, "J"), mean(objects, "F")
    return {"J&F": (j + f) / 2, "J": j, "F": f}


def ytvos_global(objects: Numbers) -> dict[str, float]:
    """YouTube-VOS: seen and unseen apart."""
    found = {
        f"{m}_{group}": mean([entry for entry in objects if entry["class"] == group], m)
        for group in ("seen", "unseen")
        for m in "JF"
    }
    return {**found, "G": float(np.mean(list(found.values())))}


def mosev2_global(objects: Numbers) -> dict[str, float]:
    """MOSEv2: means, and those over stretches."""
    found = {key: mean(objects, key) for key in ("J", "F_new", "F")}
    found["J&F_new"] = (found["J"] + found["F_new"]) / 2
    found["J&F"] = (found["J"] + found["F"]) / 2
    for part in ("disappear", "reappear"):
        found[f"{part}_J&F_new"] = (mean(objects, f"{part}_J") + mean(objects, f"{part}_F")) / 2
    return found


def lvos_global(objects: Numbers) -> dict[str, float]:
    """LVOS: the mean of seen and unseen means; objects carry their group."""
    found = {
        f"{m}-{group}": mean([entry for entry in objects if entry["class"] == group], m)
        for m in "JFV"
        for group in ("seen", "unseen")
    }
    means = {f"{m}-Mean": (found[f"{m}-seen"] + found[f"{m}-unseen"]) / 2 for m in "JFV"}
    return {"J&F-Mean": (means["J-Mean"] + means["F-Mean"]) / 2, **means, **found}


GLOBALS: dict[str, Callable[[Numbers], dict[str, float]]] = {
    "davis_semisupervised": davis_global,
    "davis_unsupervised": davis_global,
    **{
        f"vos_benchmark_{layout}_layout_skip{n}": percent_global
        for layout in ("davis", "ytvos")
        for n in (0, 1)
    },
    "sav_skip0": percent_global,
    "sav_skip1": percent_global,
    "ytvos_server_secondhand": ytvos_global,
    "ytvos_pytracking_rule": ytvos_global,
    "mosev2": mosev2_global,
    "lvos": lvos_global,
}


def reduce_expected(expected: dict[str, Any], unseen: Sequence[str]) -> dict[str, Any]:
    """Keep some sequences, with their own global numbers."""
    for case, formula in GLOBALS.items():
        entry = expected[case]
        whole = formula(flat(entry["per_object"], unseen))
        for key, number in entry["global"].items():
            assert abs(whole[key] - number) < 100 * OVERALL, f"{case} {key}: {whole[key]} is not {number}"
        kept = {name: about for name, about in entry["per_object"].items() if name.startswith(KEPT)}
        expected[case] = {"global": formula(flat(kept, unseen)), "per_object": kept}
    exits = expected["davis_semisupervised_exits"]
    expected["davis_semisupervised_exits"] = {name: exits[name] for name in exits if name in KEPT}
    return expected


def flat(per_object: Mapping[str, Any], unseen: Sequence[str]) -> list[Mapping[str, Any]]:
    """All objects, whether listed by sequence or not, with the group that LVOS gives to their video."""
    objects = []
    for name, about in per_object.items():
        group = "unseen" if name.rpartition("_")[0] in unseen else "seen"
        nested = all(isinstance(value, dict) for value in about.values())
        objects += list(about.values()) if nested else [{"class": group, **about}]
    return objects


def reduce_masks(source: Path, target: Path) -> None:
    """Keep the smaller unit masks, renumbered."""
    arrays = np.load(source / "unit_masks.npz")
    chosen = np.flatnonzero(arrays["H"] * arrays["W"] <= _LARGEST)[::2]
    kept: dict[str, Any] = {key: arrays[key] for key in arrays.files if key.startswith("disk_")}
    for key in arrays.files:
        stem, _, number = key.rpartition("_")
        if number.isdigit() and stem in {"gt", "pred", "void", "bmap_gt", "bmap_pred"}:
            if int(number) in chosen:
                kept[f"{stem}_{int(np.flatnonzero(chosen == int(number))[0])}"] = arrays[key]
        elif arrays[key].shape == arrays["H"].shape:
            kept[key] = arrays[key][chosen]
    np.savez(target / "unit_masks.npz", **kept)
    compiled = np.load(source / "unit_lvos_cython.npz")["F_lvos_cython"]
    np.savez(target / "unit_lvos_cython.npz", F_lvos_cython=compiled[chosen])


def reduce_series(source: Path, target: Path) -> None:
    """Keep some of the shorter series."""
    arrays = np.load(source / "unit_statistics.npz")
    names = [key[2:] for key in arrays.files if key.startswith("x_") and f"y_{key[2:]}" in arrays.files]
    chosen = [name for name in names if len(arrays[f"x_{name}"]) <= 300][::3]
    kept = {f"{side}_{name}": arrays[f"{side}_{name}"] for name in chosen for side in "xy"}
    np.savez(target / "unit_statistics.npz", **kept)


def copy_masks(source: Path, target: Path) -> None:
    """Copy the kept sequences, all error cases and the files beside them."""
    for path in source.rglob("*"):
        place = path.relative_to(source)
        sequences = [part for part in place.parts if part[:1] == "v" and part[1:3].isdigit()]
        if path.is_file() and place.parts[1:] and all(name in KEPT for name in sequences):
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / place)
    split = target / "davis/gt/ImageSets/2017/val.txt"
    split.write_text("".join(f"{name}\n" for name in split.read_text().split() if name in KEPT))
    for name in ("lvos/valid_meta.json", "ytvos/gt/meta.json", "mose/meta.json"):
        videos = json.loads((target / name).read_text())["videos"]
        (target / name).write_text(json.dumps({"videos": {key: videos[key] for key in KEPT}}))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.eval.golden.make_subset", description=__doc__)
    parser.add_argument("--golden", type=Path, required=True)
    source = parser.parse_args().golden
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        copy_masks(source, target)
        reduce_masks(source, target)
        expected = json.loads((source / "expected.json").read_text())
        unseen = (source / "lvos/unseen_videos.txt").read_text().split()
        (target / "expected.json").write_text(json.dumps(reduce_expected(expected, unseen)))
        frames = np.load(source / "perframe.npz")
        np.savez(target / "perframe.npz", **{key: frames[key] for key in frames if key.split("|")[1] in KEPT})
        reduce_series(source, target)
        ARCHIVE.parent.mkdir(exist_ok=True)
        with tarfile.open(ARCHIVE, "w:xz") as archive:
            archive.add(target, "golden", filter=anonymous)


def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who made the files and when."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main()
