"""A run on disk: what is in its folder, and how it goes on."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgetam.atomic import atomic_write, make_folder, output_error
from edgetam.errors import ConfigError, OutputError
from edgetam.train.checkpoint import load_checkpoint, save_checkpoint
from edgetam.train.journal import BOARD, LOG, Journal
from edgetam.train.loop import Trainer
from edgetam.train.progress import Report
from edgetam.train.ranks import collect, rank
from edgetam.train.recipe import Recipe
from edgetam.train.recipe_file import changes, recipe_text
from edgetam.train.strict import build, plain
from edgetam.weights import save_native

__all__ = ["Evaluator", "Run", "Scores"]

logger = logging.getLogger("edgetam")

_NO_MATTER = ("model.init", "model.image_size", "model.skips_absent")
"""Of the model: where it came from, the size that its weights say, and which memories are read."""
_HEADER = "# The recipe of this run in full, written by edgetam.\n"

Evaluator = Callable[[Trainer, Journal], dict[str, float]]
"""Scores the average; may draw pictures into the journal."""


@dataclass(frozen=True)
class Scores:
    """What an evaluation found."""

    step: int
    scores: dict[str, float]


def _in_full(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe of an earlier version with what recipes have got since."""
    try:
        return dict(plain(build(Recipe, recipe)))
    except ConfigError:  # it has something that is no more
        return recipe


class Run:
    """A trainer and the folder it lives in.

    ::

        last.pt               everything needed to go on, replaced in one step
        weights.safetensors   the moving average, for `load_model`
        recipe.yaml           the recipe in full
        log.jsonl             one line per report and evaluation
        tensorboard/          the same as curves and pictures, where tensorboardX is installed

    Args:
        trainer: not yet started.
        folder: created where it is missing.
        evaluate: scores the average; nothing is evaluated without.

    Raises:
        OutputError: the folder cannot be made, or holds a ``recipe.yaml`` that no run has written.
    """

    def __init__(self, trainer: Trainer, folder: Path, evaluate: Evaluator | None = None) -> None:
        self.trainer = trainer
        self.folder = make_folder(folder)
        self.evaluate = evaluate
        self.saved = self.scored = 0.0
        self._check_what_is_there()

    @property
    def checkpoint(self) -> Path:
        """Where the run goes on from."""
        return self.folder / "last.pt"

    @property
    def weights(self) -> Path:
        """What the run is for."""
        return self.folder / "weights.safetensors"

    def resume(self, *, accept_changes: bool = False) -> bool:
        """Go on from ``last.pt``, and say whether there was one.

        Args:
            accept_changes: of the recipe; those of the network are never accepted.

        Raises:
            WeightsError: the file is damaged.
            ConfigError: it was made with another recipe, or processes find different ones.
            OutputError: there is none beside ``weights.safetensors``.
        """
        state = load_checkpoint(self.checkpoint) if self.checkpoint.exists() else None
        steps = collect(state and state["progress"]["step"])
        if len(set(steps)) > 1:
            found = ", ".join("none" if step is None else f"step {step}" for step in steps)
            raise ConfigError(
                f"The processes find different states in {self.checkpoint} ({found}); give all of them one "
                "shared folder, or copy last.pt to every machine."
            )
        if state is None and self.weights.exists():
            raise OutputError(
                f"{self.weights} is there and no {self.checkpoint.name} to go on from; use another folder, "
                "or --overwrite."
            )
        if state is None:
            return False
        changed = changes(_in_full(state["recipe"]), plain(self.trainer.recipe))
        of_model = [key for key in changed if key.startswith("model.") and key not in _NO_MATTER]
        if of_model or (changed and not accept_changes):
            raise ConfigError(_changed(self.checkpoint, of_model or changed, of_model=bool(of_model)))
        self.trainer.restore(state)
        self.saved = self.scored = self.trainer.progress.seconds
        return True

    def _check_what_is_there(self) -> None:
        """Make sure that nothing is replaced but what a run has written."""
        kept = self.folder / "recipe.yaml"
        own = not kept.exists() or self.checkpoint.exists() or kept.read_bytes().startswith(_HEADER.encode())
        if not own:
            raise OutputError(
                f"{kept} was not written by a run, and a run would replace it; use another folder."
            )

    def start_anew(self) -> None:
        """Remove what an earlier run left, so that nothing goes on from it.

        Raises:
            OutputError: something cannot be removed.
        """
        try:
            for path in (self.checkpoint, self.weights, self.folder / LOG):
                path.unlink(missing_ok=True)
            if (self.folder / BOARD).exists():
                shutil.rmtree(self.folder / BOARD)
        except OSError as error:
            raise output_error(self.folder, error) from error

    def go(self) -> Iterator[Report | Scores]:
        """Train to the end, or until the trainer is stopped; save and evaluate on the way and at the end.

        A checkpoint that cannot be written is reported and tried again later; only at the end it is an error.

        Raises:
            TrainingError: a loss is not finite; ``last.pt`` is of before.
            InputError: data cannot be had.
            OutputError: the last checkpoint cannot be written.
        """
        trainer, every = self.trainer, self.trainer.recipe.every
        journal = Journal(self.folder, trainer.progress.step) if rank() == 0 else None
        if rank() == 0:
            text = _HEADER + recipe_text(trainer.recipe)
            atomic_write(self.folder / "recipe.yaml", text.encode())
        for report in trainer.run():
            if report is not None:
                if journal:
                    journal.report(report)
                yield report
            seconds = trainer.progress.seconds
            if seconds - self.saved >= 60 * every.save_minutes:
                self._try_to_save()
            if every.evaluate_minutes and seconds - self.scored >= 60 * every.evaluate_minutes:
                yield from self._score(journal)
        self.save()
        if trainer.finished:
            yield from self._score(journal)
        if journal:
            journal.close()

    def save(self) -> None:
        """Write checkpoint and weights; the first process does.

        Raises:
            OutputError: a file cannot be written; an earlier one is still there.
        """
        self.saved = self.trainer.progress.seconds
        if rank() != 0:
            return
        recipe = self.trainer.recipe
        save_checkpoint(self.checkpoint, self.trainer.state())
        notes = {"steps": str(self.trainer.progress.step), **recipe.notes}
        config = replace(self.trainer.average.config, image_size=recipe.model.config.image_size)
        save_native(self.weights, self.trainer.average.state_dict(), config, notes)

    def _try_to_save(self) -> None:
        try:
            self.save()
        except OutputError as error:
            logger.error("%s Training goes on, and saving is tried again later.", error)

    def _score(self, journal: Journal | None) -> Iterator[Scores]:
        """Evaluate in the first process; the others wait at the next step."""
        self.scored = self.trainer.progress.seconds
        if self.evaluate is None or journal is None:
            return
        scores = Scores(self.trainer.progress.step, self.evaluate(self.trainer, journal))
        journal.scores(scores.step, scores.scores)
        yield scores


def _changed(path: Path, keys: list[str], *, of_model: bool) -> str:
    what = f"{path} was made with another recipe: {', '.join(keys[:5])}{', ...' if len(keys) > 5 else ''}"
    if of_model:
        return f"{what} differ, and a network cannot change; use another output folder, or --overwrite."
    return f"{what} differ; pass --accept-changes to go on all the same, or --overwrite to start anew."
