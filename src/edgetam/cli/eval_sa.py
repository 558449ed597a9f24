"""``edgetam eval sa``: how well objects in images are found from one click, and from a few."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgetam.atomic import atomic_write
from edgetam.cli.eval_runs import WorkChoice, begin, name_weights, percent, work_through
from edgetam.cli.eval_trackers import TrackerChoice
from edgetam.cli.runs import Run
from edgetam.cli.screen import Screen
from edgetam.errors import ConfigError
from edgetam.eval.sa_run import SaJob, mean_overlaps

__all__ = ["SaChoice", "evaluate_sa", "parse_clicks"]

PARTS, SCORES = "parts", "scores.json"
Table = Mapping[str, Mapping[str, float]]
"""Mean overlap by who chooses the first answer, and by number of clicks."""


@dataclass(frozen=True)
class SaChoice:
    """What to evaluate."""

    roots: tuple[Path, ...]
    images: Path | None
    work: WorkChoice
    segmenter: TrackerChoice
    clicks: tuple[int, ...]
    foreground: bool = False

    def names(self) -> dict[str, Path]:
        """The sets by a name for each.

        Raises:
            ConfigError: two have the same name.
        """
        named = {root.stem if root.suffix == ".json" else root.resolve().name: root for root in self.roots}
        if len(named) < len(self.roots):
            raise ConfigError(
                "Two sets of images have the same name; rename one, or evaluate them one by one."
            )
        return named


def parse_clicks(text: str) -> tuple[int, ...]:
    """Read numbers of clicks such as ``1,5``.

    Raises:
        ConfigError: they are not whole numbers from 1 on.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) for part in parts):
        raise ConfigError(f"--clicks is '{text}'; expected whole numbers from 1 on, such as 1,5.")
    return tuple(sorted({int(part) for part in parts}))


def evaluate_sa(choice: SaChoice, screen: Screen) -> None:
    """Click on what is not finished yet, then average.

    Raises:
        EdgeTAMError: anything that cannot be used; finished parts are kept.
        StoppedError: Ctrl-C.
    """
    choice.segmenter.check_clicks()
    sets = choice.names()
    about = {
        "sets": {name: str(root.absolute()) for name, root in sets.items()},
        "segmenter": choice.segmenter.about,
        "clicks": list(choice.clicks),
        "foreground": choice.foreground,
    }
    make = choice.segmenter.sharing(choice.work.jobs).segmenter
    jobs = {
        name: SaJob(
            root, choice.images, make, choice.work.output / PARTS / name, choice.clicks, choice.foreground
        )
        for name, root in sets.items()
    }
    for job in jobs.values():
        job.check()
    parts = {name: job.parts() for name, job in jobs.items()}
    run = begin(choice.work, about, PARTS, (SCORES,))
    failures = {}
    for name, job in jobs.items():
        failures[name] = work_through(job, choice.work.mine(parts[name]), choice.work, name, screen)
        for failure in failures[name]:
            screen.note(f"edgetam: left out: {failure}")
    if any(len(job.pending()) > len(failures[name]) for name, job in jobs.items()):
        screen.say("Some parts are not finished; scores follow when the other shards are.")
        return
    _conclude(jobs, parts, failures, run, choice, screen)


def _conclude(
    jobs: Mapping[str, SaJob],
    parts: Mapping[str, list[str]],
    failures: Mapping[str, list[str]],
    run: Run,
    choice: SaChoice,
    screen: Screen,
) -> None:
    rows = {
        name: [row for part in parts[name] if part in job.results for row in job.results.read(part)]
        for name, job in jobs.items()
    }
    tables = {name: mean_overlaps(found, choice.clicks) for name, found in rows.items()}
    suite = _suite(list(tables.values()))
    result = {
        "about": run.about,
        "mean": suite,
        "sets": {name: {"masks": len(rows[name]), **table} for name, table in tables.items()},
        "missing": [failure for each in failures.values() for failure in each],
    }
    atomic_write(run.folder / SCORES, json.dumps(result, indent=1).encode())
    for name, table in tables.items():
        screen.say(f"{name}, {len(rows[name])} masks: {_line(table)}")
    if len(tables) > 1:
        screen.say(f"mean of {len(tables)} sets: {_line(suite)}")
    screen.say(f"scores  {run.folder / SCORES}")
    name_weights(choice.segmenter, screen)


def _suite(tables: list[Table]) -> dict[str, dict[str, float]]:
    """The mean over sets, each of the same weight."""
    return {
        choice: {n: sum(table[choice][n] for table in tables) / len(tables) for n in clicks}
        for choice, clicks in tables[0].items()
    }


def _line(table: Table) -> str:
    return "; ".join(
        f"{n} click{'s' * (n != '1')} {percent(value).strip()} (oracle {percent(table['oracle'][n]).strip()})"
        for n, value in table["predicted"].items()
    )
