"""Quantised graphs in the cache: which calibration is in use, and where its graphs are.

`edgetam.quantize` makes them; using them needs OpenVINO alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from edgetam.engine.store import Store
from edgetam.errors import EngineError

__all__ = ["Calibration", "calibration_in_use", "keep_quantised", "quantised_graphs"]

RECIPE = 3
"""Raised whenever graphs are quantised in another way."""
CHOICE = "int8"


class Calibration(NamedTuple):
    """What quantised graphs were made from."""

    parts: tuple[str, ...]
    """Graphs that compute in int8; the others stay in floating point."""
    frames: str
    """What tells the calibration frames from others."""
    quantiser: str
    """Name and version of what chose the ranges."""


def calibration_in_use(store: Store) -> Calibration:
    """The last calibration of a network, whose converted graphs are in ``store``.

    Raises:
        EngineError: there is none, or it is damaged.
    """
    try:
        found = json.loads((store.folder / CHOICE / "calibration.json").read_text())
        if found["recipe"] != RECIPE:
            raise ValueError("quantised in another way")
        return Calibration(tuple(found["parts"]), found["frames"], found["quantiser"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise EngineError(
            "precision='int8' needs a calibration of these weights at this input size, made by this version, "
            "and there is none; run 'edgetam quantize' with the same --weights and --imgsz first."
        ) from error


def quantised_graphs(store: Store) -> dict[str, Callable[[], Path]]:
    """The graphs of the calibration in use, by name: what gives the folder of each.

    Args:
        store: converted graphs of the network.

    Raises:
        EngineError: there is no calibration, or it or one of its graphs is damaged.
    """
    calibration = calibration_in_use(store)
    kept = _kept(store, calibration)
    found: dict[str, Callable[[], Path]] = {
        graph: partial(kept.get, graph, partial(_gone, graph)) for graph in calibration.parts
    }
    for folder_of in found.values():  # now, and not in the middle of a video
        folder_of()
    return found


def keep_quantised(
    store: Store, calibration: Calibration, makers: Mapping[str, Callable[[Path], None]]
) -> None:
    """Keep graphs, then put their calibration in use: an interruption leaves the earlier one.

    Args:
        store: converted graphs of the network.
        calibration: what they were made from.
        makers: a graph's name to what writes its ``model.xml`` into a folder.
    """
    kept = _kept(store, calibration)
    for graph, make in makers.items():
        kept.put(graph, make)
    text = json.dumps({"recipe": RECIPE, **calibration._asdict()}, indent=1)

    def write(folder: Path) -> None:
        (folder / "calibration.json").write_text(text)

    store.put(CHOICE, write)


def _kept(store: Store, calibration: Calibration) -> Store:
    return Store(store.runtime, *store.facts, "int8", RECIPE, *calibration)


def _gone(graph: str, folder: Path) -> None:
    raise EngineError(f"The quantised '{graph}' is missing or damaged; run 'edgetam quantize' again.")
