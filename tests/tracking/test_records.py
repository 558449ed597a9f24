"""Where records are kept: at hand, on disk, or no longer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetam.errors import ConfigError, OutputError
from edgetam.tracking import TrackerOptions
from edgetam.tracking.records import FrameRecord, RecordStore


def record(value: float, *, memory: bool = True) -> FrameRecord:
    tokens = FrameRecord.pack(np.full((4, 64), value, np.float32), "bf16") if memory else None
    return FrameRecord(
        np.full((2, 2), value, np.float32), value / 3, value / 7, np.zeros(256, np.float32), tokens
    )


ACTIONS = st.lists(st.tuples(st.sampled_from(["put", "delete"]), st.integers(0, 6)), max_size=30)


@given(ACTIONS, st.integers(1, 4))
def test_a_store_with_a_folder_is_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int]], capacity: int
) -> None:
    store = RecordStore(capacity, tmp_path_factory.mktemp("history"))
    plain: dict[int, float] = {}
    for step, (kind, frame) in enumerate(actions):
        if kind == "put":
            store[frame] = record(step)
            plain[frame] = step
        elif frame in plain:
            del store[frame], plain[frame]
        else:
            with pytest.raises(KeyError):
                del store[frame]
        assert len(store._held) <= capacity
        assert len(store) == len(plain)
        assert list(store) == sorted(plain)
        assert sorted(store.by_recency()) == sorted(plain)
        assert {t: r.logits[0, 0] for t, r in store.items()} == plain
        assert all((t in store) == (t in plain) for t in range(7))


@given(ACTIONS, st.integers(1, 4))
def test_a_store_without_one_keeps_the_last_records(actions: list[tuple[str, int]], capacity: int) -> None:
    store = RecordStore(capacity)
    order: list[int] = []
    for kind, frame in actions:
        if kind == "put":
            store[frame] = record(frame)
            order = [*[t for t in order if t != frame], frame][-capacity:]
        elif frame in order:
            del store[frame]
            order.remove(frame)
        assert store.by_recency() == order
        assert store.get(frame, None) is None or store[frame].logits[0, 0] == frame


@given(ACTIONS, st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_what_can_be_trusted_is_held_longer(
    tmp_path_factory: pytest.TempPathFactory,
    actions: list[tuple[str, int]],
    capacity: int,
    keep: int,
    with_folder: bool,
) -> None:
    folder = tmp_path_factory.mktemp("history") if with_folder else None
    store = RecordStore(capacity, folder, keep_sure=keep)
    order: list[tuple[int, bool]] = []
    for step, (kind, frame) in enumerate(actions):
        sure = step % 3 == 0
        if kind == "put":
            store[frame] = replace(record(frame), presence=3.0, score=0.9 if sure else 0.1)
            order = [*[each for each in order if each[0] != frame], (frame, sure)]
            if not with_folder:
                kept = [each for each in order if each[1]][-keep:]
                order = [each for each in order if each in order[-capacity:] or each in kept]
        elif frame in store:
            del store[frame]
            order = [each for each in order if each[0] != frame]
        assert list(store) == sorted(t for t, _ in order)
        assert list(store.sure) == sorted(t for t, s in order if s)
        assert len(store._held) <= capacity + keep
    assert all(store[t].sure for t in store.sure)


@pytest.mark.parametrize("reverse", [False, True])
def test_what_is_put_back_goes_before_what_was_reached_later(reverse: bool) -> None:
    store, order = RecordStore(4), [9, 8, 6, 5] if reverse else [1, 2, 4, 5]
    for frame in order:
        store[frame] = record(frame)
    store.put_back(7 if reverse else 3, record(7), reverse=reverse)
    assert store.by_recency() == [order[1], 7 if reverse else 3, *order[2:]]
    store.put_back(order[0], record(0), reverse=reverse)
    assert store.by_recency()[0] == order[0]


def test_records_come_back_from_disk_bit_by_bit(tmp_path: Path) -> None:
    store = RecordStore(1, tmp_path / "deep" / "er")
    put = [record(1 / 3), record(-0.1, memory=False), record(5)]
    for frame, each in enumerate(put):
        store[frame] = each
    for frame, each in enumerate(put):
        got = store[frame]
        assert got.to_arrays().keys() == each.to_arrays().keys()
        for name, array in each.to_arrays().items():
            assert got.to_arrays()[name].dtype == array.dtype
            assert np.array_equal(got.to_arrays()[name], array)
        assert (got.presence, got.score) == (each.presence, each.score)


@pytest.mark.parametrize("stored", ["bf16", "fp32"])
def test_tokens_are_floats_however_they_are_kept(stored: str) -> None:
    tokens = np.linspace(-2, 2, 4 * 64, dtype=np.float32).reshape(4, 64)
    kept = FrameRecord(np.zeros((2, 2), np.float32), 0, 0, np.zeros(256), FrameRecord.pack(tokens, stored))
    assert kept.tokens.dtype == np.float32
    assert np.abs(kept.tokens - tokens).max() <= (0 if stored == "fp32" else 2**-8)


def test_a_folder_that_cannot_be_written_is_an_output_error_and_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = RecordStore(2, tmp_path / "file" / "sub")
    store[0], store[1] = record(0), record(1)
    with pytest.raises(OutputError, match=r"history of frame 0.*history=False"):
        store[2] = record(2)
    assert sorted(store) == [0, 1, 2]


def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    """The writer of safetensors has an error of its own for it."""
    store = RecordStore(1, tmp_path)
    (tmp_path / "00000000.safetensors").mkdir()
    store[0] = record(0)
    with pytest.raises(OutputError, match="history of frame 0"):
        store[1] = record(1)


def test_history_that_was_deleted_is_named(tmp_path: Path) -> None:
    store = RecordStore(1, tmp_path)
    store[0], store[1] = record(0), record(1)
    (tmp_path / "00000000.safetensors").unlink()
    with pytest.raises(OutputError, match="history of frame 0 is gone"):
        store[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch is 0; expected a whole number of at least 1"),
        ({"batch": 2.0}, r"batch is 2\.0"),
        ({"memory_stride": 0}, "memory_stride is 0"),
        ({"max_prompted": 0}, "max_prompted is 0"),
        ({"max_prompted": True}, "max_prompted is True"),
        ({"fill_holes": -1}, "fill_holes is -1"),
        ({"memory_selection": "best"}, "'best'; expected 'auto', 'recent' or 'confident'"),
        ({"store": "fp16"}, "store is 'fp16'; expected 'auto', 'fp32' or 'bf16'"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrackerOptions(**options)  # type: ignore[arg-type]
