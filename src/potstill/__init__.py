"""Accountable model distillation: one recipe in, a student and the evidence about it out."""

__version__ = "0.1.0"
