"""What an export does when its bundle does not answer as PyTorch does."""

from __future__ import annotations

import copy
import errno
import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgetam import load_bundle
from edgetam.engine.fixed_graph import FixedGraph
from edgetam.errors import EngineError, WeightsError
from edgetam.export import Agreement, BundleSpec, bundle, export_bundle
from edgetam.export.parity import ProgramAgreement, compare_programs, rehearse
from edgetam.export.programs import fixed_graphs, make_limits
from edgetam.model import EdgeTAM, inference_form
from tests.tracking.fake_engine import FakeEngine

GOOD = Agreement(0, 1, 0.1, 1.0, 0.0)
NAN = float("nan")


def test_a_rehearsal_needs_no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**options: Any) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    assert len(rehearse(FakeEngine(), make_limits(3, 1, 2))) == 7


class Altered:
    """A runner between a bundle and its programs, that does something to what passes."""

    name, precision = "altered", "fp32"

    def __init__(self, graphs: Sequence[FixedGraph]) -> None:
        self.graphs = {graph.name: graph for graph in graphs}

    def before(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return inputs

    def after(self, outputs: list[Any]) -> list[Any]:
        return outputs

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
        arrays = self.before(dict(inputs)).values()
        with torch.inference_mode():
            outputs = self.graphs[graph].graph.module(*map(torch.from_numpy, arrays))
        return self.after([x.numpy() for x in (outputs if isinstance(outputs, tuple) else (outputs,))])


class ReadsPadding(Altered):
    def before(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {name: np.ones_like(x) if name.endswith("valid") else x for name, x in inputs.items()}


class NotFinite(Altered):
    def after(self, outputs: list[Any]) -> list[Any]:
        return [*outputs[:-1], np.where(outputs[-1] == outputs[-1].max(), np.inf, outputs[-1])]


class OtherShapes(Altered):
    def after(self, outputs: list[Any]) -> list[Any]:
        return [outputs[0][..., :1], *outputs[1:]]


@pytest.fixture(scope="module")
def graphs(model: EdgeTAM) -> list[FixedGraph]:
    return fixed_graphs(inference_form(model), make_limits(2, 2, 8))


def only(graphs: Sequence[FixedGraph], name: str) -> list[FixedGraph]:
    return [graph for graph in graphs if graph.name == name]


def test_programs_are_compared_one_by_one(graphs: list[FixedGraph]) -> None:
    agreements = compare_programs(graphs, Altered(graphs).run)
    assert [each.program for each in agreements] == [graph.name for graph in graphs]
    assert {(each.largest, each.relative) for each in agreements} == {(0.0, 0.0)}


def test_a_program_that_reads_padding_is_found_out(graphs: list[FixedGraph]) -> None:
    """The large one, which the clip does not reach."""
    (agreement,) = compare_programs(only(graphs, "attend-8"), ReadsPadding(graphs).run)
    assert agreement.relative > bundle.MOST_APART


@pytest.mark.parametrize(
    ("runner", "words"),
    [
        (NotFinite, "program 'adopt' gives values that are not finite, so nothing was written"),
        (OtherShapes, "program 'adopt' gives outputs of shapes"),
    ],
)
def test_programs_that_are_of_no_use(runner: type[Altered], words: str, graphs: list[FixedGraph]) -> None:
    with pytest.raises(EngineError, match=words):
        compare_programs(only(graphs, "adopt"), runner(graphs).run)


def test_weights_that_are_of_no_use(model: EdgeTAM) -> None:
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.object_pointer.absent.fill_(NAN)
        broken.mask_decoder.presence_head.layers[-1].bias.fill_(-100)  # that one is given
    graphs = fixed_graphs(inference_form(broken), make_limits(1, 1, 8))
    with pytest.raises(WeightsError, match="'track' gives values that are not finite in PyTorch"):
        compare_programs(only(graphs, "track"), Altered(graphs).run)


class Faked:
    """An export whose programs are empty files, and how they agree with PyTorch."""

    def __init__(self, network: EdgeTAM, folder: Path) -> None:
        self.network, self.folder = network, folder
        self.frames: list[Agreement] = [GOOD]
        self.programs = [ProgramAgreement("attend-8", 0.0, 0.0)]

    def export(self, precision: str) -> dict[str, Any]:
        spec = BundleSpec("openvino", precision, objects=1, prompted=1, points=8)
        export_bundle(self.network, spec, self.folder / "bundle")
        return json.loads((self.folder / "bundle" / "parity.json").read_text())


@pytest.fixture
def faked(model: EdgeTAM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faked:
    pytest.importorskip("openvino")
    fake = Faked(model, tmp_path)

    def convert(graph: FixedGraph, folder: Path, precision: str) -> None:
        for name in ("model.xml", "model.bin"):
            (folder / name).write_text("")

    monkeypatch.setattr("edgetam.export.openvino.convert", convert)
    monkeypatch.setattr("edgetam.engine.openvino.capabilities", lambda: ["FP32", "FP16"])
    monkeypatch.setattr(bundle, "rehearse", lambda engine, limits: [])
    monkeypatch.setattr(bundle, "compare", lambda got, expected: fake.frames)
    monkeypatch.setattr(bundle, "compare_programs", lambda graphs, runner: fake.programs)
    return fake


def test_half_precision_that_shows_is_warned_of_once(faked: Faked, caplog: pytest.LogCaptureFixture) -> None:
    faked.frames = [GOOD, Agreement(1, 1, 10.7, 0.065, 0.1)]
    report = faked.export("fp16")
    assert (report["least_mask_iou"], report["mean_mask_iou"]) == (0.065, pytest.approx(0.5325))
    (warning,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert "in fp16 differ" in warning.message
    assert "0.065 at least and 0.532 on average, expected at least 0.9" in warning.message


def test_half_precision_that_hardly_shows(faked: Faked, caplog: pytest.LogCaptureFixture) -> None:
    faked.frames = [GOOD, Agreement(1, 1, 1.3, 0.915, 0.0)]
    faked.programs = [ProgramAgreement("attend-8", 1.0, 0.02)]
    assert faked.export("fp16")["programs"] == [{"program": "attend-8", "largest": 1.0, "relative": 0.02}]
    assert caplog.text == ""
    load_bundle(faked.folder / "bundle")


@pytest.mark.parametrize(
    ("precision", "frame", "program", "words"),
    [
        ("fp16", Agreement(0, 1, NAN, 1.0, 0.0), 0.0, "masks that are not finite in fp16"),
        ("fp16", Agreement(0, 1, 0.0, 1.0, NAN), 0.0, "masks that are not finite in fp16"),
        ("fp32", Agreement(0, 1, 0.5, 0.95, 0.0), 0.0, r"mask IoU 0\.950, expected at least 0\.99"),
        ("fp32", GOOD, 0.02, r"'attend-8' does not agree with PyTorch \(relative difference 0\.020"),
    ],
)
def test_wrong_bundles_are_not_written(
    precision: str, frame: Agreement, program: float, words: str, faked: Faked
) -> None:
    faked.frames = [GOOD, frame]
    faked.programs = [ProgramAgreement("attend-8", 0.1, program)]
    with pytest.raises(EngineError, match=words):
        faked.export(precision)
    assert list(faked.folder.iterdir()) == []
