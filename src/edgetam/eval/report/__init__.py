"""Scores as tables, files and one page to look at."""

from edgetam.eval.report.compare import Comparison, Row, compare
from edgetam.eval.report.files import as_json, write_scores
from edgetam.eval.report.page import Illustrations, write_report

__all__ = ["Comparison", "Illustrations", "Row", "as_json", "compare", "write_report", "write_scores"]
