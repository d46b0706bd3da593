"""Where students come from: cut from the teacher, opened by reference, or made new from a config."""

from potstill.students.build import build_student

__all__ = ["build_student"]
