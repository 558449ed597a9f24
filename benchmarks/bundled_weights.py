"""How well the bundled weights track, beside baselines that need no network.

    python -m benchmarks.bundled_weights --root DAVIS_LIKE_FOLDER [--weights FILE] [--also 256]

runs `edgetam eval vos` on a folder of ``JPEGImages/SEQUENCE`` and ``Annotations/SEQUENCE`` with masks and
clicks on the first frames and prints one JSON record, in percent, by the protocol of the DAVIS toolkit. At
their own size the weights run as trackers are measured and as they are by default; others are asked for.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import machine

BASELINES: Mapping[str, Sequence[str]] = {
    "first mask left where it is": ("--tracker", "copy"),
    "first mask carried by DIS optical flow": ("--tracker", "flow"),
}
PROMPTS: Mapping[str, Sequence[str]] = {
    "first mask": ("--prompt", "mask"),
    "1 click": ("--prompt", "1click"),
    "3 clicks": ("--prompt", "3click"),
}

DEFAULTS = ("--postprocess",)
"""What trackers do by default, and not when they are measured: `edgetam.cli.eval_trackers.PUBLISHED`."""


def evaluate(options: Sequence[str], root: Path, weights: Path | None) -> dict[str, Any]:
    """Scores overall and per sequence."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "edgetam",
            "eval",
            "vos",
            "--dataset",
            "generic",
            "--root",
            str(root),
        ]
        command += ["--protocol", "davis2017", "--overwrite", "--quiet", "-o", folder, *options]
        if weights is not None and "--tracker" not in options:
            command += ["--weights", str(weights)]
        subprocess.run(command, check=True)
        scores = json.loads((Path(folder) / "scores.json").read_text())
    return {
        **_percent(scores["summary"]),
        "sequences": {name: _percent(one)["jf"] for name, one in scores["sequences"].items()},
    }


def _percent(scores: Mapping[str, float]) -> dict[str, float]:
    return {short: round(100 * scores[name], 1) for short, name in (("jf", "J&F"), ("j", "J"), ("f", "F"))}


def main() -> None:
    """Print one record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="other weights than the bundled ones")
    parser.add_argument("--also", type=int, nargs="*", default=[], metavar="SIZE", help="other input sizes")
    given = parser.parse_args()
    label = "bundled weights" if given.weights is None else str(given.weights)
    asked = {**BASELINES, **{f"{label}, {name}": options for name, options in PROMPTS.items()}}
    for name, options in PROMPTS.items():
        asked[f"{label}, {name}, tracker as it is by default"] = (*options, *DEFAULTS)
    for size in given.also:
        for name, options in PROMPTS.items():
            asked[f"{label}, {name}, {size}-pixel input"] = (*options, "--imgsz", str(size))
    rows = {name: evaluate(options, given.root, given.weights) for name, options in asked.items()}
    record = {"benchmark": "bundled_weights", "machine": machine(), "protocol": "davis2017", "rows": rows}
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
