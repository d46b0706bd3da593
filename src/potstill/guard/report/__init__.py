"""The report of a scan: one HTML file for whoever has to decide what to do about a case."""

from potstill.guard.report.drawn import Drawn, drawn_of
from potstill.guard.report.page import write_report

__all__ = ["Drawn", "drawn_of", "write_report"]
