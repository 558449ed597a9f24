"""Run every case of a folder of golden numbers and print one line each."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import torch

from tests.parity.automatic import run_automatic
from tests.parity.components import run_components_a, run_components_b
from tests.parity.golden import Golden, read_rule
from tests.parity.images import run_image
from tests.parity.models import Models
from tests.parity.report import Report
from tests.parity.sam21 import run_sam21
from tests.parity.videos import run_video

Runner = Callable[[Golden, Models], list[Report]]
RUNNERS: Mapping[str, Runner] = {
    "components_a": run_components_a,
    "components_b": run_components_b,
    "image_predictor": run_image,
    "amg": run_automatic,
    "video_*": run_video,
    "sam21_*": run_sam21,
}
"""What to do with which file, the quick ones first."""

Case = tuple[str, Callable[[], list[Report]]]


def find_cases(folder: Path, models: Models) -> Iterator[Case]:
    """All cases a folder has numbers for, the quick ones first."""
    for pattern, run in RUNNERS.items():
        for path in sorted(folder.glob(f"{pattern}.npz")):
            yield path.stem, partial(_run, run, path, models)


def uncovered(folder: Path) -> list[Path]:
    """Files nothing here runs."""
    known = {path for pattern in RUNNERS for path in folder.glob(f"{pattern}.npz")}
    return sorted(set(folder.glob("*.npz")) - known)


def _run(run: Runner, path: Path, models: Models) -> list[Report]:
    return run(Golden(path), models)


def main(arguments: list[str] | None = None) -> int:
    """The command line; the result is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity.check", description=__doc__)
    parser.add_argument("--golden", type=Path, required=True, help="folder with README.md and .npz files")
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    parser.add_argument("--seed", type=int, help="of the weights (default: as the folder says)")
    parser.add_argument("--object-bias", type=float, help="offset of the presence score's last bias")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    rule = read_rule(options.golden, options.seed, options.object_bias)
    print(f"weights: seed {rule.seed}, presence bias {rule.presence_bias:g}", flush=True)
    failed = ran = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, run in find_cases(options.golden, Models(rule, Path(folder))):
            if options.case not in name:
                continue
            for report in run():
                ran += 1
                failed += not report.ok
                print(report.line(), flush=True)
    for path in uncovered(options.golden):
        print(f"not covered: {path.stem}")
    print(f"{ran - failed} of {ran} cases within tolerance")
    return 0 if ran and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
