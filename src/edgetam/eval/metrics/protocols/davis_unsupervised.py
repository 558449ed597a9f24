"""DAVIS 2017 unsupervised: proposals are matched to the objects before they are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgetam.eval.metrics.assignment import assign
from edgetam.eval.metrics.bits import Box, bounding_box, grid_of, pack
from edgetam.eval.metrics.disks import bound_radius, disk
from edgetam.eval.metrics.labels import Pair, Reader, present
from edgetam.eval.metrics.problems import where
from edgetam.eval.metrics.protocols.base import GroundTruth, Plan
from edgetam.eval.metrics.protocols.davis import (
    VOID,
    davis_plans,
    davis_summary,
    first_objects,
    with_statistics,
)
from edgetam.eval.metrics.scores import ObjectScores, Tally
from edgetam.eval.metrics.similarity import Contour, contour, f_measure, reach

__all__ = ["Davis2017Unsupervised"]

PROPOSALS = 20
"""As many objects as a prediction may have."""
Table = npt.NDArray[np.float64]
"""J and F of each proposal with each object, ``[2, proposals, objects]``."""


@dataclass(frozen=True)
class Davis2017Unsupervised:
    """All frames, without void pixels; the best assignment of proposals to objects by mean J&F; extras are
    free.

    As published, the objects are listed by the id of the proposal they were given.
    """

    strict_videos = False

    def masks(self, truth: GroundTruth) -> Path:
        """Return ``Annotations_unsupervised/480p`` of a DAVIS root, or the folder itself."""
        return truth.masks("Annotations_unsupervised/480p", "Annotations_unsupervised")

    def plans(self, truth: GroundTruth) -> list[Plan]:
        """Plan the sequences of the split (``val`` when not told)."""
        year = "2019" if (truth.split or "val").startswith("test") else "2017"
        return davis_plans(self.masks(truth), truth, year)

    def score(self, plan: Plan, reader: Reader) -> list[ObjectScores]:
        """Score one sequence."""
        objects = first_objects(plan, reader)
        matches = _Matches(objects)
        for frame in plan.frames if objects else ():
            pair = reader.pair(plan.sequence, plan.sequence, frame)
            if pair is not None:
                largest = int(pair.pred.max())
                if largest > PROPOSALS:
                    reader.problems.report(
                        f"{where(plan.sequence, frame, largest)}: the prediction has this id, but at most "
                        f"{PROPOSALS} proposals, numbered from 1, are allowed; renumber or drop some."
                    )
                matches.add(frame, _compare(pair, objects), min(largest, PROPOSALS))
            reader.problems.tick()
        return [with_statistics(entry) for entry in matches.finish(plan.sequence)]

    def summarize(self, objects: Sequence[ObjectScores]) -> dict[str, float]:
        """Return the means over all objects."""
        return davis_summary(objects)


@dataclass
class _Matches:
    """The tables of all frames so far."""

    objects: int
    frames: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    proposals: int = 0

    def add(self, frame: str, table: Table, proposals: int) -> None:
        self.frames.append(frame)
        self.tables.append(table)
        self.proposals = max(self.proposals, proposals)

    def finish(self, sequence: str) -> list[ObjectScores]:
        """Match proposals and objects."""
        if not self.frames:
            return []
        rows = max(self.proposals, self.objects)
        curves = np.stack(self.tables, axis=-1)[:, :rows]  # [2, P, objects, T]
        found = []
        for proposal, item in assign(-curves.mean(axis=3).sum(axis=0) / 2):
            j, f = curves[:, proposal, item]
            tally = Tally(self.frames, {"J": j.tolist(), "F": f.tolist()})
            found.append(tally.finish(sequence, str(item + 1), gt_value=item + 1, pred_value=proposal + 1))
        return found


def _compare(pair: Pair, objects: int) -> Table:
    """Measure every proposal with every object; the boundary of each is looked for only once."""
    rows = max(PROPOSALS, objects)  # with fewer proposals than objects, empty ones stand in
    found, wanted = _contours(pair, rows, objects)
    table = np.ones((2, rows, objects))
    for row, (pred, pred_contour) in enumerate(found):
        for column, (gt, gt_contour) in enumerate(wanted):
            union = (pred | gt).bit_count()
            if union:
                table[0, row, column] = (pred & gt).bit_count() / union
                table[1, row, column] = f_measure(pred_contour, gt_contour)
    return table


def _contours(pair: Pair, proposals: int, objects: int) -> list[list[tuple[int, Contour]]]:
    """Return each proposal, then each object, packed on one grid without void pixels, with its boundary."""
    height, width = pair.gt.shape
    counts = pair.gt != VOID  # [H, W]
    sides = [
        {value: (labels == value) & counts for value in present(labels) if value <= count}
        for labels, count in ((pair.pred, proposals), (pair.gt, objects))
    ]
    box = Box(0, 0, 0, 0)
    for mask in (mask for side in sides for mask in side.values()):
        box = box.union(bounding_box(mask))
    element = disk(bound_radius(height, width))
    grid = grid_of(box, height, width, reach(element))
    packed = [{value: pack(mask, grid) for value, mask in side.items() if box.x1} for side in sides]
    return [
        [(bits := side.get(value, 0), contour(bits, grid, element)) for value in range(1, count + 1)]
        for side, count in zip(packed, (proposals, objects), strict=True)
    ]
