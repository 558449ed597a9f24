"""Which programs a bundle has: the graphs of the verbs, with lengths for all their axes."""

from __future__ import annotations

from edgetam.config import check_whole
from edgetam.engine.fixed_graph import FixedGraph
from edgetam.engine.graphs import make_graph
from edgetam.engine.manifest import Limits
from edgetam.engine.verbs import frame_slots, point_slots, pointer_slots
from edgetam.errors import ConfigError
from edgetam.model import EdgeTAM
from edgetam.tracking.bank import MAX_POINTERS, RECENT_MEMORIES

__all__ = ["fixed_graphs", "make_limits"]

MAX_OBJECTS = 64
"""A program that sees all objects at once keeps a map of the image's size for each."""
MAX_PROMPTED = 64
"""The largest program attends to as many memories, and six more, whenever an object has more than one."""
MAX_POINTS = 256
"""Every prompt is padded to as many points as there may be, and each is a token of the decoder."""


def make_limits(objects: int, prompted: int, points: int) -> Limits:
    """The shapes that so many objects, prompted frames and points need.

    Raises:
        ConfigError: a number is not a whole one of at least 1, or is too large.
    """
    objects = _up_to(MAX_OBJECTS, "objects", objects)
    prompted = _up_to(MAX_PROMPTED, "prompted", prompted)
    points = _up_to(MAX_POINTS, "points", points)
    memories = frame_slots(prompted + RECENT_MEMORIES)
    prompted = memories - RECENT_MEMORIES  # use what rounding gives
    pointers = pointer_slots(prompted + MAX_POINTERS - 1)
    return Limits(objects, prompted, point_slots(points), memories, pointers)


def _up_to(most: int, name: str, value: int) -> int:
    value = check_whole(name, value, 1)
    if value > most:
        raise ConfigError(f"{name} is {value}; expected at most {most}.")
    return value


def fixed_graphs(network: EdgeTAM, limits: Limits) -> list[FixedGraph]:
    """All programs; of those for one verb, smaller ones first.

    Args:
        network: in inference form.
        limits: of the bundle.
    """
    one = {"B": 1, "F": 1, "P": limits.points}
    graphs = [
        FixedGraph(verb, make_graph(verb, network), one)
        for verb in ("encode", "track", "answer", "adopt", "remember")
    ]
    # the usual case, one prompted frame and six recent ones, does not pay for more
    for memories in sorted({frame_slots(1 + RECENT_MEMORIES), limits.memories}):
        lengths = {"B": 1, "T": memories, "P": limits.pointers}
        graphs.append(FixedGraph(f"attend-{memories}", make_graph("attend", network), lengths))
    if limits.objects > 1:
        together = {"B": limits.objects}
        graphs.append(FixedGraph("remember-exclusive", make_graph("remember_exclusive", network), together))
    return graphs
