"""Whole trackers for other runtimes: `export_bundle` writes what `edgetam.load_bundle` reads."""

from edgetam.export.bundle import BundleSpec, check_free, export_bundle
from edgetam.export.parity import Agreement
from edgetam.export.targets import TARGETS, check_target

__all__ = ["TARGETS", "Agreement", "BundleSpec", "check_free", "check_target", "export_bundle"]
