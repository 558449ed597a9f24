"""Folders of masks: every evaluator of ``expected.json``, per object, per frame and over all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgetam.errors import InputError
from edgetam.eval.metrics import ObjectScores, Scores, score_folder
from tests.eval.golden.check import OVERALL, PER_FRAME, Check, same_keys

Expected = Mapping[str, Any]


@dataclass(frozen=True)
class Golden:
    """A folder of golden numbers."""

    folder: Path
    expected: Expected
    frames: Mapping[str, np.ndarray[Any, Any]]

    @classmethod
    def open(cls, folder: Path) -> Golden:
        """Read ``expected.json`` and ``perframe.npz``."""
        path = folder / "perframe.npz"
        frames = dict(np.load(path)) if path.is_file() else {}
        return cls(folder, json.loads((folder / "expected.json").read_text()), frames)

    def split(self) -> str:
        """The list of DAVIS sequences."""
        return sorted((self.folder / "davis/gt/ImageSets/2017").glob("*.txt"))[0].stem

    def curves(self, check: Check, key: str, got: np.ndarray[Any, Any]) -> None:
        """Compare one array of per-frame numbers, where there is one."""
        if key in self.frames:
            check.close(key, got, self.frames[key], PER_FRAME)


def check_davis(golden: Golden, case: str, protocol: str, pred: str, prefix: str) -> Check:
    """DAVIS 2017, both tasks."""
    check, wanted, root = Check(case), golden.expected[case], golden.folder / "davis"
    scores = score_folder(protocol, root / "gt", root / pred, split=golden.split())
    compare_davis(check, scores, wanted)
    for sequence in scores.sequences:
        for name in ("J", "F"):
            stacked = np.stack([entry.curves[name] for entry in sequence.objects])  # [objects, T]
            golden.curves(check, f"{prefix}|{sequence.sequence}|{name}", stacked)
    return check


def compare_davis(check: Check, scores: Scores, wanted: Expected) -> None:
    """Compare the summary and each object's statistics; objects are numbered in the order of the tool."""
    suffixes = {"Mean": "", "Recall": "-recall", "Decay": "-decay"}
    for key, number in wanted["global"].items():
        measure, _, kind = key.rpartition("-")
        check.close(key, scores.summary[measure + suffixes[kind]], number, OVERALL)
    objects = {
        f"{sequence.sequence}_{rank}": entry
        for sequence in scores.sequences
        for rank, entry in enumerate(sequence.objects, 1)
    }
    for name in same_keys(check, "objects", objects, wanted["per_object"]):
        for key, number in wanted["per_object"][name].items():
            ours = key[0] + {"M": "", "R": "-recall", "D": "-decay"}[key[1]]
            check.close(f"{name} {key}", objects[name].scores[ours], number, PER_FRAME)


def check_exits(golden: Golden) -> Check:
    """Sequences at which DAVIS's tool ends without a result: we say what is wrong."""
    check, root = Check("davis_semisupervised_exits: clear errors"), golden.folder / "davis"
    for name in golden.expected["davis_semisupervised_exits"]:
        check.count += 1
        try:
            score_folder("davis2017", root / "gt/Annotations/480p", root / "pred", sequences=[name])
        except InputError as error:
            if name not in str(error):
                check.fail(f"{name}: the error does not name it: {error}")
        else:
            check.fail(f"{name}: no error")
    return check


def by_sequence(scores: Scores) -> dict[str, dict[str, ObjectScores]]:
    """Objects by sequence and name."""
    return {part.sequence: {entry.object: entry for entry in part.objects} for part in scores.sequences}


def compare_objects(check: Check, scores: Scores, wanted: Expected, scale: float) -> None:
    """Compare J and F of every object; official numbers are ``scale`` times ours."""
    found = by_sequence(scores)
    for sequence in same_keys(check, "sequences", found, wanted):
        numbers = {name: about for name, about in wanted[sequence].items() if about["J"] is not None}
        for name in same_keys(check, sequence, found[sequence], numbers):
            for measure in ("J", "F"):
                got = scale * found[sequence][name].scores[measure]
                check.close(f"{sequence} {name} {measure}", got, numbers[name][measure], scale * PER_FRAME)
            if "n_frames" in numbers[name]:
                entry = found[sequence][name]
                got = (len(entry.frames), entry.group)
                check.equal(f"{sequence} {name}", got, (numbers[name]["n_frames"], numbers[name]["class"]))


def check_percent(golden: Golden, case: str, protocol: str, gt: str, pred: str, prefix: str) -> Check:
    """vos-benchmark and SA-V, whose numbers are percentages."""
    check, wanted = Check(case), golden.expected[case]
    scores = score_folder(protocol, golden.folder / gt, golden.folder / pred)
    for key, number in wanted["global"].items():
        check.close(key, 100 * scores.summary[key], number, 100 * OVERALL)
    compare_objects(check, scores, wanted["per_object"], 100.0)
    for entry in scores.objects:
        for name in ("J", "F"):
            golden.curves(check, f"{prefix}|{entry.sequence}|{entry.object}|{name}", entry.curves[name])
    return check


def check_ytvos(golden: Golden, case: str, protocol: str) -> Check:
    """YouTube-VOS, seen and unseen categories."""
    check, wanted, root = Check(case), golden.expected[case], golden.folder / "ytvos"
    scores = score_folder(protocol, root / "gt", root / "pred")
    for key, number in wanted["global"].items():
        check.close(key, scores.summary[key.replace("_", "-")], number, OVERALL)
    compare_objects(check, scores, wanted["per_object"], 1.0)
    return check


def check_mosev2(golden: Golden) -> Check:
    """MOSEv2, with the stretches on which objects are gone or back."""
    check, wanted, root = Check("mosev2"), golden.expected["mosev2"], golden.folder / "davis"
    meta = golden.folder / "mose/meta.json"
    scores = score_folder("mosev2", root / "gt/Annotations/480p", root / "pred", meta=meta)
    rename = {"F_new": "F-dot", "J&F_new": "J&F-dot"}
    for key, number in wanted["global"].items():
        part, _, measure = key.rpartition("_") if key.endswith(("appear_J", "appear_F")) else ("", "", key)
        ours = rename.get(key) or (key.replace("_J&F_new", "-J&F-dot") if not part else f"{part}-{measure}")
        check.close(key, scores.summary[ours], number, OVERALL)
    objects = {f"{entry.sequence}_{entry.object}": entry for entry in scores.objects}
    for name in same_keys(check, "objects", objects, wanted["per_object"]):
        for key, number in wanted["per_object"][name].items():
            ours = rename.get(key, key.replace("_J", "-J").replace("appear_F", "appear-F-dot"))
            if number is None:
                check.equal(f"{name} {key}", ours in objects[name].scores, False)
            else:
                check.close(f"{name} {key}", objects[name].scores[ours], number, PER_FRAME)
    lists = {"j_list": "J", "f_list": "F-dot", "f_list_": "F", "empty_gt": "absent"}
    for entry in scores.objects:
        for key, ours in lists.items():
            golden.curves(check, f"mosev2|{entry.sequence}|{entry.object}|{key}", entry.curves[ours])
    return check


def check_lvos(golden: Golden) -> Check:
    """LVOS: the YouTube-VOS masks, renamed as its layout wants them."""
    check, wanted = Check("lvos"), golden.expected["lvos"]
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        for side in ("gt", "pred"):
            renamed(golden.folder / "ytvos" / side / "Annotations", room / side / "Annotations")
        for path in (golden.folder / "lvos").iterdir():
            shutil.copy(path, room / "gt" / path.name)
        scores = score_folder("lvos", room / "gt", room / "pred")
    for key, number in wanted["global"].items():
        check.close(key, scores.summary[key.removesuffix("-Mean")], number, OVERALL)
    objects = {
        f"{part.sequence}_{rank}": entry
        for part in scores.sequences
        for rank, entry in enumerate(part.objects, 1)
    }
    for item in same_keys(check, "objects", objects, wanted["per_object"]):
        for key, number in wanted["per_object"][item].items():
            check.close(f"{item} {key}", objects[item].scores[key], number, PER_FRAME)
    return check


def renamed(source: Path, target: Path) -> None:
    """Copy sequences; frame i becomes number 1 + 5 i with eight digits."""
    for folder in source.iterdir():
        (target / folder.name).mkdir(parents=True)
        for i, path in enumerate(sorted(folder.glob("*.png"))):
            shutil.copy(path, target / folder.name / f"{1 + 5 * i:08d}.png")


def _percent(protocol: str, gt: str, pred: str, prefix: str) -> Callable[[Golden, str], Check]:
    return lambda golden, case: check_percent(golden, case, protocol, gt, pred, prefix)


_DAVIS = ("davis/gt/Annotations/480p", "davis/pred")
_YTVOS = ("ytvos/gt/Annotations", "ytvos/pred/Annotations")
_SAV = ("sav/gt", "sav/pred")
CASES: dict[str, Callable[[Golden, str], Check]] = {
    "davis_semisupervised": lambda g, case: check_davis(g, case, "davis2017", "pred", "davis_semi"),
    "davis_unsupervised": lambda g, case: check_davis(
        g, case, "davis2017-unsupervised", "pred_unsup", "davis_unsup"
    ),
    "davis_semisupervised_exits": lambda g, case: check_exits(g),
    "vos_benchmark_davis_layout_skip1": _percent("vos-benchmark", *_DAVIS, "vosb_davis_skip1"),
    "vos_benchmark_davis_layout_skip0": _percent("vos-benchmark-all-frames", *_DAVIS, "vosb_davis_skip0"),
    "vos_benchmark_ytvos_layout_skip1": _percent("vos-benchmark", *_YTVOS, "vosb_ytvos_skip1"),
    "vos_benchmark_ytvos_layout_skip0": _percent("vos-benchmark-all-frames", *_YTVOS, "vosb_ytvos_skip0"),
    "sav_skip1": _percent("sav", *_SAV, "sav_skip1"),
    "sav_skip0": _percent("sav-all-frames", *_SAV, "sav_skip0"),
    "ytvos_server_secondhand": lambda g, case: check_ytvos(g, case, "youtube-vos"),
    "ytvos_pytracking_rule": lambda g, case: check_ytvos(g, case, "youtube-vos-native"),
    "mosev2": lambda g, case: check_mosev2(g),
    "lvos": lambda g, case: check_lvos(g),
}
"""What to do with which entry of ``expected.json``."""

ABOUT = {"set", "environment", "evaluators", "errors"}
"""Entries that are no evaluator; ``errors`` has a check of its own."""


def check_folders(golden: Golden) -> Iterator[Check]:
    """Every evaluator that the folder has numbers for."""
    for case in golden.expected:
        if case in CASES:
            yield CASES[case](golden, case)
        elif case not in ABOUT:
            check = Check(case)
            check.fail("nothing here knows this evaluator")
            yield check
