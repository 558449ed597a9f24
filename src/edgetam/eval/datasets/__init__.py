"""Data sets with ground truth, each in the layout it is published in."""

from __future__ import annotations

from edgetam.eval.datasets.benchmarks import BENCHMARKS, Benchmark, Layout, get_benchmark
from edgetam.eval.datasets.dataset import Dataset, open_dataset
from edgetam.eval.datasets.video import EvalVideo

__all__ = ["BENCHMARKS", "Benchmark", "Dataset", "EvalVideo", "Layout", "get_benchmark", "open_dataset"]
