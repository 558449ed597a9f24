"""Compare our numbers with those of the official evaluators, on any folder laid out as its README says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tests.eval.golden.check import Check
from tests.eval.golden.errors import check_errors
from tests.eval.golden.folders import Golden, check_folders
from tests.eval.golden.units import check_units


def check_all(folder: Path) -> Iterator[Check]:
    """Every check that the folder has numbers for."""
    if not (folder / "expected.json").is_file():
        return check_units(folder)
    golden = Golden.open(folder)
    return chain(check_units(folder), check_folders(golden), check_errors(golden))


def main(arguments: list[str] | None = None) -> int:
    """The command line; the result is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.eval.check_golden", description=__doc__)
    parser.add_argument("--golden", type=Path, required=True, help="folder with expected.json and unit_*.npz")
    options = parser.parse_args(arguments)
    ran = failed = 0
    for check in check_all(options.golden):
        ran, failed = ran + 1, failed + (not check.ok)
        print("\n".join(check.lines()), flush=True)
    print(f"{ran - failed} of {ran} checks passed")
    return 0 if ran and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
