"""Cases of SAM 2.1: encoder, image predictor, and one click through a clip."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import torch

from edgetam.compat.sam2 import SAM2ImagePredictor
from edgetam.engine.torch import TorchEngine
from edgetam.tracking.geometry import prepare_image
from tests.parity.golden import Golden
from tests.parity.images import ENCODER, compare_answer, inputs_of, picture
from tests.parity.models import Models
from tests.parity.published_order import PublishedOrder
from tests.parity.report import Report
from tests.parity.videos import DEFAULT, VideoCase, settled, write_clip


@torch.inference_mode()
def run_sam21(golden: Golden, models: Models) -> list[Report]:
    """Images and video of one size of SAM 2.1, named by the file."""
    variant = golden.name.replace("sam21_hiera_", "sam2.1-")
    return [_images(golden, models, variant), settled(partial(_video, golden, models, variant))]


def _images(golden: Golden, models: Models, variant: str) -> Report:
    report = Report(f"{golden.name} image")
    model = models.image(variant)
    image = picture(golden, report=report)
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(image)
    engine = model.engine
    assert isinstance(engine, TorchEngine)
    encoder = engine.model.image_encoder
    maps = encoder.trunk(torch.from_numpy(prepare_image(image, model.image_size, "image")))
    for i, found in enumerate(maps):
        golden.compare(report, "trunk", f"enc_stage{i}", found, ENCODER)
    features = encoder.neck(maps)
    golden.compare(report, "neck", "enc_fpn2", features.stride16, ENCODER)
    golden.compare(report, "neck", "enc_conv_s0", features.stride4, ENCODER)
    golden.compare(report, "neck", "enc_conv_s1", features.stride8, ENCODER)
    golden.compare(report, "neck", "image_embed", predictor.get_image_embedding(), ENCODER)
    for case in ("pt", "pts_neg", "box"):
        compare_answer(report, golden, case, predictor, inputs_of(golden, case), multimask=case == "pt")
    return report


def _video(golden: Golden, models: Models, variant: str, *, published_order: bool) -> VideoCase:
    report = Report(f"{golden.name} video")
    predictor = models.video(variant, overrides=[])
    if published_order:
        predictor.engine = PublishedOrder(models.network(variant))
    case = VideoCase(golden, predictor, DEFAULT, report)
    with tempfile.TemporaryDirectory() as folder:
        write_clip(golden, Path(folder), report)
        state = predictor.init_state(folder)
        predictor.add_new_points_or_box(state, 0, 1, points=golden["vid_point"][None], labels=[1])
        visited = []
        for row, (t, _, logits) in enumerate(predictor.propagate_in_video(state)):
            visited.append(t)
            record = state.session.tracks[1].latest(t)
            assert record is not None
            case.logits[f"frame {t}"] = record.logits
            where = f"frame {t}"
            stored = [key for key in golden if key.startswith("vid_") and key != "vid_point"]
            expected = {key.removeprefix("vid_"): golden[key][row] for key in stored}
            case.compare_record(where, record, expected)
            case.compare_lowres(where, record, expected)
            case.compare_video(where, logits, expected["video"][None])
            case.compare_areas(where, logits, expected["area"][None])
            case.compare_boxes(where, logits, expected["bbox"][None])
        report.exact("frames", visited, golden["vid_frames"])
        state.close()
    return case
