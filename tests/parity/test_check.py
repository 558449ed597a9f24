"""The check itself: it must notice what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.parity import check
from tests.parity.golden import Golden, Rule, read_rule
from tests.parity.report import Report
from tests.parity.rules import frame, weight


def stored(path: Path, **arrays: np.ndarray) -> Golden:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return Golden(path)


@pytest.fixture
def golden(tmp_path: Path) -> Golden:
    """Three samples of a tensor of twelve numbers."""
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    stats = np.array([x.mean(), x.std(), x.min(), x.max()])
    at = np.array([0, 5, 11])
    bits = np.packbits(x > 6)
    return stored(
        tmp_path / "g.npz",
        k=x.ravel()[at],
        k__idx=at,
        k__shape=np.array(x.shape),
        k__stats=stats,
        k_bits=bits,
    )


def test_equal_tensors_pass(golden: Golden) -> None:
    report, x = Report("case"), np.arange(12, dtype=np.float32).reshape(3, 4)
    golden.compare(report, "logits", "k", x, 1e-6)
    golden.compare_bits(report, "k_bits", x - 6, 0)
    assert report.ok
    assert report.line().endswith("ok")


def test_any_difference_beyond_the_limit_fails(golden: Golden) -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    for change in (0.1, np.nan):
        report = Report("case")
        changed = x.copy()
        changed[1, 1] += change
        golden.compare(report, "logits", "k", changed, 1e-2)
        assert not report.ok
        assert "FAILED" in report.line()


def test_what_was_not_sampled_shows_in_the_statistics(golden: Golden) -> None:
    report = Report("case")
    changed = np.arange(12, dtype=np.float32).reshape(3, 4)
    changed[2, 0] += 1
    golden.compare(report, "logits", "k", changed, 1e-2)
    assert not report.ok


def test_another_shape_and_other_signs_fail(golden: Golden) -> None:
    report = Report("case")
    golden.compare(report, "logits", "k", np.arange(12, dtype=np.float32).reshape(4, 3), 1)
    assert not report.ok
    report = Report("case")
    golden.compare_bits(report, "k_bits", -np.arange(12), 2)
    assert not report.ok


def test_nothing_compared_is_a_failure() -> None:
    assert not Report("case").ok


@pytest.mark.parametrize(
    ("readme", "code", "expected"),
    [
        ("# Golden data (weight seed 3)", "OBJ_BIAS = {3: -2.5}", Rule(3, -2.5)),
        ("# Golden data (weight seed 4)", "OBJ_BIAS = {3: -2.5}", Rule(4, 0.0)),
        ("weight seed 7 ... `pred_obj_score_head.layers.2.bias` = -1.5 + 0.05 n", None, Rule(7, -1.5)),
        ("weight seed 7", None, Rule(7, 0.0)),
    ],
)
def test_the_rule_of_a_folder_is_found(tmp_path: Path, readme: str, code: str | None, expected: Rule) -> None:
    (tmp_path / "README.md").write_text(readme, encoding="utf-8")
    if code is not None:
        (tmp_path / "det_weights.py").write_text(f"import nothing\n{code}\n", encoding="utf-8")
    assert read_rule(tmp_path) == expected
    assert read_rule(tmp_path, seed=9, presence_bias=1.0) == Rule(9, 1.0)


def test_a_folder_without_seed_or_cases_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="--seed"):
        check.main(["--golden", str(tmp_path)])
    stored(tmp_path / "other.npz", x=np.zeros(1))
    assert check.main(["--golden", str(tmp_path), "--seed", "0"]) == 1
    assert "not covered: other" in capsys.readouterr().out


def test_weights_and_clips_depend_on_names_and_seeds_only() -> None:
    name = "sam_mask_decoder.pred_obj_score_head.layers.2.bias"
    assert np.array_equal(weight(name, (1,), 0, 0.0), weight(name, (1,), 0, 0.0))
    assert not np.array_equal(weight(name, (1,), 0, 0.0), weight(name, (1,), 1, 0.0))
    assert np.allclose(weight(name, (1,), 0, -3.0) - weight(name, (1,), 0, 0.0), -3.0)
    assert not np.array_equal(frame(1, 0, 20, 30), frame(1, 5, 20, 30))
