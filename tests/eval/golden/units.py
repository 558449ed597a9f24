"""Single masks and series: the files ``unit_*.npz`` and the run-length codes of ``../amg/amg.npz``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgetam.eval.metrics import boundary_similarity, frame_scores, region_similarity, statistics
from edgetam.eval.metrics.bits import boundary, bounding_box, grid_of, pack
from edgetam.eval.metrics.disks import bound_radius, disk
from edgetam.eval.metrics.measures import lvos_jf, mosev2, smoothed_scores
from edgetam.io.coco import coco_object
from edgetam.structs import ObjectResult
from tests.eval.golden.check import PER_FRAME, Check
from tests.eval.plain import Mask

Arrays = Any
"""An opened ``.npz``."""


def unpack(bits: np.ndarray[Any, Any], height: int, width: int) -> Mask:
    """A mask ``[H, W]`` from `numpy.packbits`."""
    return np.unpackbits(bits, count=height * width).reshape(height, width).astype(bool)


def masks(arrays: Arrays, *kinds: str) -> Iterator[tuple[int, list[Mask]]]:
    """Each case's masks of these kinds."""
    for i, (height, width) in enumerate(zip(arrays["H"], arrays["W"], strict=True)):
        yield i, [unpack(arrays[f"{kind}_{i}"], int(height), int(width)) for kind in kinds]


def check_masks(folder: Path) -> Check:
    """J, F with every tolerance, void pixels and boundary counts of ``unit_masks.npz``."""
    check, arrays = Check("unit_masks: J, F, void, tolerances"), np.load(folder / "unit_masks.npz")
    thresholds = [key for key in arrays.files if key.startswith("F_th")]
    for i, (pred, gt, void) in masks(arrays, "pred", "gt", "void"):
        name = f"{i} {arrays['name'][i]}"
        plain, masked = frame_scores(pred, gt), frame_scores(pred, gt, void)
        one_by_one = region_similarity(pred, gt), boundary_similarity(pred, gt)
        check.close(name, plain, (arrays["J"][i], arrays["F"][i]), PER_FRAME)
        check.close(f"{name}, one by one", one_by_one, plain, 0)
        check.close(f"{name}, void", masked, (arrays["J_void"][i], arrays["F_void"][i]), PER_FRAME)
        if not np.isnan(arrays["J_vosb"][i]):  # that tool never looks at objects nobody shows
            check.close(
                f"{name}, vos-benchmark", plain, (arrays["J_vosb"][i], arrays["F_vosb"][i]), PER_FRAME
            )
        for key in thresholds:
            value = boundary_similarity(pred, gt, bound_th=float(key[4:]))
            check.close(f"{name}, {key}", value, arrays[key][i], PER_FRAME)
        check.equal(f"{name}, radius", bound_radius(*gt.shape), float(arrays["radius"][i]))
    return check


def check_boundaries(folder: Path) -> Check:
    """Boundary maps and disks of ``unit_masks.npz``."""
    check, arrays = Check("unit_masks: boundary maps and disks"), np.load(folder / "unit_masks.npz")
    for kind, counts in (("pred", arrays["n_fg"]), ("gt", arrays["n_gt"])):
        for i, (mask,) in masks(arrays, kind):
            edge = boundary_map(mask)
            check.equal(f"{i} {kind}, pixels", int(edge.sum()), int(counts[i]))
            if f"bmap_{kind}_{i}" in arrays.files:
                wanted = unpack(arrays[f"bmap_{kind}_{i}"], *mask.shape)
                check.equal(f"{i} {kind}, map", edge.tolist(), wanted.tolist())
    for key in (key for key in arrays.files if key.startswith("disk_")):
        check.equal(key, disk_map(float(key[5:])).tolist(), arrays[key].tolist())
    return check


def boundary_map(mask: Mask) -> Mask:
    """The packed boundary as a picture."""
    height, width = mask.shape
    box = bounding_box(mask)
    result = np.zeros_like(mask)
    if box.x1:
        grid = grid_of(box, height, width, 1)
        bits = boundary(pack(mask, grid), grid)
        raw = np.frombuffer(bits.to_bytes(grid.rows * grid.stride // 8, "little"), np.uint8)
        edge = np.unpackbits(raw, bitorder="little").reshape(grid.rows, grid.stride)
        x0, y0, x1, y1 = grid.box
        result[y0:y1, x0:x1] = edge[:, : x1 - x0]
    return result


def disk_map(radius: float) -> np.ndarray[Any, Any]:
    """The runs of a disk as a picture, its anchor in the middle."""
    side = len(np.arange(-radius, radius + 1))
    picture = np.zeros((side, side), np.uint8)
    for run in disk(radius):
        picture[run.dy + side // 2, run.first + side // 2 : run.last + side // 2 + 1] = 1
    return picture


def check_mosev2(folder: Path) -> Check:
    """MOSEv2's J and F-dot of both files."""
    check = Check("unit_masks, unit_mosev2: MOSEv2")
    for file, prefix in (("unit_masks", "mose_"), ("unit_mosev2", "")):
        if not (folder / f"{file}.npz").is_file():
            continue
        arrays = np.load(folder / f"{file}.npz")
        for i, (pred, gt) in masks(arrays, "pred", "gt"):
            got, name = mosev2(pred, gt), f"{file} {i}"
            for ours, key in (("J", "J"), ("F", "F"), ("F-dot", "F_area01")):
                check.close(f"{name}, {key}", got[ours], arrays[prefix + key][i], PER_FRAME)
            box = bounding_box(gt)
            span = math.hypot(box.x1 - box.x0 - 1, box.y1 - box.y0 - 1)
            tolerance = math.ceil(0.1 * span) if box.x1 else math.inf
            by_box = smoothed_scores(pred, gt, tolerance)[2]
            check.close(f"{name}, F_diag01", by_box, arrays[f"{prefix}F_diag01"][i], PER_FRAME)
            if f"{prefix}empty_gt" in arrays.files:
                check.equal(f"{name}, empty", bool(got["absent"]), bool(arrays[f"{prefix}empty_gt"][i]))
    return check


def check_lvos(folder: Path) -> Check:
    """F by the compiled boundary operator of LVOS."""
    check, arrays = Check("unit_lvos_cython: compiled boundary"), np.load(folder / "unit_masks.npz")
    wanted = np.load(folder / "unit_lvos_cython.npz")["F_lvos_cython"]
    for i, (pred, gt) in masks(arrays, "pred", "gt"):
        check.close(f"{i} {arrays['name'][i]}", lvos_jf(pred, gt)["F"], wanted[i], PER_FRAME)
    return check


def check_statistics(folder: Path) -> Check:
    """Mean, recall and decay of series of many lengths."""
    check, arrays = Check("unit_statistics"), np.load(folder / "unit_statistics.npz")
    for key in (key for key in arrays.files if f"y_{key[2:]}" in arrays.files and key.startswith("x_")):
        check.close(key, statistics(arrays[key]), arrays[f"y_{key[2:]}"], PER_FRAME)
    if "len0" in arrays.files:
        check.close("len0", statistics([]), arrays["len0"], PER_FRAME)
    return check


def check_rle(path: Path) -> Check:
    """Run-length codes, areas, boxes and IoU of ``amg.npz``."""
    check, arrays = Check("amg: run-length codes and IoU"), np.load(path)
    expected = json.loads(str(arrays["rle_expected"]))
    pictures = [unpack(arrays[f"rle_mask_{i}"], *entry["size"]) for i, entry in enumerate(expected)]
    for i, (mask, entry) in enumerate(zip(pictures, expected, strict=True)):
        got = coco_object(ObjectResult(mask=mask, logits=None, score=0.0, presence=0.0))
        check.equal(f"{i}, code", got["segmentation"]["counts"], entry["coco"])
        check.equal(f"{i}, area", got["area"], entry["coco_area"])
        check.close(f"{i}, box", got["bbox"], entry["coco_bbox"], 0)
    chosen = [pictures[i] for i in arrays["rle_set_idx"]]
    for row, pred in enumerate(chosen):
        for column, gt in enumerate(chosen):
            if pred.any() or gt.any():  # COCO gives 0 where nothing is compared with nothing
                value = region_similarity(pred, gt)
                check.close(f"IoU {row}, {column}", value, arrays["rle_iou"][row, column], PER_FRAME)
    return check


UNITS: dict[str, list[Callable[[Path], Check]]] = {
    "unit_masks": [check_masks, check_boundaries, check_mosev2],
    "unit_lvos_cython": [check_lvos],
    "unit_statistics": [check_statistics],
}


def check_units(folder: Path) -> Iterator[Check]:
    """Every unit check that the folder has numbers for."""
    for file, checks in UNITS.items():
        if (folder / f"{file}.npz").is_file():
            yield from (check(folder) for check in checks)
    for path in (folder / "amg.npz", folder.parent / "amg" / "amg.npz"):
        if path.is_file():
            yield check_rle(path)
