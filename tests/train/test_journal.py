"""What a run writes down."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from edgetam.train.board import Board
from edgetam.train.journal import BOARD, LOG, Journal
from edgetam.train.progress import Report

REPORT = Report(7, "clips", 0.5, 1.25, {"total": 0.1, "dice": 1 / 3}, 4.0, 0.01, 2, None)


def events(folder: Path) -> list[Event]:
    """Records of the event files: length, its checksum, content, its checksum."""
    out = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            out.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return out


def test_a_report_is_a_line_and_a_point_on_each_curve(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0)
    journal.report(REPORT)
    journal.scores(7, {"drawn/tracked": 0.5})
    journal.picture(7, "drawn", np.zeros((8, 16, 3), np.uint8))
    first, second = map(json.loads, (tmp_path / LOG).read_text().splitlines())
    assert first["dice"] == 1 / 3 and first["broken"] == 2
    assert second == {"step": 7, "scores": {"drawn/tracked": 0.5}}
    found = {v.tag: v for e in events(tmp_path / BOARD) for v in e.summary.value}
    assert found["loss/dice"].simple_value == pytest.approx(1 / 3)
    assert found["speed/clips_per_second"].simple_value == 4.0
    assert found["score/drawn/tracked"].simple_value == 0.5
    assert (found["drawn"].image.height, found["drawn"].image.width) == (8, 16)
    assert found["drawn"].image.encoded_image_string.startswith(b"\x89PNG")


def test_a_run_that_goes_on_takes_back_what_it_will_do_again(tmp_path: Path) -> None:
    lines = ['{"step": 4}', '{"step": 5, "scores": {}}', '{"step": 6}', '{"step": 7, "to']
    (tmp_path / LOG).write_text("\n".join(lines))
    Journal(tmp_path, 5)
    assert (tmp_path / LOG).read_text().splitlines() == lines[:2]
    starts = [e.step for e in events(tmp_path / BOARD) if e.session_log.status == SessionLog.START]
    assert starts == [6]


def test_a_full_disk_costs_lines_and_curves_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path, 0)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert isinstance(journal.board, Board)
    monkeypatch.setattr(journal.board._writer, "flush", full)
    monkeypatch.setattr(Path, "open", full)
    journal.report(REPORT)
    journal.report(REPORT)
    journal.close()
    assert caplog.text.count("the disk is full") == 2
    assert caplog.text.count("no more curves") == 1
