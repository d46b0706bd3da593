"""Examines logs that people own: which jobs are in them, what is wrong, and what can be trained on as it is."""

from potstill.doctor.examine import Examination, examine
from potstill.doctor.export import export
from potstill.doctor.findings import Diagnosis
from potstill.doctor.printing import lines

__all__ = ["Diagnosis", "Examination", "examine", "export", "lines"]
