"""Scores of clips that are not trained on, and the pictures of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgetam.errors import ConfigError, MediaError
from edgetam.train.evaluate import Followed, answers, draw, score
from edgetam.train.journal import Journal
from edgetam.train.rollout import ABSENT, Step, make_task
from edgetam.train.setup import starting_model
from edgetam.train.trial import make_evaluator
from tests.train.data.fabricate import static_images
from tests.train.test_losses import candidates
from tests.train.tiny import batch, recipe, trainer


def test_scores_are_shares_and_copied_masks_are_the_bar() -> None:
    model = starting_model(recipe().model, seed=0).eval()
    held_out = [batch(frames=3, first=i) for i in range(2)]
    scores, followed = score(model, held_out)
    assert set(scores) == {"tracked", "copied", "click1", "click3", "lost"}
    assert all(0.0 <= value <= 1.0 for value in scores.values())
    still = [held_out[0].masks[:, :1].expand(-1, 2, -1, -1), held_out[0].masks[:, 1:]]
    overlap = (still[0] & still[1]).sum((2, 3)) / (still[0] | still[1]).sum((2, 3))
    assert abs(float(overlap.mean()) - score(model, held_out[:1])[0]["copied"]) < 0.02
    assert [f.logits.shape for f in followed] == [(2, 2, 64, 64)] * 2


def test_images_have_scores_of_clicks_and_a_picture() -> None:
    model = starting_model(recipe().model, seed=0).eval()
    images, clip = batch(frames=1), batch(frames=3)
    scores, followed = score(model, [images])
    assert set(scores) == {"click1", "click3"}
    assert draw(followed, [images]).shape == (128, 128, 3)
    clicks = score(model, [clip])[0]
    assert scores == {name: clicks[name] for name in scores}  # the first frame is the same


def test_nothing_is_lost_where_nothing_can_be_seen() -> None:
    model = starting_model(recipe().model, seed=0).eval()
    gone = batch(frames=3)
    gone.masks[:, 1:] = False
    scores, _ = score(model, [gone])
    assert set(scores) == {"tracked", "copied", "click1", "click3"}
    assert all(0.0 <= value <= 1.0 for value in scores.values())
    assert score(model, [gone, batch(frames=3)])[0].keys() == {*scores, "lost"}


def test_answers_of_absent_objects_are_empty() -> None:
    steps = [Step(1, candidates(torch.ones(2, 4, 64, 64), presence=p), 0, False, None) for p in (-1.0, 1.0)]
    assert answers(steps).amax((2, 3)).tolist() == [[ABSENT, 1.0], [ABSENT, 1.0]]


def test_a_picture_has_a_row_per_clip_with_coloured_masks() -> None:
    given = batch(frames=3)
    logits = torch.full((2, 2, 64, 64), -5.0)
    logits[0, :, :32] = 5.0
    picture = draw([Followed(make_task(given), logits)] * 2, [given] * 2)
    assert picture.shape == (2 * 128, 3 * 128, 3)
    red, green = (picture[:60, 128:256, channel].astype(int).mean() for channel in (0, 1))
    assert red > green + 50


def test_a_recipe_says_what_is_evaluated(tmp_path: Path) -> None:
    assert make_evaluator(recipe()) is None
    wanted = ("evaluation.sources={drawn: {kind: synthetic}}", "evaluation.clips=1", "evaluation.frames=2")
    one = trainer(*wanted)
    evaluate = make_evaluator(one.recipe)
    assert evaluate is not None
    journal = Journal(tmp_path, 0)
    scores = evaluate(one, journal)
    assert evaluate(one, journal) == scores  # the same clips and clicks every time
    journal.close()
    assert set(scores) == {f"drawn/{name}" for name in ("tracked", "copied", "click1", "click3", "lost")}
    events = b"".join(path.read_bytes() for path in (tmp_path / "tensorboard").iterdir())
    assert b"drawn" in events and b"PNG" in events


def test_pixels_that_nothing_is_said_about_do_not_count() -> None:
    given = batch(3)
    model = starting_model(recipe().model, seed=0).eval()
    whole = score(model, [given])[0]
    nothing = torch.zeros(1, 3, 256, 256, dtype=torch.bool)
    assert score(model, [replace(given, void=nothing)])[0] == whole
    scores = score(model, [replace(given, void=~nothing)])[0]
    assert scores["tracked"] == scores["copied"] == scores["click1"] == 1.0  # nothing is left to be wrong


def test_every_size_of_a_stage_is_evaluated(tmp_path: Path) -> None:
    one = trainer(
        "evaluation={sources: {drawn: {kind: synthetic}}, clips: 1, frames: 2}",
        "stages.0.turns=[{}, {image_size: 512}]",
    )
    evaluate = make_evaluator(one.recipe)
    assert evaluate is not None
    scores = evaluate(one, Journal(tmp_path, 0))
    assert {name.partition("/")[0] for name in scores} == {"drawn", "drawn@512"}


def test_data_of_the_evaluation_is_tried_before_training(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="nowhere"):
        make_evaluator(recipe("evaluation.sources={held_out: {kind: davis, root: nowhere}}"))
    images = static_images(tmp_path)
    with pytest.raises(ConfigError, match="no item of 6 annotated frames"):
        make_evaluator(recipe(f"evaluation.sources={{stills: {{kind: static, root: {images}}}}}"))
