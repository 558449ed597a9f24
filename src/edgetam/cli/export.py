"""``edgetam export``: weights to a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgetam.cli.options import ModelChoice
from edgetam.cli.screen import Screen
from edgetam.engine.requirements import require_torch

if TYPE_CHECKING:
    from edgetam.engine.manifest import Manifest
    from edgetam.export import Agreement

__all__ = ["ExportJob", "export_weights"]


@dataclass(frozen=True)
class ExportJob:
    """What to export and where to.

    Attributes:
        target: see `edgetam.export.TARGETS`.
        choice: model, weights, size and precision.
        output: the folder to write.
        objects: limit of the bundle.
        prompted: limit of the bundle.
        points: limit of the bundle.
        overwrite: replace a bundle that is there.
    """

    target: str
    choice: ModelChoice
    output: Path
    objects: int
    prompted: int
    points: int
    overwrite: bool


def export_weights(job: ExportJob, screen: Screen) -> Path:
    """Write the bundle and say how it agrees with PyTorch.

    Raises:
        EdgeTAMError: see `edgetam.export.export_bundle`.
    """
    choice = job.choice
    choice.check()
    require_torch("Exporting")
    from edgetam.export import BundleSpec, check_free, check_target, export_bundle
    from edgetam.export.programs import make_limits
    from edgetam.weights.bundled import BUNDLED_LICENCE
    from edgetam.weights.files import read_metadata
    from edgetam.weights.network import load_network
    from edgetam.weights.registry import published_as, weights_path

    precision = None if choice.precision == "auto" else choice.precision
    check_target(job.target, precision)
    make_limits(job.objects, job.prompted, job.points)
    check_free(job.output, overwrite=job.overwrite)
    path = weights_path(choice.name, choice.weights)
    known = published_as(path)
    own = BUNDLED_LICENCE if choice.stand_in else read_metadata(path).get("licence", "that of the weights")
    licence = known.licence if known else own
    spec = BundleSpec(
        job.target, precision, job.objects, job.prompted, job.points, origin=path.name, licence=licence
    )
    network = load_network(choice.name, path, image_size=choice.image_size)
    manifest, agreements = export_bundle(network, spec, job.output, overwrite=job.overwrite, say=screen.note)
    _show(manifest, agreements, job.output, screen)
    return job.output


def _show(manifest: Manifest, agreements: Sequence[Agreement], output: Path, screen: Screen) -> None:
    size = sum(contents.size for contents in manifest.files.values())
    limits = manifest.limits
    if agreements:
        screen.say(f"{'frame':>6} {'object':>6} {'logits differ by':>17} {'mask IoU':>9}")
        for each in agreements:
            screen.say(f"{each.frame:>6} {each.object_id:>6} {each.logits:>17.2e} {each.iou:>9.4f}")
    else:
        screen.say(f"Not compared with PyTorch: {manifest.target} programs do not run on this machine.")
    screen.say(
        f"{output}: {manifest.target}, {manifest.precision}, {manifest.image_size} pixels, "
        f"{size / 1e6:.0f} MB; limits: {limits.objects} objects, {limits.prompted} prompted frames each, "
        f"{limits.points} points."
    )
