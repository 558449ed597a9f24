"""Malformed and empty input: where official tools crash, hang or drop data silently, we say what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgetam.errors import InputError
from edgetam.eval.metrics import Scores, score_folder
from tests.eval.golden.check import PER_FRAME, Check
from tests.eval.golden.folders import Golden, compare_davis

PROTOCOLS = {
    "davis_semisupervised": "davis2017",
    "sav_skip1": "sav",
    "sav_skip0": "sav-all-frames",
    "vos_benchmark_skip1": "vos-benchmark",
    "vos_benchmark_skip0": "vos-benchmark-all-frames",
}
"""The evaluator's name here and there."""


def check_errors(golden: Golden) -> Iterator[Check]:
    """Every case in ``errors/``, by every evaluator that was tried on it."""
    for case, evaluators in golden.expected.get("errors", {}).items():
        check = Check(f"errors: {case}")
        for name, wanted in evaluators.items():
            if name in PROTOCOLS:
                _check(check, golden.folder / "errors" / case, name, wanted)
            else:
                check.fail(f"nothing here knows the evaluator {name}")
        yield check


def _check(check: Check, folder: Path, name: str, wanted: Mapping[str, Any]) -> None:
    try:
        scores = score_folder(PROTOCOLS[name], folder / "gt", folder / "pred")
    except InputError as error:
        check.count += 1
        if _has_numbers(wanted):
            check.fail(f"{name}: an error although the official tool has numbers: {error}")
        elif not _names(str(error), folder):
            check.fail(f"{name}: the error does not say where: {error}")
        return
    if _has_numbers(wanted):
        _compare(check, scores, name, wanted["ok"])
    else:
        check.fail(f"{name}: numbers, but no error, where the official tool has none")


def _has_numbers(wanted: Mapping[str, Any]) -> bool:
    """Whether the official tool scored an object; an empty answer is data dropped silently."""
    answer = wanted.get("ok", {})
    return bool(answer.get("per_object") or answer.get("J"))


def _names(sentence: str, folder: Path) -> bool:
    return any(path.name in sentence for path in (folder / "gt").iterdir())


def _compare(check: Check, scores: Scores, name: str, wanted: Mapping[str, Any]) -> None:
    if "per_object" in wanted:
        compare_davis(check, scores, wanted)
        return
    objects = {entry.object: entry for entry in scores.objects}
    for measure in ("J", "F"):
        check.equal(f"{name} {measure}, objects", sorted(objects), sorted(wanted[measure]))
        for item in objects.keys() & wanted[measure].keys():
            got = 100 * objects[item].scores[measure]
            check.close(f"{name} {item} {measure}", got, wanted[measure][item], 100 * PER_FRAME)
