"""A few of the published numbers, at full size: one image through every part, and three frames of a track."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.parity.automatic import run_automatic
from tests.parity.components import run_components_a, run_components_b
from tests.parity.golden import Golden, Rule
from tests.parity.models import Models
from tests.parity.report import Report
from tests.parity.videos import play_video, run_video

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Weights as the numbers were made with."""
    torch.set_num_threads(1)
    return Models(Rule(0, -10.5), tmp_path_factory.mktemp("weights"))


def check(reports: list[Report], names: set[str]) -> None:
    """All within tolerance, and none left out."""
    assert {report.name for report in reports} == names
    assert all(report.ok for report in reports), "\n".join(report.line() for report in reports)


def test_preprocessing_encoder_prompts_and_decoder(models: Models) -> None:
    reports = run_components_a(Golden(DATA / "components_a.npz"), models)
    check(reports, {"preprocessing", "image_encoder", "prompt_encoder", "mask_decoder"})


def test_memory_encoder_perceiver_and_memory_attention(models: Models) -> None:
    reports = run_components_b(Golden(DATA / "components_b.npz"), models)
    check(reports, {"memory_encoder", "memory_attention"})


def test_three_tracked_frames(models: Models) -> None:
    reports = run_video(Golden(DATA / "video_a_click_fp32mem.npz"), models)
    check(reports, {"video_a_click_fp32mem"})


def test_the_published_order_of_operations_follows_the_same_rules(models: Models) -> None:
    """How exact it is depends on the CPU: on the one the numbers come from, all differences are zero."""
    played = play_video(Golden(DATA / "video_a_click_fp32mem.npz"), models, published_order=True)
    check([played.report], {"video_a_click_fp32mem"})


def test_masks_of_everything_in_an_image(models: Models) -> None:
    check(run_automatic(Golden(DATA / "amg.npz"), models), {"amg base"})
