"""Write a bundle: programs, manifest, parity report; a folder that appears whole or not at all."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

import edgetam
from edgetam.atomic import atomic_folder
from edgetam.config import ModelConfig, config_to_fields
from edgetam.engine.bundle import load_bundle
from edgetam.engine.fixed_graph import FixedGraph
from edgetam.engine.manifest import CONSTANTS, MANIFEST, Contents, Limits, Manifest
from edgetam.engine.torch import TorchEngine
from edgetam.errors import EngineError, OutputError
from edgetam.export.parity import Agreement, ProgramAgreement, compare, compare_programs, rehearse
from edgetam.export.programs import fixed_graphs, make_limits
from edgetam.export.targets import Target, check_target
from edgetam.hashing import sha256_of
from edgetam.model import EdgeTAM, inference_form
from edgetam.model.inference import in_full_precision
from edgetam.tracking.geometry import MEAN, STD
from edgetam.weights.fingerprint import fingerprint

__all__ = ["PARITY", "BundleSpec", "check_free", "export_bundle"]

PARITY = "parity.json"
LEAST_IOU = 0.99
"""A float32 bundle whose masks agree less with PyTorch's is wrong and not written."""
MOST_APART = 0.01
"""A float32 program whose outputs differ by more, relative to their size, is wrong too."""
GOOD_IOU = 0.9
"""Whoever exports a bundle whose masks agree less with PyTorch's is warned."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BundleSpec:
    """What to export.

    Attributes:
        target: see `edgetam.export.TARGETS`.
        precision: what programs compute in; the target's own by default.
        objects: that may be tracked at once.
        prompted: prompted frames that an object may have, at least; rounded up to what shapes allow.
        points: of one prompt, at least.
        origin: where the weights came from, for the manifest.
        licence: of the weights, for the manifest.
    """

    target: str
    precision: str | None = None
    objects: int = 4
    prompted: int = 6
    points: int = 32
    origin: str = "unknown"
    licence: str = "unknown"


class Rehearsal(NamedTuple):
    """How a bundle agrees with PyTorch: on a clip, and program by program."""

    frames: list[Agreement]
    programs: list[ProgramAgreement]


def export_bundle(
    network: EdgeTAM,
    spec: BundleSpec,
    output: str | Path,
    *,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Manifest, list[Agreement]]:
    """Export a network with all its verbs, and compare the result with PyTorch.

    Masks of a bundle in half precision may differ from PyTorch's; a warning is logged where they do by much.

    Args:
        network: from `edgetam.weights.load_network`, with the input size that the bundle is to have.
        spec: where to and with which limits.
        output: the folder to write.
        overwrite: replace a bundle that is there.
        say: told what is being done.

    Returns:
        The manifest, and how each frame agrees with PyTorch; nothing for targets that do not run here.

    Raises:
        ConfigError: a limit makes no sense.
        EngineError: target or precision is unknown, a library is not installed, or the result is wrong.
        WeightsError: the weights give values that are not finite, or a program does not run.
        OutputError: the folder exists or cannot be written.
    """
    target, precision = check_target(spec.target, spec.precision)
    limits = make_limits(spec.objects, spec.prompted, spec.points)
    convert = target.converter()
    output = Path(output)
    check_free(output, overwrite=overwrite)
    folded = inference_form(network)
    graphs = fixed_graphs(folded, limits)
    with atomic_folder(output) as folder:
        for number, graph in enumerate(graphs, 1):
            say(f"converting {graph.name} ({number} of {len(graphs)})")
            _convert_one(convert, graph, folder / graph.name, precision)
        _write_json(folder / CONSTANTS, _constants(network))
        manifest = _manifest(network.config, spec, target, precision, limits, graphs)
        rehearsal = _rehearsed(network, folder, manifest, graphs, say) if target.runs_here else None
        _write_json(folder / PARITY, _report(rehearsal, target))
        manifest = _sign(folder, manifest)
    return manifest, rehearsal.frames if rehearsal else []


def check_free(output: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` unless ``output`` is new, or a bundle that may be replaced."""
    if not output.exists():
        return
    if not _is_bundle(output):
        raise OutputError(f"'{output}' exists and is no bundle; choose another name.")
    if not overwrite:
        raise OutputError(f"The bundle '{output}' exists; pass --overwrite, or choose another name.")


def _is_bundle(folder: Path) -> bool:
    """Whether its manifest looks like one of ours, of any version: web apps have a file of that name too."""
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return (
        isinstance(data, dict)
        and isinstance(data.get("format"), int)
        and isinstance(data.get("programs"), list)
    )


def _convert_one(
    convert: Callable[[FixedGraph, Path, str], None], graph: FixedGraph, folder: Path, precision: str
) -> None:
    folder.mkdir()
    with torch.inference_mode(False), torch.no_grad(), in_full_precision():
        convert(graph, folder, precision)


def _constants(network: EdgeTAM) -> dict[str, Any]:
    return {
        "weights_id": fingerprint(network.state_dict()),
        "absent_pointer": network.object_pointer.absent.tolist(),
        "no_memory": network.memory_attention.no_memory_embed.tolist(),
    }


def _manifest(
    config: ModelConfig,
    spec: BundleSpec,
    target: Target,
    precision: str,
    limits: Limits,
    graphs: Sequence[FixedGraph],
) -> Manifest:
    return Manifest(
        target=target.name,
        precision=precision,
        model=config.name,
        image_size=config.image_size,
        limits=limits,
        programs=tuple(graph.program for graph in graphs),
        files={},
        preprocessing=_preprocessing(config.image_size),
        licence={"code": "Apache-2.0", "weights": spec.licence},
        made={"edgetam": edgetam.__version__, "torch": torch.__version__, "weights": spec.origin},
        network=_network(config),
    )


def _network(config: ModelConfig) -> dict[str, Any]:
    """What name and size do not tell: weights may have a configuration of their own."""
    fields = config_to_fields(config)
    return {name: value for name, value in fields.items() if name not in ("name", "image_size")}


def _preprocessing(size: int) -> dict[str, Any]:
    return {
        "channels": "RGB",
        "layout": "[1, height, width, 3]",
        "size": [size, size],
        "resize": {
            "video": "antialiased bicubic on bytes, aspect not kept",
            "image": "antialiased bilinear on floats, aspect not kept",
        },
        "value": "(byte / 255 - mean) / std",
        "mean": [round(float(x), 6) for x in MEAN],
        "std": [round(float(x), 6) for x in STD],
    }


def _sign(folder: Path, manifest: Manifest) -> Manifest:
    """List all files with what they hash to, in the manifest."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    files = {
        path.relative_to(folder).as_posix(): Contents(sha256_of(path), path.stat().st_size) for path in paths
    }
    signed = replace(manifest, files=files)
    (folder / MANIFEST).write_text(signed.to_json(), encoding="utf-8")
    return signed


def _rehearsed(
    network: EdgeTAM,
    folder: Path,
    manifest: Manifest,
    graphs: Sequence[FixedGraph],
    say: Callable[[str], None],
) -> Rehearsal:
    """Run the bundle's programs, and then the bundle as users will, beside PyTorch."""
    _sign(folder, manifest)
    loaded = load_bundle(folder)
    say("running each program once in the bundle and in PyTorch")
    programs = compare_programs(graphs, loaded.runner.run_program)
    if manifest.precision == "fp32":
        _check_programs(programs)
    say("tracking a drawn clip in the bundle and in PyTorch")
    got = rehearse(loaded, manifest.limits)
    frames = compare(got, rehearse(TorchEngine(network), manifest.limits))
    _check_masks(frames, manifest.precision)
    return Rehearsal(frames, programs)


def _check_programs(programs: Sequence[ProgramAgreement]) -> None:
    for each in programs:
        if each.relative > MOST_APART:
            raise EngineError(
                f"The exported program '{each.program}' does not agree with PyTorch (relative difference "
                f"{each.relative:.3f}, expected at most {MOST_APART}), so nothing was written; try another "
                "target or another version of its libraries."
            )


def _check_masks(frames: Sequence[Agreement], precision: str) -> None:
    if not all(math.isfinite(each.logits) and math.isfinite(each.presence) for each in frames):
        raise EngineError(
            f"The exported programs give masks that are not finite in {precision}, so nothing was written; "
            "export in fp32, or to another target."
        )
    least = min(each.iou for each in frames)
    if precision == "fp32" and least < LEAST_IOU:
        raise EngineError(
            f"The exported programs do not agree with PyTorch (mask IoU {least:.3f}, expected at least "
            f"{LEAST_IOU}), so nothing was written; try another target or another version of its libraries."
        )
    if least < GOOD_IOU:  # the mean is not below it without this
        _log.warning(
            "Masks of this bundle in %s differ from PyTorch's: their IoU is %.3f at least and %.3f on "
            "average, expected at least %s; look at its %s, and export in fp32 unless they are good enough.",
            *(precision, least, _mean_iou(frames), GOOD_IOU, PARITY),
        )


def _mean_iou(frames: Sequence[Agreement]) -> float:
    return sum(each.iou for each in frames) / len(frames)


def _report(rehearsal: Rehearsal | None, target: Target) -> dict[str, Any]:
    if rehearsal is None:
        return {
            "compared": False,
            "why": f"{target.name} programs cannot be run by the machine that exported",
        }
    frames, programs = rehearsal
    return {
        "compared": True,
        "reference": f"PyTorch {torch.__version__}, fp32",
        "largest_logit_difference": max(each.logits for each in frames),
        "least_mask_iou": min(each.iou for each in frames),
        "mean_mask_iou": _mean_iou(frames),
        "programs": [asdict(each) for each in programs],
        "frames": [asdict(each) for each in frames],
    }


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
