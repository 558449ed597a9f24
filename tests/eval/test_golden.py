"""The numbers of the official evaluators, on a small part of the golden folder."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.eval.check_golden import check_all, main
from tests.eval.golden.folders import Golden, check_folders

ARCHIVE = Path(__file__).parent / "golden" / "data" / "golden.tar.xz"


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "golden"


def test_all_numbers_are_those_of_the_official_evaluators(golden: Path) -> None:
    checks = list(check_all(golden))
    assert [line for check in checks for line in check.failures] == []
    assert sum(check.count for check in checks) > 2000
    assert all(check.ok for check in checks)


def test_the_check_notices_a_wrong_number(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = golden / "expected.json"
    expected = json.loads(path.read_text())
    expected["sav_skip1"]["global"]["J"] += 1e-6
    expected["mosev2"]["per_object"]["v17_large_ids_8"]["F_new"] += 1e-9
    expected["surprise"] = {}
    path.write_text(json.dumps(expected))
    assert main(["--golden", str(golden)]) == 1
    failed = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert failed == ["sav_skip1", "mosev2", "surprise"]


def test_the_check_notices_a_spoilt_mask(golden: Path) -> None:
    spoilt = golden / "davis/pred/v17_large_ids/00002.png"
    spoilt.write_bytes((golden / "davis/pred/v17_large_ids/00003.png").read_bytes())
    failed = [check.name for check in check_folders(Golden.open(golden)) if not check.ok]
    assert failed == ["vos_benchmark_davis_layout_skip1", "vos_benchmark_davis_layout_skip0", "mosev2"]
