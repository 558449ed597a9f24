"""Learning rates through a stage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetam.errors import ConfigError
from edgetam.train.schedule import Schedule, learning_rate


def test_a_warm_up_is_linear() -> None:
    schedule = Schedule(warmup=10)
    assert [learning_rate(schedule, step, 0.0) for step in (0, 4, 9, 50)] == pytest.approx([0.1, 0.5, 1, 1])


def test_a_cosine_falls_to_its_floor() -> None:
    schedule = Schedule("cosine", floor=0.1)
    assert [learning_rate(schedule, 0, x) for x in (0, 0.5, 1, 1.5)] == pytest.approx([1, 0.55, 0.1, 0.1])


def test_a_reciprocal_root_falls_by_the_time_scale_after_the_warm_up() -> None:
    schedule = Schedule("rsqrt", warmup=1000, timescale=1000)
    assert learning_rate(schedule, 999, 0.1) == pytest.approx(1.0)
    assert learning_rate(schedule, 1999, 0.2) == pytest.approx(0.5**0.5)
    assert learning_rate(schedule, 3999, 0.4) == pytest.approx(0.5)


def test_a_cool_down_is_linear_in_progress() -> None:
    schedule = Schedule(cooldown=0.5, floor=0.02)
    assert [learning_rate(schedule, 9, x) for x in (0.5, 0.75, 1.0)] == pytest.approx([1, 0.51, 0.02])


@given(
    st.sampled_from(["constant", "cosine", "rsqrt"]),
    st.integers(0, 50),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 10**6),
    st.floats(0, 2),
)
def test_rates_are_shares(kind, warmup, cooldown, floor, step, progress) -> None:
    assert 0.0 <= learning_rate(Schedule(kind, warmup, cooldown, floor), step, progress) <= 1.0 + 1e-9


def test_odd_schedules_are_refused() -> None:
    for wrong in ({"cooldown": 2.0}, {"floor": -0.1}, {"warmup": -1}, {"timescale": 0}):
        with pytest.raises(ConfigError):
            Schedule(**wrong)
